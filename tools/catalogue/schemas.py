"""What pydantic says of a dataclass of vLLM's, cut down to what a catalogue keeps; run by vLLM's own Python."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Pydantic's names of bounds, and those of JSON schema."""

KEYWORDS = ("type", "enum", "const", "items", "minItems", "maxItems", "minProperties", "prefixItems", "anyOf", "anyCase", "$ref", *BOUNDS.values())
"""Keywords that are kept: those of JSON schema, and "anyCase" for names that are taken in any case, with dashes for underscores."""

BEFORE = "before"
"""Keyword, of ours, of a schema that a function of vLLM's goes before."""


class _Accepted(GenerateJsonSchema):
    """The schema of what vLLM accepts, which is more than the type of the field where a function sees the value first."""

    def function_before_schema(self, schema: Any) -> dict[str, Any]:
        inner = self.generate_inner(schema["schema"])
        return inner if _is_dataclass_schema(schema["schema"]) else {BEFORE: inner}

    def enum_schema(self, schema: Any) -> dict[str, Any]:
        if schema["cls"].__name__ == "AttentionBackendEnum":
            return {}  # a set of its own, because more than the names of the enumeration is taken
        values = [member.value for member in schema["members"]]
        if all(isinstance(value, str) and "." not in value for value in values):
            return {"enum": values, "type": "string"}
        # Paths of classes, numbers and tuples stand behind names.
        return {"enum": [member.name for member in schema["members"]] + [value for value in values if isinstance(value, int)]}

    def function_wrap_schema(self, schema: Any) -> dict[str, Any]:
        # vLLM's wrapping functions let None pass and leave the rest to the type.
        return {"anyOf": [self.generate_inner(schema["schema"]), {"type": "null"}]}

    def function_plain_schema(self, schema: Any) -> dict[str, Any]:
        return {}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}

    def is_instance_schema(self, schema: Any) -> dict[str, Any]:
        return {}

    def callable_schema(self, schema: Any) -> dict[str, Any]:
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        pass


def _is_dataclass_schema(schema: Any) -> bool:
    return schema["type"] in ("dataclass", "dataclass-args", "definitions", "definition-ref")


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema refers to, or itself."""
    resolved: dict[str, Any] = definitions[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    return resolved


def _before(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """Return what is accepted where a function goes before the type: names in any case, or else a text besides what the type takes, if that is no map."""
    branches = _resolved(schema, definitions).get("anyOf", [schema])
    branches = [deeper for branch in branches for deeper in _resolved(branch, definitions).get("anyOf", [branch])]
    resolved = [_resolved(branch, definitions) for branch in branches]
    if any("enum" in branch for branch in resolved) and all("enum" in branch or branch.get("type") == "null" for branch in resolved):
        return reduced({"anyOf": [branch | {"anyCase": True} if "enum" in branch else branch for branch in resolved]}, definitions)
    is_map = all(branch.get("type") == "null" or isinstance(branch.get("additionalProperties"), dict) for branch in branches)
    return reduced({"anyOf": branches if is_map else [*branches, {"type": "string"}]}, definitions)


def reduced(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema without titles, descriptions and defaults, references by bare name."""
    if schema is True or schema == {}:
        return {}
    if BEFORE in schema:
        return _before(schema[BEFORE], definitions)
    kept: dict[str, Any] = {}
    for keyword in KEYWORDS:
        if keyword not in schema:
            continue
        value = schema[keyword]
        if keyword == "$ref":
            if not {*KEYWORDS, "properties", BEFORE} & _resolved(schema, definitions).keys():
                return {}
            value = value.rsplit("/", 1)[-1]
        elif keyword == "items":
            value = reduced(value, definitions)
        elif keyword in ("anyOf", "prefixItems"):
            value = [reduced(each, definitions) for each in value]
            if keyword == "anyOf":
                flat = [branch for each in value for branch in each.get("anyOf", [each])]
                value = [branch for place, branch in enumerate(flat) if branch not in flat[:place]]
        kept[keyword] = value
    if kept.get("anyOf") and {} in kept["anyOf"]:
        return {}
    if len(kept.get("anyOf", ())) == 1:
        return kept["anyOf"][0]
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and (of_each := reduced(values, definitions)):
        kept["additionalProperties"] = of_each
    if "oneOf" in schema or "allOf" in schema:
        return {}
    return kept


def references(schema: Any) -> set[str]:
    """Return the names that a schema, or anything that holds schemas, refers to."""
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*(references(value) for value in schema.values()))
    return set().union(*(references(value) for value in schema)) if isinstance(schema, list) else set()


def accepted(kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of what vLLM accepts for a dataclass, and the definitions that it refers to; neither is reduced yet."""
    schema: dict[str, Any] = TypeAdapter[Any](kind).json_schema(schema_generator=_Accepted)
    return schema, schema.pop("$defs", {})
