"""The HPA follows one number: the replicas that the work in sight asks for."""

from typing import Any

from llmfleet import names
from llmfleet.api.v1alpha1 import Autoscaling
from llmfleet.resources.blueprint import Blueprint, Manifest


def build(blueprint: Blueprint, autoscaling: Autoscaling, scale_target: Manifest) -> Manifest:
    """Return the HorizontalPodAutoscaler `<name>-engine`.

    The arithmetic is ours, in replicas; the HPA is the actuator. Hence AverageValue 1 (desired = ceil(demand)) and tolerance
    0: the default of 10 % would swallow a demand of 11 on 10 replicas.
    """
    owner = blueprint.owner
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": owner.metadata(owner.engine_name),
        "spec": {
            "scaleTargetRef": scale_target,
            "minReplicas": autoscaling.min_replicas,
            "maxReplicas": autoscaling.max_replicas,
            "metrics": [
                {
                    "type": "Object",
                    "object": {
                        "describedObject": {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "name": owner.name},
                        "metric": {"name": names.METRIC_DEMAND},
                        "target": {"type": "AverageValue", "averageValue": "1"},
                    },
                }
            ],
            "behavior": _behavior(autoscaling),
        },
    }


def _behavior(autoscaling: Autoscaling) -> Manifest:
    wanted: dict[str, Any] = {}
    if autoscaling.behavior is not None:
        wanted = autoscaling.behavior.to_wire()
    return {direction: {"tolerance": "0", **wanted.get(direction, {})} for direction in ("scaleUp", "scaleDown")}
