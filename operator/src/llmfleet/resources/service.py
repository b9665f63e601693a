"""The address that clients use."""

from llmfleet import names
from llmfleet.resources.blueprint import Blueprint, Manifest, Owner


def build(blueprint: Blueprint) -> Manifest:
    """Return the Service `<name>`: port 80 to vLLM's port of every ready engine pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": blueprint.owner.metadata(blueprint.owner.name),
        "spec": {
            # Said, and so put back: the endpoint asks nobody for a key, and must not become public by an edit.
            "type": "ClusterIP",
            "selector": blueprint.owner.selector,
            "ports": [{"name": names.PORT_HTTP, "port": names.SERVICE_PORT, "targetPort": names.PORT_HTTP, "protocol": "TCP"}],
        },
    }


def url(owner: Owner) -> str:
    """Base URL for OpenAI clients inside the cluster."""
    return f"http://{owner.name}.{owner.namespace}.svc/v1"
