"""What others do to a child is undone, with one write for each child; what belongs to others is left alone."""

import json
from collections.abc import Callable
from typing import Any

from e2e.kubectl import Kubectl
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET, SERVICE, SERVICE_ACCOUNT, Kind
from llmfleet.kube.objects import Object, uid_of
from tests.integration.operator_process import Operator, condition, quiet, service, status_of

CHILDREN: dict[Kind, tuple[str, dict[str, Any]]] = {
    DEPLOYMENT: ("one-engine", {"spec": {"progressDeadlineSeconds": 60}}),
    SERVICE_ACCOUNT: ("one-engine", {"automountServiceAccountToken": True}),
    SERVICE: ("one", {"spec": {"selector": {"llmfleet.dev/role": "nobody"}}}),
    POD_DISRUPTION_BUDGET: ("one-engine", {"spec": {"maxUnavailable": 7}}),
    CONFIG_MAP: ("one-adapters", {"data": {"adapters.json": "[]"}}),
    HORIZONTAL_POD_AUTOSCALER: ("one-engine", {"spec": {"maxReplicas": 9}}),
}
"""Each kind of child, its name, and a change to a field of ours."""

EVERYTHING: dict[str, Any] = {"autoscaling": {"maxReplicas": 3}, "adapters": {"items": [{"name": "sql", "source": "pvc://models/adapter"}]}}
"""What makes one child of each kind."""

Act = Callable[[Kind, str, dict[str, Any]], object]


async def _children(client: Client, namespace: str) -> dict[Kind, Object]:
    found = {kind: await client.get(kind, namespace, name) for kind, (name, _) in CHILDREN.items()}
    return {kind: child for kind, child in found.items() if child is not None}


def _content(child: Object) -> object:
    """What a child says, without who wrote it when."""
    return {name: value for name, value in child.items() if name not in ("metadata", "status")} | {"labels": child["metadata"].get("labels")}


async def _undone(operator: Operator, kubectl: Kubectl, client: Client, namespace: str, act: Act) -> tuple[list[str], dict[Kind, Object], dict[Kind, Object]]:
    """Make a service, do something to each of its children; returns the writes that answered it, and the children before and after."""
    kubectl.must("apply", "-f", "-", given=service("one", namespace, **EVERYTHING))
    writes = await quiet(operator, namespace, seconds=7)  # longer than the HPA controller's period: its first conditions are shown
    before = await _children(client, namespace)
    assert len(before) == len(CHILDREN)
    for kind, (name, change) in CHILDREN.items():
        act(kind, name, change)
    answers = (await quiet(operator, namespace))[len(writes) :]
    return sorted(str(write) for write in answers if write.resource != "llmservices/status"), before, await _children(client, namespace)


def _one_each(status: int) -> list[str]:
    return sorted(f"patch {kind.plural} {name} {status}" for kind, (name, _) in CHILDREN.items())


async def test_edited_children_are_put_back_with_one_write_each(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    def edit(kind: Kind, name: str, change: dict[str, Any]) -> None:
        patched = kubectl("-n", namespace, "patch", kind.plural, name, "--type=merge", "-p", json.dumps(change), "--field-manager=kubectl-edit")
        assert patched.returncode == 0, patched.stderr

    writes, before, after = await _undone(operator, kubectl, client, namespace, edit)
    assert writes == _one_each(200)
    assert {kind: _content(child) for kind, child in before.items()} == {kind: _content(child) for kind, child in after.items()}


async def test_children_that_another_manager_applied_are_put_back_with_one_write_each(
    operator: Operator, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    def apply(kind: Kind, name: str, change: dict[str, Any]) -> None:
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, "namespace": namespace}, **change}
        applied = kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=someone", "-f", "-", given=manifest)
        assert applied.returncode == 0, applied.stderr

    writes, before, after = await _undone(operator, kubectl, client, namespace, apply)
    assert writes == _one_each(200)
    assert {kind: _content(child) for kind, child in before.items()} == {kind: _content(child) for kind, child in after.items()}


async def test_deleted_children_come_back_with_one_write_each(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    def delete(kind: Kind, name: str, _: dict[str, Any]) -> None:
        deleted = kubectl("-n", namespace, "delete", kind.plural, name, "--wait=false")
        assert deleted.returncode == 0, deleted.stderr

    writes, before, after = await _undone(operator, kubectl, client, namespace, delete)
    assert writes == _one_each(201)
    assert all(uid_of(before[kind]) != uid_of(after[kind]) for kind in CHILDREN)


async def test_children_that_lost_their_labels_get_them_back(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    def unlabel(kind: Kind, name: str, _: dict[str, Any]) -> None:
        kubectl.must("-n", namespace, "label", kind.plural, name, "app.kubernetes.io/managed-by-")

    writes, before, after = await _undone(operator, kubectl, client, namespace, unlabel)
    assert writes == _one_each(200)
    assert {kind: _content(child) for kind, child in before.items()} == {kind: _content(child) for kind, child in after.items()}


async def test_a_foreign_service_is_left_alone_and_named(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    spec = {"selector": {"app": "shop"}, "ports": [{"port": 80}]}
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "namespace": namespace}, "spec": spec}
    kubectl.must("apply", "-f", "-", given=foreign)
    before = await client.get(SERVICE, namespace, "one")
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    await quiet(operator, namespace)

    assert await client.get(SERVICE, namespace, "one") == before
    ready = condition(await status_of(client, namespace, "one"), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ForeignObject")
    assert "Service one exists and does not belong to this LLMService" in ready["message"]
    assert await client.get(DEPLOYMENT, namespace, "one-engine") is not None, "its siblings are made"


async def test_a_deleted_service_takes_all_its_children_with_it(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, **EVERYTHING))
    await quiet(operator, namespace)
    kubectl.must("-n", namespace, "delete", "llm", "one", "--cascade=foreground", "--timeout=60s")
    await quiet(operator, namespace)

    assert await _children(client, namespace) == {}


async def test_a_service_made_anew_under_the_same_name_gets_its_own_children(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    wanted = service("one", namespace, **EVERYTHING)
    kubectl.must("apply", "-f", "-", given=wanted)
    await quiet(operator, namespace)
    kubectl.must("replace", "--force", "-f", "-", given=wanted)
    await quiet(operator, namespace, seconds=5)

    assert condition(await status_of(client, namespace, "one"), "Ready")["reason"] != "ForeignObject"
    owners = {child["metadata"]["ownerReferences"][0]["uid"] for child in (await _children(client, namespace)).values()}
    assert len(await _children(client, namespace)) == len(CHILDREN)
    assert len(owners) == 1
