"""What one reconcile goes by, and what of it the conditions are made from: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmfleet.reconcile.apply import Problem
from llmfleet.reconcile.conditions import Observation
from llmfleet.reconcile.desired import Accepted, Draft, Refused
from llmfleet.reconcile.inputs import Inputs
from llmfleet.reconcile.knowledge import Knowledge, Waiting
from llmfleet.reconcile.rollouts import Course
from llmfleet.resources.blueprint import Manifest, Owner
from llmfleet.resources.workload import Progress, Workload


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one reconcile goes by."""

    inputs: Inputs
    owner: Owner
    decision: Accepted | Refused
    draft: Draft | None
    """None for a specification that is refused whatever the model is like."""
    knowledge: Knowledge | None
    """What is known of the model; None without a draft."""
    workload: Workload
    course: Course | None
    """What is done about the rollout; None of a specification that is refused."""


def observation(
    judgement: Judgement, waiting: Waiting | None, problems: Sequence[Problem], progress: Progress | None, autoscaler: Manifest | None
) -> Observation:
    """Return what is known but for what the pods say. `autoscaler` is the live HPA, if there is one."""
    decision, knowledge = judgement.decision, judgement.knowledge
    refusal = Waiting(decision.reason, decision.message) if isinstance(decision, Refused) else None
    accepted = decision if isinstance(decision, Accepted) else None
    return Observation(
        refusal=refusal,
        problems=problems,
        waiting=waiting,
        progress=replace(progress, wanted=replicas_wanted(accepted, progress)) if progress is not None and accepted is not None else progress,
        failure=None,
        autoscaler=autoscaler if accepted is not None and accepted.spec.autoscaling is not None else None,
        warnings="; ".join(violation.message for violation in accepted.warnings) if accepted is not None else "",
        cache=knowledge.cache if knowledge is not None else None,
        model_ready=refusal or (knowledge.model_ready if knowledge is not None else None),
    )


def replicas_wanted(decision: Accepted, progress: Progress) -> int:
    """Return how many replicas there should be: the user's number, or the HPA's.

    An HPA stands still at 0 replicas (someone stopped the service before autoscaling was turned on), so that 0 is lifted.
    """
    spec = decision.spec
    if spec.autoscaling is not None:
        return progress.wanted or spec.autoscaling.min_replicas
    return 1 if spec.replicas is None else spec.replicas
