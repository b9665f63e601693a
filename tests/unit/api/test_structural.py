"""The rules of structural schemas, checked over the whole definition, so that a new field cannot break the CRD on a server only."""

from collections.abc import Iterator
from typing import Any

import pytest

from llmfleet.api.crd import accelerator_profile_crd, llmservice_crd
from llmfleet.api.structural import structural
from llmfleet.api.v1alpha1 import Engine, PodTemplate

FORBIDDEN = {
    *("$ref", "$defs", "definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly", "writeOnly", "xml"),
    *("prefixItems", "const", "propertyNames", "uniqueItems", "title"),
}


def nodes(schema: dict[str, Any], path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from nodes(schema[inner], f"{path}[]")


ROOTS = [crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in (llmservice_crd(), accelerator_profile_crd())]
NODES = [node for root in ROOTS for part in ("spec", "status") if part in root["properties"] for node in nodes(root["properties"][part], part)]


def breaks(schema: dict[str, Any]) -> list[str]:
    """The structural rules that one node breaks (kubernetes.io, "Specifying a structural schema")."""
    found = [f"forbidden {key}" for key in sorted(FORBIDDEN & schema.keys())]
    any_type = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not any_type and not isinstance(schema.get("type"), str):
        found.append("no single type")
    if "properties" in schema and "additionalProperties" in schema:
        found.append("properties beside additionalProperties")
    if isinstance(schema.get("additionalProperties"), bool):
        found.append("additionalProperties is a boolean")
    if schema.get("type") == "array" and "items" not in schema:
        found.append("array without items")
    if {"anyOf", "oneOf", "allOf", "not"} & schema.keys() and not schema.get("x-kubernetes-int-or-string"):
        found.append("a union that is not int-or-string")
    found += [f"{bound} is a number" for bound in ("exclusiveMinimum", "exclusiveMaximum") if not isinstance(schema.get(bound, True), bool)]
    return found


def test_the_definition_is_structural() -> None:
    assert {path: found for path, schema in NODES if (found := breaks(schema))} == {}


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        ({"$ref": "#/x", "type": "object"}, "forbidden $ref"),
        ({}, "no single type"),
        ({"type": "array"}, "array without items"),
        ({"type": "object", "properties": {}, "additionalProperties": {}}, "properties beside additionalProperties"),
        ({"type": "string", "anyOf": [{"minLength": 1}]}, "a union that is not int-or-string"),
        ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum is a number"),
    ],
)
def test_the_checker_sees_a_broken_rule(schema: dict[str, Any], rule: str) -> None:
    assert rule in breaks(schema)


def test_every_list_map_and_string_is_bounded() -> None:
    """The server estimates the cost of CEL from these bounds, and refuses the definition where it cannot."""
    bounds = {"array": "maxItems", "string": "maxLength"}
    unbounded = [path for path, schema in NODES if (bound := bounds.get(schema.get("type", ""))) and bound not in schema and "enum" not in schema]
    unbounded += [path for path, schema in NODES if "additionalProperties" in schema and "maxProperties" not in schema]
    assert unbounded == []


def test_every_field_is_described() -> None:
    assert [path for path, schema in NODES if not path.endswith("]") and not schema.get("description")] == []


def test_the_schema_holds_no_default() -> None:
    assert [path for path, schema in NODES if "default" in schema] == []


def test_keys_of_list_maps_are_required_fields_of_their_items() -> None:
    lists = {path: schema for path, schema in NODES if schema.get("x-kubernetes-list-type") == "map"}
    assert {path.rsplit(".", 1)[1] for path in lists} == {"env", "items", "conditions", "adapters"}
    for schema in lists.values():
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"])


def test_an_exclusive_bound_is_a_boolean_as_in_openapi_3_0() -> None:
    share = structural(Engine)["properties"]["memoryUtilization"]
    assert (share["minimum"], share["exclusiveMinimum"], share["maximum"]) == (0, True, 1)


def test_the_pods_overrides_keep_what_the_schema_does_not_know() -> None:
    spec = structural(PodTemplate)["properties"]["spec"]
    assert (spec["type"], spec["x-kubernetes-preserve-unknown-fields"]) == ("object", True)
    assert "x-kubernetes-preserve-unknown-fields" not in structural(PodTemplate)["properties"]["metadata"]
