import json
from copy import deepcopy
from typing import Any

import pytest

from llmfleet import names
from llmfleet.kube.kinds import SERVICE
from llmfleet.kube.objects import Object
from llmfleet.kube.ownership import Applied, covers, owned_paths, rendered_hash, stamped
from llmfleet.kube.schemas import Node, merge_rules
from llmfleet.kube.slim import slim_child

# The shape of the API server's OpenAPI v3, cut down to each case there is.
DEFINITIONS: dict[str, Any] = {
    "Service": {
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Service"}],
        "properties": {
            "metadata": {"allOf": [{"$ref": "#/components/schemas/Meta"}], "default": {}},
            "spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}], "default": {}},
        },
    },
    "Meta": {
        "properties": {
            "labels": {"additionalProperties": {"type": "string"}},
            "annotations": {"additionalProperties": {"type": "string"}},
            "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "ownerReferences": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["uid"],
                "items": {"allOf": [{"$ref": "#/components/schemas/Owner"}], "default": {}},
            },
        },
    },
    "Owner": {"x-kubernetes-map-type": "atomic", "properties": {"uid": {"type": "string"}}},
    "Spec": {
        "properties": {
            "selector": {"x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "names": {"type": "array", "items": {"type": "string"}},
            "nested": {"$ref": "#/components/schemas/Spec"},
            "ports": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["protocol", "port"],
                "items": {"allOf": [{"$ref": "#/components/schemas/Port"}], "default": {}},
            },
        }
    },
    "Port": {"properties": {"port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "name": {"type": "string"}}},
}


@pytest.fixture
def rules() -> dict[Any, Node]:
    return dict(merge_rules(DEFINITIONS, [SERVICE]))


def service(**spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns", "name": "x"}, "spec": spec}


def live(manifest: Object, fields: Any, **metadata: Any) -> Object:
    entry = {"manager": names.FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}
    return {**manifest, "metadata": {**manifest["metadata"], "uid": "u", "managedFields": [entry], **metadata}}


def test_what_identifies_the_object_is_nobodys(rules: Any) -> None:
    assert owned_paths(service(names=[]), rules) == {"f:spec": {"f:names": {}}}


def test_atomic_values_are_owned_as_a_whole(rules: Any) -> None:
    assert owned_paths(service(selector={"a": "b"}, names=["x"]), rules)["f:spec"] == {"f:selector": {}, "f:names": {}}


def test_an_empty_map_is_owned_an_empty_list_of_items_is_not(rules: Any) -> None:
    assert owned_paths(service(ports=[], selector={}, nested={}), rules) == {"f:spec": {"f:selector": {}, "f:nested": {}}}
    assert owned_paths(service(ports=[], nested={"ports": []}), rules) == {}


def test_list_items_are_known_by_their_keys_with_defaults_filled_in(rules: Any) -> None:
    assert owned_paths(service(ports=[{"port": 80, "name": "http"}]), rules)["f:spec"]["f:ports"] == {
        'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}
    }


def test_owners_are_atomic_items_and_finalizers_a_set(rules: Any) -> None:
    manifest = service()
    manifest["metadata"] |= {"ownerReferences": [{"uid": "u", "name": "n"}], "finalizers": ["a/b"], "labels": {"a": "b"}}
    assert owned_paths(manifest, rules)["f:metadata"] == {
        "f:labels": {"f:a": {}},
        "f:finalizers": {'v:"a/b"': {}},
        "f:ownerReferences": {'k:{"uid":"u"}': {}},
    }


def test_schemas_that_contain_themselves_are_followed(rules: Any) -> None:
    assert owned_paths(service(nested={"nested": {"ports": [{"port": 1, "protocol": "UDP"}]}}), rules)["f:spec"] == {
        "f:nested": {"f:nested": {"f:ports": {'k:{"port":1,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}}}}}
    }


def test_the_hash_does_not_depend_on_the_order_of_fields_nor_on_its_own_annotation() -> None:
    manifest = service(a=1, b=2)
    assert rendered_hash(manifest) == rendered_hash(service(b=2, a=1)) == rendered_hash(stamped(manifest))
    assert rendered_hash(manifest) != rendered_hash(service(a=1, b=3))
    assert names.ANNOTATION_APPLIED not in json.dumps(manifest)


def test_a_lost_path_is_not_covered_and_an_additional_one_does_not_matter() -> None:
    wanted: dict[str, Any] = {"f:spec": {"f:a": {}, "f:b": {}}}
    assert covers({"f:spec": {"f:a": {}, "f:b": {}, "f:c": {}}}, wanted)
    assert not covers({"f:spec": {"f:a": {}}}, wanted)
    assert not covers({}, wanted)


def test_a_child_as_rendered_needs_no_write(rules: Any) -> None:
    manifest = stamped(service(names=["a"]))
    child = slim_child(live(manifest, owned_paths(manifest, rules)))
    assert Applied().as_rendered(SERVICE, child, manifest, rules)
    assert not Applied().as_rendered(SERVICE, child, service(names=["b"]), rules)


def test_a_foreign_edit_takes_the_path_out_of_our_entry_and_is_seen(rules: Any) -> None:
    manifest = stamped(service(names=["a"], selector={"a": "b"}))
    fields = owned_paths(manifest, rules)
    del fields["f:spec"]["f:selector"]
    assert not Applied().as_rendered(SERVICE, slim_child(live(manifest, fields)), manifest, rules)


def test_a_child_that_we_never_applied_is_not_as_rendered(rules: Any) -> None:
    manifest = stamped(service())
    foreign = live(manifest, owned_paths(manifest, rules))
    foreign["metadata"]["managedFields"][0]["operation"] = "Update"
    assert not Applied().as_rendered(SERVICE, slim_child(foreign), manifest, rules)


def test_a_field_that_the_server_drops_does_not_cause_writes_for_ever(rules: Any) -> None:
    manifest = stamped(service(names=["a"], gated=1))
    fields = owned_paths(manifest, rules)
    del fields["f:spec"]["f:gated"]
    answer, applied = live(manifest, fields), Applied()
    assert not applied.as_rendered(SERVICE, slim_child(answer), manifest, rules)
    applied.remember(SERVICE, answer)
    assert applied.as_rendered(SERVICE, slim_child(answer), manifest, rules)

    edited = deepcopy(fields)
    del edited["f:spec"]["f:names"]
    assert not applied.as_rendered(SERVICE, slim_child(live(manifest, edited)), manifest, rules)
    recreated = live(manifest, fields, uid="another")
    assert not applied.as_rendered(SERVICE, slim_child(recreated), manifest, rules)
    applied.forget(SERVICE, ("ns", "x"))
    assert not applied.as_rendered(SERVICE, slim_child(answer), manifest, rules)
