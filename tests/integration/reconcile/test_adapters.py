"""Adapters of running engines: what changes of them reaches the list beside the pods, and the pods are left alone."""

import json
from typing import Any

from e2e.kubectl import Kubectl
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import CONFIG_MAP, DEPLOYMENT
from tests.integration.operator_process import Operator, Write, condition, quiet, service, status_of

SQL = {"name": "sql", "source": "pvc://models/adapter"}
LAW = {"name": "law", "source": "hf://example-org/law-lora@v1"}


def adapted(namespace: str, *items: dict[str, Any]) -> dict[str, Any]:
    return service("one", namespace, adapters={"maxRank": 8, "items": list(items)})


def to_children(writes: list[Write]) -> list[str]:
    """Without what may still be said of the service, and of the look at its model, on a busy machine."""
    return [str(write) for write in writes if write.resource not in ("llmservices/status", "jobs")]


async def listed(client: Client, namespace: str) -> list[str]:
    """Names of the list's adapters."""
    config_map = await client.get(CONFIG_MAP, namespace, "one-adapters")
    assert config_map is not None
    return [adapter["name"] for adapter in json.loads(config_map["data"]["adapters.json"])]


async def generation(client: Client, namespace: str) -> int:
    """Of the workload: moves with every change of its specification."""
    deployment = await client.get(DEPLOYMENT, namespace, "one-engine")
    assert deployment is not None
    found: int = deployment["metadata"]["generation"]
    return found


async def test_items_that_come_and_go_cost_one_write_to_the_list_and_no_new_pod(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=adapted(namespace, SQL))
    before = await quiet(operator, namespace)
    revision = await generation(client, namespace)
    assert await listed(client, namespace) == ["sql"]

    for items in ([SQL, LAW], [LAW], []):
        kubectl.must("apply", "-f", "-", given=adapted(namespace, *items))
        after = await quiet(operator, namespace)
        assert to_children(after[len(before) :]) == ["patch configmaps one-adapters 200"]
        assert await listed(client, namespace) == [item["name"] for item in items]
        assert await generation(client, namespace) == revision
        before = after


async def test_a_list_whose_content_was_edited_is_put_back(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=adapted(namespace, SQL))
    before = await quiet(operator, namespace)
    kubectl.must("-n", namespace, "patch", "configmap", "one-adapters", "--type=merge", "-p", json.dumps({"data": {"adapters.json": "nonsense"}}))
    after = await quiet(operator, namespace)
    assert to_children(after[len(before) :]) == ["patch configmaps one-adapters 200"]
    assert await listed(client, namespace) == ["sql"]


async def test_a_service_without_adapters_keeps_no_list(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=adapted(namespace, SQL))
    await quiet(operator, namespace)
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    await quiet(operator, namespace)
    assert await client.get(CONFIG_MAP, namespace, "one-adapters") is None


async def test_a_config_map_of_somebody_else_is_left_alone_and_named(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one-adapters", "namespace": namespace}, "data": {"adapters.json": "mine"}}
    kubectl.must("apply", "-f", "-", given=foreign)
    before = await client.get(CONFIG_MAP, namespace, "one-adapters")
    kubectl.must("apply", "-f", "-", given=adapted(namespace, SQL))
    await quiet(operator, namespace)

    assert await client.get(CONFIG_MAP, namespace, "one-adapters") == before
    ready = condition(await status_of(client, namespace, "one"), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ForeignObject")
    assert "ConfigMap one-adapters exists and does not belong to this LLMService" in ready["message"]
