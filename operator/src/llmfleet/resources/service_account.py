"""The engine pods' account: it may do nothing, and no token is mounted."""

from llmfleet.resources.blueprint import Blueprint, Manifest


def build(blueprint: Blueprint) -> Manifest:
    """Return the ServiceAccount `<name>-engine`."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": blueprint.owner.metadata(blueprint.owner.engine_name),
        "automountServiceAccountToken": False,
    }
