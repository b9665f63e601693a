"""How many replicas the work in sight asks for, with the arithmetic in words.

A service needs `n >= in flight / (slots + queue target)` replicas: each works on `slots` requests at once, and the queue target is how many more may wait
for each. (Waiting requests divided by the queue target, the usual formula, asks for 186 replicas where 1,000 requests meet one replica of 256 slots and a
target of 4; 4 replicas of 256 slots run them all at once.) With an in-flight target people say themselves what one replica bears:
`n >= in flight / target`.

Demand falls as soon as the load does: damping a decline is the work of the HPA's stabilisation window, which people configure.
"""

from dataclasses import dataclass
from typing import Final

from llmfleet.autoscaling.window import SAMPLE_LIFE_SECONDS, Load, Slots, SlotsOrigin

LOADING_DEADLINE_SECONDS: Final = 10 * 60.0
"""How long replicas on their way hold demand down, counted from when more were last asked for. Large models load for minutes (download, weights, compilation);
a replica that is later than this may never come (no node, crash loop), and must not block further decisions. A replica that a rollout replaces was not
asked for anew: it holds nothing."""


@dataclass(frozen=True, slots=True)
class QueueDepthTarget:
    """So many requests may wait for each replica."""

    waiting: int


@dataclass(frozen=True, slots=True)
class InFlightTarget:
    """So many requests may wait and run on each replica."""

    in_flight: int


Target = QueueDepthTarget | InFlightTarget


@dataclass(frozen=True, slots=True)
class Bounds:
    """minReplicas and maxReplicas."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas of a service as the cluster has them."""

    wanted: int
    """`spec.replicas` of the workload: what was asked for last."""
    ready: frozenset[str]
    """Pods that are Ready: each must have been heard, or part of the load is unknown."""
    raised_at_seconds: float
    """When `wanted` last rose."""

    @property
    def loading(self) -> int:
        """Replicas that were asked for and are not ready; their pods may not even exist yet."""
        return max(0, self.wanted - len(self.ready))


@dataclass(frozen=True, slots=True)
class Demand:
    """Replicas that the work in sight asks for."""

    replicas: int
    reason: str
    """The arithmetic, for people."""


@dataclass(frozen=True, slots=True)
class NoData:
    """Demand is unknown, which is never 0: the HPA gets an error and holds."""

    reason: str


def demand(load: Load | None, target: Target, bounds: Bounds, replicas: Replicas, now_seconds: float) -> Demand | NoData:
    """The demand of one service.

    `load` is None when no replica was heard. Replicas that are ready and silent make the load a lower bound: it counts only where it already asks for more
    than there are.
    """
    if load is None:
        return NoData(_nobody_heard(replicas))
    needed, arithmetic = _needed(load, target)
    silent = sorted(replicas.ready - load.heard)
    if silent and min(needed, bounds.maximum) <= replicas.wanted:
        who = f"{len(silent)} of {_count(len(replicas.ready), 'ready replica')}"
        return NoData(f"{who} did not answer for {SAMPLE_LIFE_SECONDS:.0f} s ({_some(silent)}): their load is unknown")
    if needed > replicas.wanted and _on_their_way(replicas, now_seconds):
        return _clamped(replicas.wanted, f"{arithmetic}; {_count(replicas.loading, 'replica')} still loading, no more until then", bounds)
    return _clamped(needed, arithmetic, bounds)


def _needed(load: Load, target: Target) -> tuple[int, str]:
    match target:
        case QueueDepthTarget(waiting=waiting):
            capacity, per_replica = load.slots.count + waiting, f"({_slots(load.slots)} + {waiting:,} queue)"
        case InFlightTarget(in_flight=in_flight):
            capacity, per_replica = in_flight, f"{in_flight:,}"
    needed = -(-load.in_flight // capacity)
    return needed, f"{load.in_flight:,} in flight / {per_replica} per replica = {needed:,}"


def _slots(slots: Slots) -> str:
    match slots.origin:
        case SlotsOrigin.REPORTED:
            return f"{slots.count:,} slots"
        case SlotsOrigin.LEARNED:
            return f"{slots.count:,} slots as observed"
        case SlotsOrigin.ASSUMED:
            return f"{slots.count:,} slots assumed, vLLM's smallest default on a GPU,"


def _on_their_way(replicas: Replicas, now_seconds: float) -> bool:
    """Whether replicas that were asked for can still be expected."""
    return replicas.loading > 0 and now_seconds - replicas.raised_at_seconds < LOADING_DEADLINE_SECONDS


def _clamped(needed: int, reason: str, bounds: Bounds) -> Demand:
    if needed < bounds.minimum:
        return Demand(bounds.minimum, f"{reason}; at least {bounds.minimum:,} (minReplicas)")
    if needed > bounds.maximum:
        return Demand(bounds.maximum, f"{reason}; at most {bounds.maximum:,} (maxReplicas)")
    return Demand(needed, reason)


def _nobody_heard(replicas: Replicas) -> str:
    if replicas.ready:
        return f"none of {_count(len(replicas.ready), 'ready replica')} answered for {SAMPLE_LIFE_SECONDS:.0f} s ({_some(sorted(replicas.ready))})"
    return "no replica is ready: nothing is known about the load"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
