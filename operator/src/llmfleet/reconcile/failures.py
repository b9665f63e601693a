"""What is wrong with a pod, as one of a closed set of reasons and in the words of whoever noticed it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmfleet.names import Reason
from llmfleet.resources.blueprint import Manifest

IMAGE_PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"})
"""Waiting reasons of the kubelet's image manager (kubernetes, pkg/kubelet/images/types.go)."""

CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Waiting reasons of a container that cannot be made (kubernetes, pkg/kubelet/kuberuntime): missing Secret, ConfigMap, key, command."""

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
            yield Failure(3, Reason.UNSCHEDULABLE, condition.get("message", ""), final=False)  # a node may still come
    if status.get("phase") == "Failed":
        # Evicted, preempted, or refused by its node: another pod takes its place, and this one stays behind as a record.
        yield Failure(4, Reason.POD_REFUSED, f"{status.get('reason', 'Failed')}: {status.get('message', '')}", final=False)
        return
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        yield from _of_container(container)


def _of_container(container: Manifest) -> Iterator[Failure]:
    waiting = container.get("state", {}).get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in IMAGE_PULL_REASONS:
        # The kubelet alternates between the error and "Back-off pulling image": naming the image alone keeps the message still.
        yield Failure(1, Reason.IMAGE_PULL_FAILED, f"image {container.get('image', '')} of container {container['name']} cannot be pulled", final=True)
    elif reason in CONFIG_REASONS:
        yield Failure(1, Reason.CONFIG_ERROR, f"container {container['name']}: {waiting.get('message', reason)}", final=True)
    elif not container.get("ready") and (last := ended(container)) is not None:
        again = reason == "CrashLoopBackOff" or container.get("restartCount", 0) >= FINAL_RESTARTS
        yield Failure(0, Reason.CRASH_LOOP, f"container {container['name']}: {_last_words(last)}", final=again)


def ended(container: Mapping[str, Any]) -> Manifest | None:
    """How the container ended last, unless it ended well (an init container that is done, an engine that was told to stop)."""
    state = container.get("state", {})
    last: Manifest | None = state.get("terminated") or container.get("lastState", {}).get("terminated")
    return last if last is not None and last.get("exitCode") != 0 else None


def _last_words(last: Manifest) -> str:
    """The launcher's classified reason and the engine's own error line (docs/engine-pod.md), else what the kubelet knows."""
    text = last.get("message", "").strip()
    if (classified := reason_and_message(text)) is not None:
        return ": ".join(classified)
    return text or f"{last.get('reason', 'Error')}, exit code {last.get('exitCode')}"


def reason_and_message(text: str) -> tuple[str, str] | None:
    """What the runtime ends with: a JSON object of a classified reason and a message; None where it is anything else.

    Half of a surrogate pair, which JSON can spell and UTF-8 cannot, becomes a question mark, as the API server would store something else too.
    """
    try:
        document = json.loads(text)
        reason, message = (str(document[part]).encode(errors="replace").decode() for part in ("reason", "message"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return reason, message
