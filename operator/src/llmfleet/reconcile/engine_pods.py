"""An engine pod as a rollout and a drain see it: which revision it is of, whether it has a place on a node, how its engine fares. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from llmfleet import names
from llmfleet.kube.objects import has_ended, labels_of, uid_of
from llmfleet.names import Reason
from llmfleet.reconcile.failures import FINAL_RESTARTS, Ended, ended, how_ended, memory_limit, of_pod
from llmfleet.resources.blueprint import Manifest

ANSWERED: Final = "Serving"
"""State of a launcher whose engine has answered; one that is told to stop while it starts drains, too."""

ONE_STEP_SECONDS: Final = 2.0
"""Two times of one step, each cut to a second, lie no further apart; no engine answers so soon."""

UNKNOWN: Final = "Unknown"
"""State of an engine whose launcher could not say where in its life it was: the kernel ended both."""


@dataclass(frozen=True, slots=True)
class EnginePod:
    """One engine pod that exists as more than a record."""

    name: str
    uid: str
    revision: str
    """Empty for one that was made before templates were labelled."""
    replica_set: str | None
    """Name of the ReplicaSet that made it."""
    placed: bool
    """It has a node, and takes room there until it is gone."""
    no_room: str | None
    """The scheduler's words, where it finds no node."""
    no_room_since_seconds: float
    """Since when it finds none."""
    ready: bool
    since_seconds: float
    """Since when it is ready, or not (seconds since the epoch)."""
    leaves_until: str | None
    """When it will be gone at the latest (RFC 3339), of one that is being deleted."""
    ends: int
    """How often its engine has ended."""
    last_end: Ended | None
    """How it ended last."""
    running: bool
    """The engine's container runs."""
    answered: bool
    """It answers, or did."""
    broken: bool
    """Its engine ended again and again, its image cannot be pulled, or something that it refers to is missing: waiting does not help."""

    @property
    def stays(self) -> bool:
        """It is not being deleted."""
        return self.leaves_until is None

    @property
    def leaves_until_seconds(self) -> float:
        """The same in seconds since the epoch; 0 of one that stays."""
        return _seconds(self.leaves_until)


def engine_pods(pods: Iterable[Manifest]) -> tuple[EnginePod, ...]:
    """Return the pods by name, without those that have ended and stay behind as records."""
    return tuple(sorted((_engine_pod(pod) for pod in pods if not has_ended(pod)), key=lambda pod: pod.name))


def _engine_pod(pod: Manifest) -> EnginePod:
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
    no_room = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    engine: Manifest = next((container for container in status.get("containerStatuses", ()) if container["name"] == names.ENGINE_CONTAINER), {})
    created, end = metadata.get("creationTimestamp"), _last_end(pod, engine)
    return EnginePod(
        name=metadata["name"],
        uid=uid_of(pod),
        revision=labels_of(pod).get(names.LABEL_REVISION, ""),
        replica_set=next((reference["name"] for reference in metadata.get("ownerReferences", ()) if reference["kind"] == "ReplicaSet"), None),
        placed=bool(pod.get("spec", {}).get("nodeName")),
        no_room=scheduled.get("message", "") if no_room else None,
        no_room_since_seconds=_seconds(scheduled.get("lastTransitionTime") or created),
        ready=ready.get("status") == "True",
        since_seconds=_seconds(ready.get("lastTransitionTime") or scheduled.get("lastTransitionTime") or created),
        leaves_until=metadata.get("deletionTimestamp"),
        ends=_ends(engine),
        last_end=end,
        running="running" in engine.get("state", {}),
        answered=_has_been_ready(status, ready) or (end is not None and end.state == ANSWERED),
        broken=any(_broken(pod)),
    )


def _has_been_ready(status: Manifest, ready: Manifest) -> bool:
    """Whether the pod is ready or was once, whoever ended its engine since: the kernel and a node that starts again leave no word of the launcher.

    The kubelet sets the start of a pod and that it is not ready in one step, and the latter's time moves with a transition only (kubernetes,
    pkg/kubelet/status: updateStatusInternal).
    """
    moved_seconds, started_seconds = _seconds(ready.get("lastTransitionTime")), _seconds(status.get("startTime"))
    return ready.get("status") == "True" or (started_seconds > 0 and moved_seconds > started_seconds + ONE_STEP_SECONDS)


def _ends(engine: Manifest) -> int:
    """How often the container has ended: the kubelet counts the times that it was started again, and what is not started again yet has ended once more."""
    return int(engine.get("restartCount", 0)) + ("running" not in engine.get("state", {}) and ended(engine) is not None)


def _last_end(pod: Manifest, engine: Manifest) -> Ended | None:
    last = ended(engine)
    return how_ended(last, memory_limit(pod, names.ENGINE_CONTAINER)) if last is not None else None


def _broken(pod: Manifest) -> Iterator[bool]:
    """Without the kubelet's word that it waits before the next start: that comes and goes with every start."""
    status = pod.get("status", {})
    containers = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    restarts = max((container.get("restartCount", 0) for container in containers), default=0)
    for failure in of_pod(pod):
        yield failure.final and (failure.reason is not Reason.CRASH_LOOP or restarts >= FINAL_RESTARTS)


def _seconds(time: Any) -> float:
    """Seconds since the epoch of a time as Kubernetes writes it; 0 where there is none."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0
