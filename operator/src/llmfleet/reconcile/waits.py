"""What a rollout waits for, in words that hold still: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llmfleet.api.v1alpha1.status import Held, RolloutStatus
from llmfleet.names import Reason
from llmfleet.reconcile.engine_pods import EnginePod
from llmfleet.reconcile.failures import Failure
from llmfleet.reconcile.rollout import ENDS, Scene

OF_THE_REVISION: Final = frozenset({Reason.CRASH_LOOP, Reason.IMAGE_PULL_FAILED, Reason.CONFIG_ERROR})
"""Failures that stop a rollout at its first pod: what is wrong is in the specification or in what it refers to."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why the newest revision is not on every replica."""

    reason: Reason
    message: str
    final: bool = False
    """Waiting alone will not mend it."""


def wait(rollout: RolloutStatus, scene: Scene, failure: Failure | None) -> Wait | None:
    """Return what is waited for; None where the workload's own counts say it as well. `failure` is the worst that is wrong with the revision's pods."""
    others = scene.beside(rollout.revision)
    if rollout.held is not None:
        return Wait(Reason.HELD, _held(rollout.held, others, scene.wanted), final=True)
    if failure is not None and failure.reason in OF_THE_REVISION and any(pod.ready for pod in others):
        return Wait(Reason.DEGRADED, f"{failure.message}; {_serve_on(others, scene.wanted)}", failure.final)
    ours = scene.of(rollout.revision)
    words = next((pod.no_room for pod in ours if pod.no_room is not None), scene.quota)
    if scene.leaving and (words is not None or not ours):
        return Wait(Reason.ROLLING_OUT, _leaving(scene.leaving))
    if scene.lost and not ours:
        return Wait(Reason.ROLLING_OUT, _lost(scene.lost))
    if words is None or not others:
        return None
    return Wait(Reason.ROLLING_OUT, f"looking for room for {'one more' if rollout.strategy == 'Surge' else 'the next'} replica: {words}")


def _held(held: Held, others: Sequence[EnginePod], wanted: int) -> str:
    failed = f"the engine ended {ENDS} times or more without a single answer, last in pod {held.pod} ({held.state}): {held.reason}: {held.message}"
    rest = _serve_on(others, wanted) if held.paused else "the workload is scaled to 0, as there is no revision before that could serve on"
    return f"{failed}; nothing more is tried until the specification changes; {rest}"


def _serve_on(others: Sequence[EnginePod], wanted: int) -> str:
    ready = sum(pod.ready for pod in others)
    return f"{ready} of {wanted} replica{'' if wanted == 1 else 's'} of the revision before serve{'s' if ready == 1 else ''} on"


def _leaving(pods: Sequence[EnginePod]) -> str:
    """The time is the pods' own and does not move: when the kubelet ends them at the latest."""
    until = max(pod.leaves_until or "" for pod in pods)
    return f"waiting until {_some(pods)} {'has' if len(pods) == 1 else 'have'} answered the requests in hand, at the latest {until}"


def _lost(pods: Sequence[EnginePod]) -> str:
    until = max(pod.leaves_until or "" for pod in pods)
    return f"waiting for the end of {_some(pods)}, due at {until}: the node does not say that it came; if the node is lost for good, delete its Node"


def _some(pods: Sequence[EnginePod]) -> str:
    return ", ".join(pod.name for pod in pods[:3]) + (" and others" if len(pods) > 3 else "")
