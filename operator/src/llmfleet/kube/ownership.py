"""Is a child as it was rendered? Answered from the object alone, without comparing values.

A child carries the hash of the manifest that it was rendered from, and the API server books on us, in managedFields, every path that we applied. Whoever
writes another value there, by whatever means, takes the path out of our entry. So: the hash is the current one and our entry still covers every path
of the manifest, or the child is applied again. That needs no memory (a restart costs no write), and is not fooled by quantities spelled differently
(`1024Mi`, `1Gi`), nor by defaults, nor by mutating admission: what that adds, changes or removes, within our request or another's, moves no booking (seen
on 1.36), and neither does a field that the server drops because its feature gate is off.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from llmfleet import names
from llmfleet.kube.kinds import Kind, kind_of
from llmfleet.kube.objects import Key, Object, annotations_of, key_of, uid_of
from llmfleet.kube.schemas import ATOMIC, MergeRules, Node
from llmfleet.kube.slim import owned_entry

Paths = dict[str, Any]
"""A set of field paths in the form of fieldsV1: `f:` a field, `k:` a list item by its keys, `v:` an item of a set, `.` the item itself."""

_MOST_REMEMBERED: Final = 50_000
"""Children, about 300 bytes each; beyond, all are looked at anew. Whoever forgets to `forget` leaks no more than this."""


def rendered_hash(manifest: Mapping[str, Any]) -> str:
    """16 hexadecimal digits over the manifest as rendered, whatever its order of fields, without the annotation that carries this hash."""
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {name: value for name, value in annotations_of(manifest).items() if name != names.ANNOTATION_APPLIED}
    canonical = json.dumps({**manifest, "metadata": metadata}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def stamped(manifest: Object) -> Object:
    """The manifest with its own hash as annotation: what is sent."""
    metadata = manifest["metadata"]
    annotations = {**annotations_of(manifest), names.ANNOTATION_APPLIED: rendered_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def owned_paths(manifest: Mapping[str, Any], schemas: MergeRules) -> Paths:
    """Paths that the API server books on whoever applies the manifest; what identifies the object itself is nobody's."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in ("name", "namespace")}
    content = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind", "metadata")}
    if metadata:
        content["metadata"] = metadata
    return _children(content, schemas[kind_of(manifest)]) or {}


def _children(value: Any, node: Node) -> Paths | None:
    """Paths below a value that is taken apart; None where it is owned as one: atomic, or an empty map.

    As structured-merge-diff does it (typed/tofieldset.go): an empty list whose items have owners of their own is nobody's, a member that is an empty map
    is a path.
    """
    if isinstance(value, list) and node.items is not None:
        return dict(_item(item, node.items, node.keys) for item in value)
    if not isinstance(value, dict) or not value or (node.fields is None and node.values is None):
        return None
    below = {f"f:{name}": _children(item, _member(node, name)) for name, item in value.items()}
    return {path: paths or {} for path, paths in below.items() if paths is None or paths}


def _member(node: Node, name: str) -> Node:
    return (node.fields or {}).get(name) or node.values or ATOMIC


def _item(item: Any, node: Node, keys: tuple[tuple[str, Any], ...] | None) -> tuple[str, Paths]:
    if keys is None:
        return "v:" + _json(item), {}
    identity = {key: item.get(key, default) for key, default in keys if key in item or default is not None}
    below = _children(item, node)
    return "k:" + _json(identity), {".": {}, **below} if below else {}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def covers(owned: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether every wanted path is owned. More may be owned: what a mutating webhook added to our request."""
    return all(path in owned and covers(owned[path], below) for path, below in wanted.items())


class Applied:
    """Entries of managedFields that were found good once, per child: a look at an unchanged child then costs a comparison of strings (81 us, not 684).

    Also the fuse, should the server ever book otherwise than we reckon (two API servers of different versions during an upgrade, list keys that a new
    version changes): our entry would never cover the manifest, and every look would be a write. So the entry with which the server answers our own apply
    is good, whatever is in it. All is forgotten at a restart, which costs a child with a good entry nothing, another one write that changes nothing.
    """

    def __init__(self) -> None:
        self._good: dict[tuple[Kind, Key], tuple[str, str, str]] = {}

    def remember(self, kind: Kind, answer: Object) -> None:
        """Keep what an apply was answered with: the whole object, with its managedFields."""
        self._keep(kind, answer, (uid_of(answer), _applied_hash(answer), owned_entry(answer)))

    def forget(self, kind: Kind, key: Key) -> None:
        """The child is gone or no longer wanted."""
        self._good.pop((kind, key), None)

    def as_rendered(self, kind: Kind, live: Object, manifest: Mapping[str, Any], schemas: MergeRules) -> bool:
        """Whether a slim live child needs no apply of the manifest (with or without its stamp)."""
        expected, owned = rendered_hash(manifest), live["owned"]
        if _applied_hash(live) != expected or not owned:
            return False
        state = (uid_of(live), expected, owned)
        if self._good.get((kind, key_of(live))) == state:
            return True
        if not covers(json.loads(owned), owned_paths(manifest, schemas)):
            return False
        self._keep(kind, live, state)
        return True

    def _keep(self, kind: Kind, child: Object, state: tuple[str, str, str]) -> None:
        if len(self._good) >= _MOST_REMEMBERED:
            self._good.clear()
        self._good[kind, key_of(child)] = state


def _applied_hash(obj: Object) -> str:
    return annotations_of(obj).get(names.ANNOTATION_APPLIED, "")
