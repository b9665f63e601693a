"""Node drains take one engine at a time."""

from llmfleet.resources.blueprint import Blueprint, Manifest


def build(blueprint: Blueprint) -> Manifest:
    """Return the PodDisruptionBudget `<name>-engine`.

    maxUnavailable, not minAvailable: with one replica a drain must still be possible. AlwaysAllow: a pod that does not
    answer anyway must not block the drain of its node.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": blueprint.owner.metadata(blueprint.owner.engine_name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": blueprint.owner.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
