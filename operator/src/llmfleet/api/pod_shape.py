"""What Kubernetes takes as a pod template: which fields there are, of which type, and by which keys the items of a list are known.

The table beside this module (pod_shape.json) is made from the API server's own OpenAPI document; an integration test compares it with the server's
answer. Shipped rather than asked for, because `llmfleet render` and `validate` work without a cluster.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

Kind = Literal["object", "map", "list", "string", "integer", "number", "boolean", "quantity", "intOrString"]

ROOT: Final = "PodTemplateSpec"


@dataclass(frozen=True, slots=True)
class Shape:
    """What one place in a pod template takes."""

    kind: Kind
    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    """Of an object: its fields."""
    required: tuple[str, ...] = ()
    """Of an object: the fields that it must have."""
    inner: "Shape | None" = None
    """Of a map: each value; of a list: each item."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Of a list whose items are merged one by one: the fields by which an item is known, each with its default or ''. Empty: replaced whole."""
    choices: tuple[str, ...] = ()
    """Of a string: all that it may be; empty is anything."""

    def identity(self, item: object) -> tuple[str | int, ...] | None:
        """What tells an item of this list from the others; None where it is no item of such a list, or lacks a key."""
        if not self.keys or not isinstance(item, Mapping):
            return None
        values = [item.get(key, default or None) for key, default in self.keys.items()]
        scalars = tuple(value for value in values if isinstance(value, str | int))
        return scalars if len(scalars) == len(values) else None


@cache
def pod_template() -> Shape:
    """The shape of a PodTemplateSpec, but for its metadata."""
    definitions: Mapping[str, Any] = _document()["definitions"]
    known: dict[str, Shape] = {}

    def definition(name: str) -> Shape:
        if name not in known:
            entry = definitions[name]
            fields = {key: shape(node) for key, node in entry["fields"].items()}
            known[name] = Shape("object", fields=fields, required=tuple(entry.get("required", ())))
        return known[name]

    def shape(node: Mapping[str, Any]) -> Shape:
        if "ref" in node:
            return definition(node["ref"])
        if "list" in node:
            keys = {key: "" if default is None else str(default or "") for key, default in node.get("keys", {}).items()}
            return Shape("list", inner=shape(node["list"]), keys=keys)
        if "map" in node:
            return Shape("map", inner=shape(node["map"]))
        if node["type"] == "object":
            return Shape("map")
        return Shape(node["type"], choices=tuple(node.get("choices", ())))

    return definition(ROOT)


def kubernetes_version() -> str:
    """The Kubernetes release of the table, such as 1.36."""
    return str(_document()["kubernetes"])


@cache
def _document() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(files(__package__).joinpath("pod_shape.json").read_text(encoding="utf-8"))
    return document
