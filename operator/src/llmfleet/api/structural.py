"""pydantic's JSON schema made into a structural OpenAPI v3 schema, the only kind that a CustomResourceDefinition takes.

Differences, each a refusal by the API server (kubernetes.io, "Specifying a structural schema"): no $ref, no unions but int-or-string, no
null, no additionalProperties beside properties, numeric exclusive bounds as OpenAPI 3.0 booleans. Defaults are left out on purpose: they
live in Python, so that a new default never changes what a stored object says, and an absent parent needs no default of its own.
"""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

Schema = dict[str, Any]

DROPPED: Final = ("title", "default", "additionalProperties", "const", "propertyNames")
"""Keywords without a place in a structural schema, or with none in ours; additionalProperties comes back where it describes a map, and the
names in a map are checked when the object is read (planning.parse)."""


class _WithoutNull(GenerateJsonSchema):
    """Optional fields are absent, never null: the API server prunes or refuses nulls."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        return self.generate_inner(schema["schema"])


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with everything inlined and descriptions from docstrings."""
    root = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_WithoutNull)
    return _inlined(root, root.pop("$defs", {}))


def _inlined(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    if reference := schema.get("$ref"):
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definitions[reference.rsplit("/", 1)[1]], **beside}, definitions)
    out = {key: value for key, value in schema.items() if key not in DROPPED}
    if "const" in schema:
        out["enum"] = [schema["const"]]
    if "description" in out:
        out["description"] = " ".join(out["description"].split())
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in out:
            out[bound], out[exclusive] = out[exclusive], True
    if "properties" in out:
        out["properties"] = {name: _inlined(field, definitions) for name, field in out["properties"].items()}
    if "items" in out:
        out["items"] = _inlined(out["items"], definitions)
    out.update(_additional(schema.get("additionalProperties"), definitions))
    return out


def _additional(additional: Schema | bool | None, definitions: dict[str, Schema]) -> Schema:
    """A map keeps the schema of its values; a model that lets everything through says so in Kubernetes' way; pruning is the default."""
    if isinstance(additional, dict):
        return {"additionalProperties": _inlined(additional, definitions)}
    return {"x-kubernetes-preserve-unknown-fields": True} if additional else {}
