"""How the workload is told to replace its replicas, and how long it may take."""

from dataclasses import dataclass
from typing import Final, Literal

from llmfleet.api.v1alpha1 import LLMServiceSpec

STARTS: Final = 3
"""A start may take three times as long as the one that was measured: on a busy disk, from a cold cache, after one failure."""

MARGIN_SECONDS: Final = 600
"""For what is not the engine's: a node that is added, an image of ten gigabytes, the end of the pod before."""

DEADLINES_SECONDS: Final = (1200, 1800, 3600, 7200, 14400)
"""The deadline is one of these, or a multiple of the last: it stays the same where starts take nearly as long as before."""


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How replicas are replaced."""

    strategy: Literal["Surge", "InPlace", "Recreate"]
    """Surge adds a replica before one goes, InPlace replaces one at a time, Recreate ends all before the first starts."""
    progress_deadline_seconds: int
    """How long nothing may move before the workload's controller calls it stuck."""
    without_room: int = 0
    """Replicas that are wanted and fit no node, and that a rollout in place cannot wait for."""
    paused: bool = False
    """Nothing of the newest revision is started any more."""


def first_plan(spec: LLMServiceSpec) -> RolloutPlan:
    """Return the plan of a specification of which nothing has run yet."""
    return RolloutPlan("Recreate" if spec.rollout.strategy == "Recreate" else "Surge", progress_deadline_seconds(spec, None))


def start_seconds(spec: LLMServiceSpec, measured_seconds: int | None) -> int:
    """Return how long a replica may take from its engine's start to its first answer; `measured_seconds` is what one took, None where none has been seen."""
    return STARTS * measured_seconds if measured_seconds is not None else spec.engine.start_timeout_seconds


def progress_deadline_seconds(spec: LLMServiceSpec, measured_seconds: int | None) -> int:
    """Return how long nothing may move: a replica finishes its requests, and the next one starts in its place."""
    needed = spec.rollout.drain_timeout_seconds + start_seconds(spec, measured_seconds) + MARGIN_SECONDS
    longest = DEADLINES_SECONDS[-1]
    return next((step for step in DEADLINES_SECONDS if step >= needed), -(-needed // longest) * longest)
