"""What the API server really answers, and how the client sorts it."""

from collections.abc import Callable
from typing import Any

import pytest

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE
from llmfleet.kube.objects import Object
from tests.integration.kube.manifests import manifest


def config_map(namespace: str, name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name, "labels": {"a": name[0]}}, "data": data}


def engine(template: Object) -> Any:
    return template["spec"]["template"]["spec"]["containers"][0]


MISTAKES: dict[str, tuple[Callable[[Object], Any], str]] = {
    "an unknown field": (lambda it: engine(it).update(foo=1), "foo: field not declared in schema"),
    "no quantity": (lambda it: engine(it)["resources"]["requests"].update(cpu="abc"), "quantities must match"),
    "a variable twice": (lambda it: engine(it)["env"].append({"name": "HOME"}), 'duplicate entries for key [name="HOME"]'),
    "a number as variable": (lambda it: engine(it)["env"].append({"name": "N", "value": 1}), "expected string"),
    "a port twice": (lambda it: engine(it)["ports"].append({"containerPort": 8000}), "duplicate entries for key"),
    "a volume that is not there": (lambda it: engine(it)["volumeMounts"].append({"name": "nix", "mountPath": "/x"}), 'Not found: "nix"'),
    "a wrong value": (lambda it: engine(it).update(imagePullPolicy="Maybe"), 'Unsupported value: "Maybe"'),
    "a missing value": (lambda it: engine(it).pop("image"), "Required value"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_what_can_never_be_accepted_is_invalid_in_the_servers_words(client: Client, namespace: str, mistake: str) -> None:
    make, words = MISTAKES[mistake]
    wanted = manifest("Deployment", namespace)
    make(wanted)
    with pytest.raises(ApiError) as caught:
        await client.apply(wanted, field_manager=names.FIELD_MANAGER)
    assert caught.value.invalid
    assert not caught.value.retryable
    assert words in caught.value.message


async def test_a_namespace_that_does_not_exist(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        await client.apply(config_map("nowhere", "x"), field_manager=names.FIELD_MANAGER)
    assert caught.value.namespace_terminating


async def test_a_namespace_that_is_being_deleted(client: Client, namespace: str) -> None:
    found = await client.get(NAMESPACE, None, namespace)
    assert found is not None
    await client.delete(NAMESPACE, None, namespace, uid=found["metadata"]["uid"])
    with pytest.raises(ApiError) as caught:
        await client.apply(config_map(namespace, "x"), field_manager=names.FIELD_MANAGER)
    assert caught.value.namespace_terminating


async def test_an_apply_creates_changes_and_removes_what_it_no_longer_says(client: Client, namespace: str) -> None:
    await client.apply(config_map(namespace, "x", a="1", b="1"), field_manager="me")
    stored = await client.apply(config_map(namespace, "x", a="2"), field_manager="me")
    assert stored["data"] == {"a": "2"}


async def test_an_apply_with_the_uid_of_a_predecessor_is_a_conflict(client: Client, namespace: str) -> None:
    """So an object deleted and made again by somebody else between our look and our write is not taken over."""
    wanted = config_map(namespace, "x")
    wanted["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(ApiError) as caught:
        await client.apply(wanted, field_manager="me")
    assert caught.value.conflict
    await client.create(config_map(namespace, "x"))
    with pytest.raises(ApiError) as caught:
        await client.apply(wanted, field_manager="me")
    assert caught.value.conflict


async def test_a_replace_with_an_old_revision_is_a_conflict(client: Client, namespace: str) -> None:
    old = await client.create(config_map(namespace, "x", a="1"))
    await client.replace(CONFIG_MAP, namespace, "x", {**old, "data": {"a": "2"}})
    with pytest.raises(ApiError) as caught:
        await client.replace(CONFIG_MAP, namespace, "x", {**old, "data": {"a": "3"}})
    assert caught.value.conflict
    assert caught.value.retryable


async def test_creating_what_exists_is_a_conflict(client: Client, namespace: str) -> None:
    await client.create(config_map(namespace, "x"))
    with pytest.raises(ApiError) as caught:
        await client.create(config_map(namespace, "x"))
    assert caught.value.conflict


async def test_only_the_very_object_is_deleted(client: Client, namespace: str) -> None:
    stored = await client.create(config_map(namespace, "x"))
    with pytest.raises(ApiError) as caught:
        await client.delete(CONFIG_MAP, namespace, "x", uid="00000000-0000-0000-0000-000000000000")
    assert caught.value.conflict
    await client.delete(CONFIG_MAP, namespace, "x", uid=stored["metadata"]["uid"])
    assert await client.get(CONFIG_MAP, namespace, "x") is None
    await client.delete(CONFIG_MAP, namespace, "x", uid=stored["metadata"]["uid"])


async def test_a_long_list_comes_in_pages_of_one_revision(client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmfleet.kube.client._PAGE", 2)
    for name in ("a1", "a2", "a3", "a4", "a5", "b1"):
        last = await client.create(config_map(namespace, name))
    listing = await client.list(CONFIG_MAP, namespace=namespace, label_selector="a=a")
    assert [found["metadata"]["name"] for found in listing] == ["a1", "a2", "a3", "a4", "a5"]
    assert int(listing.resource_version) >= int(last["metadata"]["resourceVersion"])
    assert {found["kind"] for found in listing} == {"ConfigMap"}


async def test_scaling_goes_through_the_subresource(client: Client, namespace: str) -> None:
    await client.apply(manifest("Deployment", namespace), field_manager=names.FIELD_MANAGER)
    scale = await client.set_scale(DEPLOYMENT, namespace, "x", 7)
    assert scale["spec"]["replicas"] == 7
    found = await client.get(DEPLOYMENT, namespace, "x")
    assert found is not None
    assert found["spec"]["replicas"] == 7
