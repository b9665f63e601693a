"""Node drains take one engine at a time."""

from llmfleet.resources.blueprint import Blueprint, Manifest


def build(blueprint: Blueprint) -> Manifest:
    """Return the PodDisruptionBudget `<name>-engine`.

    maxUnavailable, not minAvailable: with one replica a drain must still be possible. Replicas that are stuck count as unavailable from the start: a drain
    would wait for ever for them to answer before it may take one that does. AlwaysAllow: a pod that does not answer anyway must not block the drain of its
    own node.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": blueprint.owner.metadata(blueprint.owner.engine_name),
        "spec": {
            "maxUnavailable": 1 + blueprint.stuck_replicas,
            "selector": {"matchLabels": blueprint.owner.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
