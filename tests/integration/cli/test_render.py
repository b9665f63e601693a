"""What `llmfleet render` prints is what the operator applies: to the byte that the hash is over, and path by path."""

import json
import subprocess
import sys
from typing import Any

import yaml

from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import kind_of
from llmfleet.kube.ownership import covers, owned_paths
from llmfleet.kube.schemas import Schemas
from llmfleet.kube.slim import slim_child
from tests.integration.kubelet import Kubelet
from tests.integration.operator_process import Operator, quiet, service

RUNTIME_IMAGE = "registry.example/llmfleet-runtime:test"
"""As tests.integration.operator_process sets it."""

SPECS: dict[str, dict[str, Any]] = {
    "small": {},
    "scaled": {"autoscaling": {"maxReplicas": 3}, "engine": {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]}},
    "cached": {"model": {"source": "hf://a/b", "cache": {"storage": "1Gi"}}, "parallelism": {"tensor": 2}},
    "shaped": {
        "model": {"source": "hf://a/b@main", "servedNames": ["one", "two"]},
        "adapters": {"items": [{"name": "sql", "source": "hf://a/sql"}]},
        "access": {"apiKeys": [{"secretKeyRef": {"name": "keys", "key": "one"}}]},
        "template": {"metadata": {"labels": {"team": "a"}}, "spec": {"nodeSelector": {"pool": "b"}, "priorityClassName": "high"}},
    },
}


def rendered(*arguments: str, given: object) -> list[dict[str, Any]]:
    text = yaml.safe_dump_all(given) if isinstance(given, list) else json.dumps(given)
    command = [sys.executable, "-m", "llmfleet", "render", "-f", "-", f"--runtime-image={RUNTIME_IMAGE}", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _within(wanted: Any, live: Any) -> bool:
    """Whether everything wanted is there as it is wanted; the API server fills in the rest."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(name in live and _within(value, live[name]) for name, value in wanted.items())
    return bool(wanted == live)


async def test_what_is_rendered_is_what_is_applied(operator: Operator, kubelet: Kubelet, client: Client, kubectl: Kubectl, namespace: str) -> None:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace}, "data": {"a": "1"}}
    services = [service(name, namespace, **spec) for name, spec in SPECS.items()]
    kubectl.must("apply", "-f", "-", given=[config_map, *services])

    await quiet(operator, namespace)
    manifests: list[dict[str, Any]] = []
    for written in services:
        manifests += rendered(given=[kubectl.get("llm", written["metadata"]["name"], namespace), config_map])
    assert {manifest["kind"] for manifest in manifests} >= {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "HorizontalPodAutoscaler"}

    schemas = Schemas(client, {kind_of(manifest) for manifest in manifests})
    await schemas.load()
    for manifest in manifests:

        async def applied(manifest: dict[str, Any] = manifest) -> dict[str, Any] | None:
            return await client.get(kind_of(manifest), namespace, manifest["metadata"]["name"])

        live = await eventually(applied, within_seconds=40, what=f"{manifest['kind']} {manifest['metadata']['name']} is applied")
        if manifest["kind"] == "PersistentVolumeClaim":
            assert _within(manifest, live), "made once, and never applied again"
            continue
        assert live["metadata"]["annotations"]["llmfleet.dev/applied"] == manifest["metadata"]["annotations"]["llmfleet.dev/applied"]
        assert covers(json.loads(slim_child(live)["owned"]), owned_paths(manifest, schemas)), "and nothing but what was rendered is ours:"
        assert covers(owned_paths(manifest, schemas), json.loads(slim_child(live)["owned"]))


async def test_from_a_file_it_is_the_same_but_for_what_the_cluster_assigns(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    for name, spec in SPECS.items():
        written = service(name, namespace, **spec)
        kubectl.must("apply", "-f", "-", given=written)
        stored, of_a_file = rendered(given=[kubectl.get("llm", name, namespace)]), rendered(given=[written])
        for manifest in stored:
            if manifest["metadata"].pop("ownerReferences", None):
                del manifest["metadata"]["annotations"]["llmfleet.dev/applied"]
            if not manifest["metadata"].get("annotations", {"any": "kept"}):
                del manifest["metadata"]["annotations"]
        assert of_a_file == stored


async def test_what_is_rendered_from_a_file_can_be_applied_by_hand(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    """To look at what the API server makes of it, without an operator."""
    text = yaml.safe_dump_all(rendered("--all", given=service("hand", namespace, **SPECS["cached"])))
    kubectl.must("apply", "--server-side", "--dry-run=server", "-f", "-", given=text)
