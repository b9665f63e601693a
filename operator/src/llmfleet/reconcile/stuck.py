"""Replicas that are wanted and will not answer by waiting: the drain of a node must not wait for them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from llmfleet.reconcile.engine_pods import EnginePod

LATEST_SECONDS: Final = 600.0
"""How long a replica may be without a place, without its image or without an answer until nobody counts on it."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """How many replicas nobody counts on, and when there may be more of them."""

    replicas: int
    again_seconds: float | None
    """When the next one may be among them (seconds since the epoch); None where each answers or is stuck already."""


def stuck(pods: Iterable[EnginePod], wanted: int, *, refused: bool, start_seconds: float, now_seconds: float) -> Stuck:
    """Count them.

    `refused` says that the workload's controller cannot make the pods that are missing; an engine that runs may take `start_seconds` until its first answer.
    One replica more than wanted, as in a rollout, is nobody's loss when it is stuck. With one wanted replica a drain waits for nothing anyway.
    """
    staying = [pod for pod in pods if pod.stays]
    times = [_at(pod, start_seconds) for pod in staying if not pod.ready]
    counted_on = sum(pod.ready for pod in staying) + sum(at > now_seconds for at in times)
    missing = 0 if refused else max(0, wanted - len(staying))
    found = max(0, wanted - counted_on - missing)
    return Stuck(min(found, max(0, wanted - 1)), min((at for at in times if at > now_seconds), default=None))


def _at(pod: EnginePod, start_seconds: float) -> float:
    """When nobody counts on a pod any more that does not answer."""
    if pod.broken:
        return 0.0
    return pod.since_seconds + (max(LATEST_SECONDS, start_seconds) if pod.running else LATEST_SECONDS)
