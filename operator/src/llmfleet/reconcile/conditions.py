"""Conditions, from what is known: pure. kstatus (kubectl wait, Flux, Argo CD) reads Ready, Reconciling and Stalled.

A message may carry counts of replicas, never counts of restarts or times: an idle service, and one that crash-loops, cause no writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmfleet.api.v1alpha1.status import MAX_ROLLOUT_CHARACTERS, AdapterStatus, CacheStatus
from llmfleet.names import ConditionType, Reason
from llmfleet.reconcile import remedies
from llmfleet.reconcile.adapters import summary
from llmfleet.reconcile.apply import Problem
from llmfleet.reconcile.failures import Failure
from llmfleet.reconcile.knowledge import Waiting
from llmfleet.reconcile.waits import Wait
from llmfleet.resources.blueprint import Manifest
from llmfleet.resources.workload import Progress


@dataclass(frozen=True, slots=True)
class Fact:
    """One condition before it gets its times and its generation."""

    type: ConditionType
    status: bool
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of one service after its children were brought in line."""

    refusal: Waiting | None
    """Why the checks refuse the specification, else None."""
    problems: Sequence[Problem]
    waiting: Waiting | None
    """Why new engines are held back, else None."""
    progress: Progress | None
    """None while there is no workload."""
    failure: Failure | None
    """The worst thing that is wrong with the pods of the newest revision."""
    autoscaler: Manifest | None
    """The live HPA; None without autoscaling."""
    warnings: str = ""
    """What is worth saying of a specification that is accepted."""
    cache: CacheStatus | None = None
    """The claim that is filled with the model; None without a cache."""
    model_ready: Waiting | None = None
    """Why that claim does not hold the model yet."""
    adapters: Sequence[AdapterStatus] = ()
    """Each adapter, over all replicas."""
    wait: Wait | None = None
    """What the rollout waits for; None where the counts say it as well."""


def facts(seen: Observation) -> Iterator[Fact]:
    """Yield every condition that applies, in the order of ConditionType."""
    ready = _ready(seen)
    stalled = _stalled(seen, ready)
    under_way = not ready.status and stalled is None
    yield ready
    yield Fact(ConditionType.RECONCILING, under_way, ready.reason if under_way else Reason.UP_TO_DATE, ready.message if under_way else "")
    yield stalled or Fact(ConditionType.STALLED, False, Reason.PROGRESSING)
    if seen.refusal is not None:
        suspended = "" if seen.progress is None else "; what runs goes on as it is, and is not healed until the specification is right"
        yield Fact(ConditionType.ACCEPTED, False, seen.refusal.reason, seen.refusal.message + suspended)
    elif (refused := next((problem for problem in seen.problems if problem.reason is Reason.INVALID), None)) is not None:
        yield Fact(ConditionType.ACCEPTED, False, Reason.INVALID, refused.message)
    else:
        yield Fact(ConditionType.ACCEPTED, True, Reason.VALID, f"Valid; warning: {seen.warnings}" if seen.warnings else "")
    if seen.cache is not None:
        yield _model_ready(seen.cache, seen.model_ready)
    if (adapters := summary(seen.adapters)) is not None:
        yield Fact(ConditionType.ADAPTERS_READY, adapters.ready, adapters.reason, adapters.message)
    yield _available(seen.progress)
    if seen.autoscaler is not None:
        yield _autoscaling_active(seen.autoscaler)


def waiting_for(seen: Observation, told: str) -> str | None:
    """Return what the rollout waits for; None where it waits for nothing, where it is given up, or where what is in the way is not about the rollout.

    `told` is the message of Ready, as it is shown.
    """
    ready = _ready(seen)
    if ready.status or ready.reason is Reason.HELD or seen.refusal is not None or seen.problems or seen.waiting is not None:
        return None
    return told[:MAX_ROLLOUT_CHARACTERS]


def _ready(seen: Observation) -> Fact:
    def no(reason: Reason, message: str) -> Fact:
        return Fact(ConditionType.READY, False, reason, message)

    if seen.refusal is not None:
        return no(seen.refusal.reason, seen.refusal.message)
    if seen.problems:
        return no(seen.problems[0].reason, "; ".join(problem.message for problem in seen.problems))
    if seen.waiting is not None:
        return no(seen.waiting.reason, seen.waiting.message)
    progress = seen.progress
    if progress is None:
        return no(Reason.ROLLING_OUT, "the workload is being created")
    if progress.complete:
        if progress.wanted == 0:
            return Fact(ConditionType.READY, True, Reason.STOPPED, "no replica is wanted")
        return Fact(ConditionType.READY, True, Reason.SERVING, f"{_of(progress.ready, progress.wanted)} answering")
    if seen.wait is not None:
        return no(seen.wait.reason, seen.wait.message)
    if not progress.observed:
        # What the pods say is about the specification before.
        return no(Reason.ROLLING_OUT, f"{_of(0, progress.wanted)} of the current specification")
    if seen.failure is not None:
        return no(seen.failure.reason, seen.failure.message)
    if progress.refused is not None:
        return no(Reason.POD_REFUSED, remedies.with_creation(progress.refused))
    if progress.updated < progress.existing:
        return no(Reason.ROLLING_OUT, f"{_of(progress.updated, progress.wanted)} of the current specification")
    if progress.existing > progress.wanted:
        return no(Reason.ROLLING_OUT, f"{progress.existing} replicas exist, {progress.wanted} wanted: the others are stopping")
    return no(Reason.LOADING, f"{_of(progress.ready, progress.wanted)} answering")


def _stalled(seen: Observation, ready: Fact) -> Fact | None:
    if ready.status:
        return None
    if seen.refusal is None and not seen.problems and seen.waiting is not None:
        return Fact(ConditionType.STALLED, True, ready.reason, ready.message) if seen.waiting.final else None
    told = seen.wait is not None and ready.reason is seen.wait.reason
    failure = seen.failure if seen.failure is not None and seen.failure.reason is ready.reason else None
    final = (
        seen.refusal is not None
        or any(problem.reason is not Reason.API_ERROR for problem in seen.problems)
        or (told and seen.wait is not None and seen.wait.final)
        or (failure.final if failure is not None else ready.reason is Reason.POD_REFUSED)
        or (seen.progress is not None and seen.progress.observed and seen.progress.overdue)
    )
    return Fact(ConditionType.STALLED, True, ready.reason, ready.message) if final else None


def _model_ready(cache: CacheStatus, waiting: Waiting | None) -> Fact:
    if cache.complete:
        return Fact(ConditionType.MODEL_READY, True, Reason.CACHED, f"the claim {cache.claim_name} holds the whole model")
    why = waiting or Waiting(Reason.DOWNLOADING, "")
    return Fact(ConditionType.MODEL_READY, False, why.reason, why.message)


def _available(progress: Progress | None) -> Fact:
    if progress is None or progress.ready == 0:
        return Fact(ConditionType.AVAILABLE, False, Reason.NO_REPLICA_ANSWERS, "no replica answers")
    return Fact(ConditionType.AVAILABLE, True, Reason.SERVING, "at least one replica answers")


def _autoscaling_active(autoscaler: Manifest) -> Fact:
    conditions = autoscaler.get("status", {}).get("conditions", ())
    active = next((condition for condition in conditions if condition["type"] == "ScalingActive"), None)
    if active is None:
        return Fact(ConditionType.AUTOSCALING_ACTIVE, False, Reason.NO_METRIC, "the HorizontalPodAutoscaler has not asked for the demand yet")
    if active["status"] == "True":
        return Fact(ConditionType.AUTOSCALING_ACTIVE, True, Reason.SCALING, "the HorizontalPodAutoscaler follows the demand")
    reason = Reason.SCALING_DISABLED if active.get("reason") == "ScalingDisabled" else Reason.NO_METRIC
    return Fact(ConditionType.AUTOSCALING_ACTIVE, False, reason, active.get("message", ""))


def _of(number: int, wanted: int) -> str:
    return f"{number} of {wanted} replica{'' if wanted == 1 else 's'}"
