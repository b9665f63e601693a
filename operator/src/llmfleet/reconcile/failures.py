"""What is wrong with a pod, as one of a closed set of reasons and in the words of whoever noticed it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmfleet.names import Reason
from llmfleet.reconcile import remedies
from llmfleet.resources.blueprint import Manifest
from llmfleet.scrape.report import legible

IMAGE_PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"})
"""Waiting reasons of the kubelet's image manager (kubernetes, pkg/kubelet/images/types.go)."""

CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Waiting reasons of a container that cannot be made (kubernetes, pkg/kubelet/kuberuntime): missing Secret, ConfigMap, key, command."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

UNCLASSIFIED = "Error"
"""The kubelet's reason where it knows none (kubernetes, pkg/kubelet/kuberuntime: a container that ended with any code but 0)."""

RAISE_MEMORY = (
    "raise the memory limit of the container in spec.template.spec, or lower spec.engine.kvCacheMemory and what else takes host memory (kvOffload, cpuOffload)"
)
"""What to do about a container that the kernel ended."""

MAX_REASON = 128
MAX_STATE = 32
MAX_WORDS = 4096
"""Characters of an end in a status: status.engine.lastFailure, status.rollout.held."""

MAX_REMEDY = 1024
"""Of the words, kept for the remedy."""

FINAL_RESTARTS = 2
"""Once may be chance (a node's memory, a lost connection); after the second time the same is expected of the third."""


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """Why a replica does not answer."""

    severity: int
    """Smaller is told first: what a person must mend comes before what may pass."""
    reason: Reason
    message: str
    final: bool
    """Waiting alone will not mend it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container of the runtime ended, in the runtime's words (docs/engine-pod.md), or in the kubelet's where it had none."""

    reason: str
    message: str
    remedy: str = ""
    """What to do; empty where the message says it, or where nobody knows."""
    state: str = ""
    """Where the launcher was in its life; empty for what has none, and where the launcher was killed too."""

    @property
    def text(self) -> str:
        """For people."""
        said = self.message if self.reason == UNCLASSIFIED else f"{self.reason}: {self.message}"
        return f"{said}; {self.remedy}" if self.remedy else said

    @property
    def in_status(self) -> dict[str, str]:
        """State, reason and message as a status holds them; what is not known is absent. Of long words the end is cut, never the remedy."""
        words = "; ".join(part for part in (legible(self.message, MAX_WORDS - MAX_REMEDY), legible(self.remedy, MAX_REMEDY - 2)) if part)
        state = legible(self.state, MAX_STATE)
        return {"reason": legible(self.reason, MAX_REASON), "message": words} | ({"state": state} if state else {})


def worst(pods: Iterable[Manifest]) -> Failure | None:
    """Return what to tell of these pods; among equals always the same, so that status does not flap.

    A pod that failed as a whole stays behind as a record while another takes its place: it counts only where there is no other.
    """
    known = list(pods)
    alive = [pod for pod in known if pod.get("status", {}).get("phase") != "Failed"]
    return min((failure for pod in alive or known for failure in of_pod(pod)), default=None)


def of_pod(pod: Manifest) -> Iterator[Failure]:
    """Yield what is wrong with one pod; nothing for one that is being deleted."""
    if pod["metadata"].get("deletionTimestamp"):
        return
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and condition.get("reason") == "Unschedulable":
            words = condition.get("message", "")
            yield Failure(3, Reason.UNSCHEDULABLE, words + remedies.of_scheduling(pod, words), final=False)  # a node may still come
    if status.get("phase") == "Failed":
        # Evicted, preempted, or refused by its node: another pod takes its place, and this one stays behind as a record.
        words = f"{status.get('reason', 'Failed')}: {status.get('message', '')}"
        yield Failure(4, Reason.POD_REFUSED, words + remedies.of_refusal(words), final=False)
        return
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        yield from _of_container(pod, container)


def _of_container(pod: Manifest, container: Manifest) -> Iterator[Failure]:
    name = container["name"]
    waiting = container.get("state", {}).get("waiting", {})
    reason, words = waiting.get("reason", ""), waiting.get("message", "")
    if reason in IMAGE_PULL_REASONS:
        # The kubelet's words change with every attempt: what they mean does not.
        yield Failure(
            1, Reason.IMAGE_PULL_FAILED, f"image {container.get('image', '')} of container {name} cannot be pulled{remedies.of_image(name, words)}", final=True
        )
    elif reason in CONFIG_REASONS:
        yield Failure(1, Reason.CONFIG_ERROR, f"container {name}: {words or reason}{remedies.of_configuration(words)}", final=True)
    elif not container.get("ready") and (last := ended(container)) is not None:
        again = reason == "CrashLoopBackOff" or container.get("restartCount", 0) >= FINAL_RESTARTS
        yield Failure(0, Reason.CRASH_LOOP, f"container {name}: {how_ended(last, memory_limit(pod, name)).text}", final=again)


def ended(container: Mapping[str, Any]) -> Manifest | None:
    """How the container ended last, unless it ended well (an init container that is done, an engine that was told to stop)."""
    state = container.get("state", {})
    last: Manifest | None = state.get("terminated") or container.get("lastState", {}).get("terminated")
    return last if last is not None and last.get("exitCode") != 0 else None


def how_ended(last: Mapping[str, Any], limit: str | None = None) -> Ended:
    """In whose words ever there are: the runtime's, or the end of the log, or what the kubelet knows; `limit` is the container's memory limit.

    The kernel ends every process of a container that exceeds its limit, the launcher too (memory.oom.group, which the kubelet sets since 1.28): then nobody
    wrote a last word, and the kubelet takes the end of the log for one, which says nothing of it.
    """
    text = str(last.get("message", "")).strip()
    if (told := reason_and_message(text)) is not None:
        return told
    if last.get("reason") == "OOMKilled":
        at = f" of {limit}" if limit else ""
        return Ended("OutOfMemory", f"the kernel ended the container at its memory limit{at}", RAISE_MEMORY)
    return Ended(str(last.get("reason") or UNCLASSIFIED), text or f"exit code {last.get('exitCode')}")


def memory_limit(pod: Mapping[str, Any], name: str) -> str | None:
    """Return the memory limit of a container of the pod, as it is written there."""
    spec = pod.get("spec", {})
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        if container["name"] == name and (limit := container.get("resources", {}).get("limits", {}).get("memory")) is not None:
            return str(limit)
    return None


def reason_and_message(text: str) -> Ended | None:
    """What the runtime ends with: a JSON object of a classified reason and a message; None where it is anything else.

    Half of a surrogate pair, which JSON can spell and UTF-8 cannot, becomes a question mark, as the API server would store something else too.
    """
    try:
        document = json.loads(text)
        reason, message = (_legible(document[part]) for part in ("reason", "message"))
        remedy, state = (_legible(document.get(part, "")) for part in ("remedy", "state"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Ended(reason, message, remedy, state)


def alike(words: str, others: str) -> bool:
    """Whether two messages of an engine say the same but for numbers: free memory and seconds are others at every attempt."""
    return _NUMBER.sub("0", words) == _NUMBER.sub("0", others)


def _legible(value: object) -> str:
    return str(value).encode(errors="replace").decode()
