"""All children of one service, in the order in which they are applied."""

from llmfleet.resources import adapters, autoscaler, disruption_budget, service, service_account
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.resources.deployment import DeploymentWorkload
from llmfleet.resources.location import locate
from llmfleet.resources.workload import Workload


def workload() -> Workload:
    """Return how the replicas run; so far there is one way, and this is the only place that chooses it."""
    return DeploymentWorkload()


def children(blueprint: Blueprint) -> tuple[Manifest, ...]:
    """Return every child that should exist, the workload first.

    First, because it alone can be refused for what a user wrote: then nothing else has been changed.
    """
    chosen = workload()
    rendered = [chosen.build(blueprint), service_account.build(blueprint), service.build(blueprint), disruption_budget.build(blueprint)]
    if blueprint.spec.adapters.enabled:
        rendered.append(adapters.build(blueprint, locate(blueprint).adapters))
    if blueprint.spec.autoscaling is not None:
        rendered.append(autoscaler.build(blueprint, blueprint.spec.autoscaling, chosen.scale_target(blueprint.owner)))
    return tuple(rendered)
