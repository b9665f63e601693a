"""The status of an LLMService, from what is known and from what it said before: pure."""

from collections.abc import Sequence
from typing import Any

from llmfleet.api.v1alpha1 import AutoscalingStatus, Condition, Decision, Endpoint, LLMServiceStatus, RolloutStatus
from llmfleet.api.v1alpha1.status import ModelStatus
from llmfleet.autoscaling.demand import Demand, NoData
from llmfleet.names import ConditionType, Reason
from llmfleet.reconcile.conditions import Observation, facts, waiting_for
from llmfleet.reconcile.desired import Accepted, Refused
from llmfleet.reconcile.engine_status import engine_status
from llmfleet.reconcile.failures import alike
from llmfleet.reconcile.knowledge import Knowledge
from llmfleet.reconcile.planned import plan_status
from llmfleet.reconcile.replicas import Replica
from llmfleet.resources import engine_pod, service
from llmfleet.resources.blueprint import Manifest, Owner
from llmfleet.resources.workload import Workload
from llmfleet.scrape.fleet import Measured

MAX_MESSAGE_CHARACTERS = 32768
"""Of a condition (metav1.Condition). The API server's refusals quote what they refuse, and may be longer."""


def status(
    raw: Manifest,
    decision: Accepted | Refused,
    seen: Observation,
    *,
    applied: bool,
    owner: Owner,
    workload: Workload,
    knowledge: Knowledge | None,
    demand: Demand | NoData | None,
    measured: Measured | None,
    replicas: Sequence[Replica],
    rollout: RolloutStatus | None,
    now: str,
) -> Manifest:
    """Return the status to show for the LLMService `raw`.

    `applied` says that the workload is as decided; `knowledge` is None where the specification cannot be read; `rollout` is None while there is no workload;
    `now` (RFC 3339) is used only where something changed.
    """
    generation = raw["metadata"].get("generation", 0)
    before = raw.get("status", {})
    conditions = _conditions(seen, before, generation, now)
    shown = LLMServiceStatus(
        observed_generation=generation,
        conditions=conditions,
        replicas=seen.progress.existing if seen.progress else 0,
        ready_replicas=seen.progress.ready if seen.progress else 0,
        selector=",".join(f"{key}={value}" for key, value in sorted(workload.serving_pod_selector(owner).items())),
    ).to_wire()
    if knowledge is None:
        shown |= {field: before[field] for field in ("model",) if field in before}
    elif model := ModelStatus(**_known(knowledge)).to_wire():
        shown["model"] = model
    if decision.plan is not None:
        steady = applied and seen.progress is not None and seen.progress.complete
        shown["plan"] = plan_status(decision.plan, before.get("plan"), measured, steady=steady).to_wire()
    if isinstance(decision, Accepted) and applied:
        blueprint = decision.blueprint
        models = [*(decision.spec.model.served_names or [owner.name]), *(adapter.name for adapter in decision.spec.adapters.items)]
        shown["endpoint"] = Endpoint(url=service.url(owner), models=models).to_wire()
        revision = rollout.revision if rollout is not None else None
        shown["engine"] = engine_status(
            decision.version,
            blueprint.image,
            engine_pod.engine_arguments(blueprint),
            replicas,
            revision=revision,
            before=before.get("engine", {}),
            same_revision=revision == before.get("rollout", {}).get("revision"),
        ).to_wire()
        shown |= {"adapters": [adapter.to_wire() for adapter in seen.adapters]} if seen.adapters else {}
        if rollout is not None:
            ready = next(condition for condition in conditions if condition.type == ConditionType.READY)
            shown["rollout"] = rollout.model_copy(update={"waiting_for": waiting_for(seen, ready.message)}).to_wire()
        if decision.spec.autoscaling is not None:
            shown["autoscaling"] = _autoscaling(seen, before.get("autoscaling", {}), demand, now)
    else:
        # What runs is still what was applied last.
        shown |= {field: before[field] for field in ("endpoint", "engine", "adapters", "rollout", "autoscaling") if field in before}
    return shown


def _known(knowledge: Knowledge) -> dict[str, Any]:
    """What there is of a model's status; nothing is set that is not known."""
    return {field: value for field in ("facts", "unknown", "cache") if (value := getattr(knowledge, field)) is not None}


def _conditions(seen: Observation, before: Manifest, generation: int, now: str) -> list[Condition]:
    previous = {condition["type"]: condition for condition in before.get("conditions", ())}
    shown = []
    for fact in facts(seen):
        value = "True" if fact.status else "False"
        last = previous.get(fact.type, {})
        message = fact.message[:MAX_MESSAGE_CHARACTERS]
        again = (last.get("reason"), last.get("observedGeneration")) == (fact.reason, generation)
        shown.append(
            Condition(
                type=fact.type,
                status=value,
                reason=fact.reason,
                message=last["message"] if again and _same_crash(fact.reason, message, last.get("message", "")) else message,
                last_transition_time=last["lastTransitionTime"] if last.get("status") == value else now,
                observed_generation=generation,
            )
        )
    return shown


def _same_crash(reason: Reason, message: str, before: str) -> bool:
    """An engine that crashes again and again in the same way causes no write: what it says differs in numbers alone.

    Behind its words a rollout that stands still tells how many replicas serve on, and that number counts.
    """
    if reason is Reason.DEGRADED:
        (message, _, serving), (before, _, served) = message.rpartition("; "), before.rpartition("; ")
        return serving == served and alike(message, before)
    return reason is Reason.CRASH_LOOP and alike(message, before)


def _autoscaling(seen: Observation, before: Manifest, demand: Demand | NoData | None, now: str) -> Manifest:
    """Without data the last decision stays as it was: it is still the last one. The arithmetic is renewed with the number only."""
    desired = (seen.autoscaler or {}).get("status", {}).get("desiredReplicas")
    shown = AutoscalingStatus(desired_replicas=desired).to_wire()
    if isinstance(demand, Demand) and demand.replicas != before.get("demand"):
        return {**shown, "demand": demand.replicas, "lastDecision": Decision(reason=demand.reason, time=now).to_wire()}
    return {**shown, **{field: before[field] for field in ("demand", "lastDecision") if field in before}}
