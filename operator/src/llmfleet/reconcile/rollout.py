"""How a new revision comes to all replicas, and when it is given up: pure.

What is done follows from what status says and from nothing else (`plan`), and what status says next follows from what the pods show (`followed`). So the
choice is said before it is carried out, a restart or another leader goes on where the last one was, and nothing flaps: within a revision the strategy moves
from Surge to InPlace and never back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.api.v1alpha1.status import MAX_ROLLOUT_CHARACTERS, EngineStatus, Held, RolloutStatus
from llmfleet.reconcile.engine_pods import UNKNOWN, EnginePod
from llmfleet.resources.rollout_plan import RolloutPlan, first_plan, progress_deadline_seconds

PATIENCE_SECONDS: Final = 30.0
"""How long one more replica looks for room before one that serves is taken for it: the scheduler looks again within ten seconds of every change
(kubernetes, pkg/scheduler: podMaxBackoffSeconds), and a pod that is about to finish, or a node that is being added, may make room."""

ENDS: Final = 3
"""Ends of one engine: once may be chance, twice a coincidence."""

REASONS: Final = {
    "Surge": "a replica of the new revision is added before one of the old goes",
    "Recreate": "as asked for: every replica ends before the first new one starts, and nothing answers in between",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rollout is judged by."""

    pods: Sequence[EnginePod]
    wanted: int
    """Replicas of the workload, as a person or the HPA set them last."""
    freed_at_seconds: float
    """When a pod of the service last gave its place back, as far as is known: the scheduler is about to look for room again."""
    now_seconds: float
    quota: str | None = None
    """Why a quota of the namespace keeps a replica from being made, which so never comes to the scheduler, and what to do."""
    quota_since_seconds: float = 0.0
    """Since when, as far as is known."""

    def of(self, revision: str) -> list[EnginePod]:
        """Return the pods of a revision that stay."""
        return [pod for pod in self.pods if pod.stays and pod.revision == revision]

    def beside(self, revision: str) -> list[EnginePod]:
        """Return the pods of every other revision that stay."""
        return [pod for pod in self.pods if pod.stays and pod.revision != revision]

    @property
    def leaving(self) -> list[EnginePod]:
        """The pods that are about to give their place back."""
        return [pod for pod in self._going if pod.leaves_until_seconds + PATIENCE_SECONDS > self.now_seconds]

    @property
    def lost(self) -> list[EnginePod]:
        """The pods that should be gone and are not: their nodes are lost, and nothing comes back by itself."""
        return [pod for pod in self._going if pod.leaves_until_seconds + PATIENCE_SECONDS <= self.now_seconds]

    @property
    def _going(self) -> list[EnginePod]:
        return [pod for pod in self.pods if pod.placed and not pod.stays]

    @property
    def without_room(self) -> int:
        """How many of the wanted replicas have no place on any node.

        One that answers is kept whatever happens, if more than one is wanted: a rollout then waits for room instead of ending the last one.
        """
        return max(0, min(self.wanted - sum(pod.placed for pod in self.pods), self.wanted - 2))


def current(before: RolloutStatus | None, spec: LLMServiceSpec, revision: str, measured_seconds: int | None) -> RolloutStatus:
    """Return the rollout that is under way, or a new one where the revision or what is asked for changed.

    `measured_seconds` is how long the start of an engine took last, None where that is unknown; it counts when a rollout begins, so that the deadline does not
    move with every start.
    """
    asked = first_plan(spec).strategy
    if before is None or before.revision != revision:
        deadline = progress_deadline_seconds(spec, measured_seconds)
        return RolloutStatus(revision=revision, strategy=asked, message=REASONS[asked], progress_deadline_seconds=deadline)
    if (before.strategy == "Recreate") == (asked == "Recreate"):
        return before
    return before.model_copy(update={"strategy": asked, "message": REASONS[asked], "without_room": 0})


def measured_seconds(engine: EngineStatus | None, image: str, arguments: Sequence[str]) -> int | None:
    """Return how long the engine's last start took, if that says something of this image and these arguments: of another model it says nothing."""
    if engine is None or not engine.startup or engine.image != image or engine.arguments[:1] != list(arguments[:1]):
        return None
    return sum(phase.seconds for phase in engine.startup)


def plan(rollout: RolloutStatus) -> RolloutPlan:
    """Return what the workload is told."""
    held = rollout.held is not None and rollout.held.paused
    return RolloutPlan(rollout.strategy, rollout.progress_deadline_seconds, rollout.without_room, held)


def stopped(rollout: RolloutStatus | None) -> bool:
    """Tell whether the workload is to have no replica: its revision is given up, and there is no other to serve on."""
    return rollout is not None and rollout.held is not None and not rollout.held.paused


def followed(rollout: RolloutStatus, scene: Scene) -> tuple[RolloutStatus, float | None]:
    """Return the rollout as the pods show it now, and when it may go on by time alone (seconds since the epoch)."""
    ours = scene.of(rollout.revision)
    served = rollout.served or any(pod.answered for pod in ours)
    held = None if served else _held(rollout.held, rollout.revision, scene)
    rollout = rollout.model_copy(update={"served": served, "held": held})
    gone_at = max((pod.leaves_until_seconds + PATIENCE_SECONDS for pod in scene.leaving), default=None)
    if held is not None or rollout.strategy == "Recreate":
        return rollout, gone_at
    known = min(rollout.without_room, scene.without_room)
    due = _no_room_at(rollout.revision, scene)
    if rollout.strategy == "InPlace" and scene.without_room <= known:
        return rollout.model_copy(update={"without_room": known}), gone_at
    if due is None or scene.now_seconds < due:
        return rollout.model_copy(update={"without_room": known}), due if due is not None else gone_at
    update = {"strategy": "InPlace", "without_room": scene.without_room}
    if rollout.strategy == "Surge":
        update["message"] = _no_room(next((pod.no_room for pod in ours if pod.no_room is not None), scene.quota), scene.wanted)
    return rollout.model_copy(update=update), None


def given_up(rollout: RolloutStatus, scene: Scene) -> dict[str, frozenset[str]]:
    """Return the ReplicaSets that are to have no pod any more, by name, with the uids of the pods that they have."""
    if rollout.held is None or not rollout.held.paused or not scene.beside(rollout.revision):
        return {}
    found: dict[str, set[str]] = {}
    for pod in scene.of(rollout.revision):
        if pod.replica_set is not None:
            found.setdefault(pod.replica_set, set()).add(pod.uid)
    return {name: frozenset(uids) for name, uids in found.items()}


def _no_room_at(revision: str, scene: Scene) -> float | None:
    """When it is certain that a replica of the revision finds no room; None where all have theirs, or where no other replica could make room."""
    waiting = [pod for pod in scene.of(revision) if pod.no_room is not None]
    # What a person starts again (kubectl rollout restart) is of the same revision, and of another ReplicaSet.
    if any(pod.stays and pod.replica_set != one.replica_set for pod in scene.pods for one in waiting):
        since = min(pod.no_room_since_seconds for pod in waiting)
    elif scene.quota is not None and scene.beside(revision):
        since = scene.quota_since_seconds
    else:
        return None
    return max(since, scene.freed_at_seconds, *(pod.leaves_until_seconds for pod in scene.leaving)) + PATIENCE_SECONDS


def _no_room(words: str | None, wanted: int) -> str:
    """Why replicas are replaced one at a time; the words of the scheduler or of the quota may be long."""
    before, after = "no room for one more replica: ", "; replaced one at a time" + ("; with one replica nothing answers meanwhile" if wanted == 1 else "")
    return f"{before}{(words or '')[: MAX_ROLLOUT_CHARACTERS - len(before) - len(after)]}{after}"


def _held(before: Held | None, revision: str, scene: Scene) -> Held | None:
    """Why a revision that has never answered is given up.

    Paused is how the revision before serves on. Without replicas the workload's controller would start the revision that was given up as soon as one is
    wanted again, so that then the workload is scaled to 0 instead.
    """
    ours, others = scene.of(revision), scene.beside(revision)
    if before is not None:
        # One that leaves, as its node is drained, is about to be replaced by its ReplicaSet.
        alone = bool(ours) and all(pod.revision == revision for pod in scene.pods)
        paused = before.paused and scene.wanted > 0 and not alone
        return before.model_copy(update={"paused": paused})
    # Several that end at once may all have met the same chance. One that starts for the first time may still answer, and a single bad node is no reason to
    # end it.
    if max((pod.ends for pod in ours), default=0) < ENDS or any(pod.running and not pod.ends for pod in ours):
        return None
    worst = max(ours, key=lambda pod: (pod.last_end is not None, pod.ends))
    end = worst.last_end.in_status if worst.last_end is not None else {"reason": UNKNOWN}
    return Held(**{"state": UNKNOWN, **end}, pod=worst.name, paused=scene.wanted > 0 and any(pod.answered or pod.ends < ENDS for pod in others))
