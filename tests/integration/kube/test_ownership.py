"""Our reckoning of owned fields against the API server's own bookkeeping."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET, SERVICE, SERVICE_ACCOUNT, Kind, kind_of
from llmfleet.kube.objects import Object
from llmfleet.kube.ownership import Applied, owned_paths, stamped
from llmfleet.kube.schemas import Schemas
from llmfleet.kube.slim import owned_entry, slim_child
from tests.integration.kube.manifests import KINDS, manifest


@pytest.fixture
async def schemas(client: Client) -> Schemas:
    schemas = Schemas(client, (SERVICE_ACCOUNT, SERVICE, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET, CONFIG_MAP))
    await schemas.load()
    return schemas


# What another person or program does to a child: a JSON merge patch for each kind.
EDITS: dict[str, dict[str, Any]] = {
    "ServiceAccount": {"automountServiceAccountToken": True},
    "Service": {"spec": {"selector": {"app": "y"}}},
    "Deployment": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 45}}}},
    "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 50}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 2}},
    "ConfigMap": {"data": {"adapters.json": "[]"}},
}


class Child:
    """One applied child, and whether it is as rendered."""

    def __init__(self, client: Client, schemas: Schemas, wanted: Object) -> None:
        self.client, self.schemas, self.wanted = client, schemas, wanted
        self.kind: Kind = kind_of(wanted)
        self.namespace: str = wanted["metadata"]["namespace"]
        self.name: str = wanted["metadata"]["name"]

    async def apply(self) -> Object:
        return await self.client.apply(stamped(self.wanted), field_manager=names.FIELD_MANAGER)

    async def live(self) -> Object:
        found = await self.client.get(self.kind, self.namespace, self.name)
        assert found is not None
        return found

    async def edit(self, change: Callable[[Object], Any]) -> None:
        """Write the whole object back changed, as kubectl edit does; again where a controller wrote in between."""
        while True:
            live = await self.live()
            change(live)
            try:
                await self.client.replace(self.kind, self.namespace, self.name, live)
            except ApiError as error:
                if not error.conflict:
                    raise
            else:
                return

    async def as_rendered(self) -> bool:
        return Applied().as_rendered(self.kind, slim_child(await self.live()), self.wanted, self.schemas)


@pytest.fixture(params=KINDS)
async def child(request: pytest.FixtureRequest, client: Client, schemas: Schemas, namespace: str) -> Child:
    child = Child(client, schemas, manifest(request.param, namespace))
    await child.apply()
    assert await child.as_rendered()
    return child


async def test_what_we_reckon_is_what_the_server_books(child: Child) -> None:
    booked = json.loads(owned_entry(await child.live()))
    assert booked == owned_paths(stamped(child.wanted), child.schemas)


async def test_applying_again_changes_nothing(child: Child) -> None:
    """Controllers write too, after an apply, but only so often: if our applies change nothing, two in a row meet the same revision."""
    revisions = [(await child.apply())["metadata"]["resourceVersion"] for _ in range(20)]
    assert any(before == after for before, after in pairwise(revisions))


async def test_an_edit_is_seen_and_put_back_by_one_apply(child: Child) -> None:
    await child.client.merge_patch(child.kind, child.namespace, child.name, EDITS[child.kind.kind], field_manager="kubectl-edit")
    assert not await child.as_rendered()
    await child.apply()
    assert await child.as_rendered()


async def test_a_removed_label_is_seen(child: Child) -> None:
    patch = {"metadata": {"labels": {names.LABEL_SERVICE: None}}}
    await child.client.merge_patch(child.kind, child.namespace, child.name, patch, field_manager="kubectl-edit")
    assert not await child.as_rendered()


async def test_a_removed_owner_is_seen(child: Child) -> None:
    await child.client.merge_patch(child.kind, child.namespace, child.name, {"metadata": {"ownerReferences": None}}, field_manager="kubectl-edit")
    assert not await child.as_rendered()


async def test_an_edited_hash_is_seen(child: Child) -> None:
    patch = {"metadata": {"annotations": {names.ANNOTATION_APPLIED: "0"}}}
    await child.client.merge_patch(child.kind, child.namespace, child.name, patch, field_manager="kubectl-edit")
    assert not await child.as_rendered()


async def test_a_forced_apply_of_another_is_seen_and_put_back(child: Child) -> None:
    theirs = {"apiVersion": child.wanted["apiVersion"], "kind": child.kind.kind, "metadata": {"namespace": child.namespace, "name": child.name}}
    await child.client.apply({**theirs, **_granular(EDITS[child.kind.kind], child.wanted)}, field_manager="someone")
    assert not await child.as_rendered()
    await child.apply()
    assert await child.as_rendered()


async def test_a_replace_of_the_whole_object_is_seen(child: Child) -> None:
    await child.edit(lambda live: live["metadata"]["labels"].pop(names.LABEL_SERVICE))
    assert not await child.as_rendered()


async def test_what_others_add_beside_is_left_alone(child: Child) -> None:
    patch = {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}
    await child.client.merge_patch(child.kind, child.namespace, child.name, patch, field_manager="kubectl-edit")
    assert await child.as_rendered()
    await child.apply()
    assert (await child.live())["metadata"]["labels"]["team"] == "a"


async def test_changed_and_back_again_by_another_is_applied_once_more(child: Child) -> None:
    """The value is right again, but it is theirs: one write takes it back. Cheaper than comparing values."""
    before = await child.live()
    await child.client.merge_patch(child.kind, child.namespace, child.name, EDITS[child.kind.kind], field_manager="kubectl-edit")
    back = {key: before[key] for key in EDITS[child.kind.kind]}
    await child.client.merge_patch(child.kind, child.namespace, child.name, back, field_manager="kubectl-edit")
    assert not await child.as_rendered()
    await child.apply()
    assert await child.as_rendered()


@pytest.fixture
async def deployment(client: Client, schemas: Schemas, namespace: str) -> Child:
    child = Child(client, schemas, manifest("Deployment", namespace))
    await child.apply()
    return child


async def test_scaling_is_nobodys_drift(deployment: Child) -> None:
    await deployment.client.set_scale(DEPLOYMENT, deployment.namespace, "x", 3)
    assert await deployment.as_rendered()
    await deployment.apply()
    assert (await deployment.live())["spec"]["replicas"] == 3


async def test_scaling_by_editing_replicas_is_nobodys_drift(deployment: Child) -> None:
    await deployment.client.merge_patch(DEPLOYMENT, deployment.namespace, "x", {"spec": {"replicas": 5}}, field_manager="kubectl-edit")
    assert await deployment.as_rendered()
    await deployment.apply()
    assert (await deployment.live())["spec"]["replicas"] == 5


@pytest.mark.parametrize(
    ("container", "field"),
    [("engine", "image"), ("engine", "args"), ("runtime", "command"), ("engine", "readinessProbe"), ("engine", "volumeMounts")],
)
async def test_an_edited_container_is_seen(deployment: Child, container: str, field: str) -> None:
    def change(live: Object) -> None:
        pod = live["spec"]["template"]["spec"]
        edited = next(one for one in (*pod["containers"], *pod["initContainers"]) if one["name"] == container)
        if field == "volumeMounts":
            edited[field] = [mount for mount in edited[field] if mount["mountPath"] != "/etc/settings"]
        elif field == "readinessProbe":
            del edited[field]
        else:
            edited[field] = "other:1" if field == "image" else ["something", "else"]

    await deployment.edit(change)
    assert not await deployment.as_rendered()
    await deployment.apply()
    assert await deployment.as_rendered()


async def test_a_variable_that_another_adds_to_our_container_is_left_alone(deployment: Child) -> None:
    await deployment.edit(lambda live: live["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "INJECTED", "value": "1"}))
    assert await deployment.as_rendered()


async def test_a_deleted_child_has_no_trace(child: Child) -> None:
    live = await child.live()
    await child.client.delete(child.kind, child.namespace, child.name, uid=live["metadata"]["uid"])
    assert await child.client.get(child.kind, child.namespace, child.name) is None


def _granular(edit: dict[str, Any], wanted: Object) -> dict[str, Any]:
    """An apply must carry what identifies or is required; everything but that is the edit."""
    if wanted["kind"] == "HorizontalPodAutoscaler":
        return {"spec": {**edit["spec"], "scaleTargetRef": wanted["spec"]["scaleTargetRef"]}}
    if wanted["kind"] == "Deployment":
        return {"spec": {**edit["spec"], "selector": wanted["spec"]["selector"]}}
    return edit
