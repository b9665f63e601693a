"""How the API server merges the kinds that we apply: which maps and lists are taken apart field by field, and by which keys list items are known.

Read from the server that is there rather than shipped, because it differs by version, and the server's word is what its bookkeeping follows. Fetched once,
and reduced to a tree of merge rules: the documents have megabytes, the trees some hundred small nodes.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from llmfleet.kube.client import Client
from llmfleet.kube.kinds import Kind


@dataclass(slots=True)
class Node:
    """How one value is merged. With nothing set it is atomic: one owner owns all of it."""

    fields: Mapping[str, "Node"] | None = None
    """A struct: a node per field."""
    values: "Node | None" = None
    """A map: the node of every value."""
    items: "Node | None" = None
    """A list whose items have owners of their own: the node of every item."""
    keys: tuple[tuple[str, Any], ...] | None = None
    """Of such a list: the fields that identify an item, sorted, each with its default or None; None for a set, whose items identify themselves."""


ATOMIC: Final = Node()


class MergeRules(Protocol):
    """Rules by kind: what a Schemas is, and a dict in tests."""

    def __getitem__(self, kind: Kind, /) -> Node: ...


class Schemas:
    """Merge rules by kind, fetched from the API server at the first use."""

    def __init__(self, client: Client, kinds: Iterable[Kind]) -> None:
        self._client = client
        self._kinds = tuple(kinds)
        self._nodes: dict[Kind, Node] = {}
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Fetch what is not there yet: at the start, and again after an error; ApiError as the client raises it."""
        async with self._loading:
            missing = [kind for kind in self._kinds if kind not in self._nodes]
            if not missing:
                return
            documents = (await self._client.get_path("/openapi/v3"))["paths"]
            for prefix in sorted({_prefix(kind) for kind in missing}):
                document = await self._client.get_path(documents[prefix]["serverRelativeURL"])
                of_prefix = [kind for kind in missing if _prefix(kind) == prefix]
                self._nodes.update(merge_rules(document["components"]["schemas"], of_prefix))

    def __getitem__(self, kind: Kind) -> Node:
        """Rules of a kind; KeyError before `load`."""
        return self._nodes[kind]


def merge_rules(schemas: Mapping[str, Any], kinds: Iterable[Kind]) -> dict[Kind, Node]:
    """Rules of the kinds from the schemas of one OpenAPI v3 document of the API server."""
    reader = _Reader(schemas)
    roots = {
        (entry["group"], entry["version"], entry["kind"]): name
        for name, schema in schemas.items()
        for entry in schema.get("x-kubernetes-group-version-kind", ())
    }
    return {kind: reader.definition(roots[kind.group, kind.version, kind.kind]) for kind in kinds}


def _prefix(kind: Kind) -> str:
    return kind.path().removesuffix(f"/{kind.plural}").removeprefix("/")


class _Reader:
    """Turns JSON schemas into nodes; a definition that many fields refer to (or that refers to itself) becomes one node."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._definitions: dict[str, Node] = {}

    def definition(self, name: str) -> Node:
        if name not in self._definitions:
            # Entered before it is read, for schemas that contain themselves.
            node = self._definitions[name] = Node()
            read = self.node(self._schemas[name])
            node.fields, node.values, node.items, node.keys = read.fields, read.values, read.items, read.keys
        return self._definitions[name]

    def node(self, schema: Mapping[str, Any]) -> Node:
        if schema.get("x-kubernetes-map-type") == "atomic":
            return ATOMIC
        if "properties" in schema:
            return Node(fields={name: self.node(field) for name, field in schema["properties"].items()})
        if "additionalProperties" in schema:
            return Node(values=self.node(schema["additionalProperties"]))
        if schema.get("x-kubernetes-list-type") == "map":
            properties = self._resolved(schema["items"])["properties"]
            keys = tuple((key, properties[key].get("default")) for key in sorted(schema["x-kubernetes-list-map-keys"]))
            return Node(items=self.node(schema["items"]), keys=keys)
        if schema.get("x-kubernetes-list-type") == "set":
            return Node(items=ATOMIC)
        if (reference := _reference(schema)) is not None:
            return self.definition(reference)
        return ATOMIC

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = _reference(schema)
        return schema if reference is None else self._resolved(self._schemas[reference])


def _reference(schema: Mapping[str, Any]) -> str | None:
    """Name of the definition that a schema stands for: by `$ref`, or by an `allOf` of one (which lets it carry a default beside)."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if len(schema.get("allOf", ())) == 1:
        return _reference(schema["allOf"][0])
    return None
