"""YAML and JSON as Kubernetes reads them, with the line of every value, and with limits.

PyYAML's own loader is not enough: it takes the last of two equal keys without a word, reads `2026-01-01` as a date and `12:30` as 750 (YAML 1.1), forgets the
lines, and its C part ends the process with a segmentation fault on deep nesting. Its parser, which yields events, has none of these troubles. The meaning of
plain scalars is that of kubectl (go-yaml behind sigs.k8s.io/yaml; compared with kubectl 1.36): YAML 1.1's booleans, no dates, no base 60.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.events import AliasEvent, DocumentEndEvent, Event, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

MOST_NODES: Final = 1_000_000
"""Values of one document, every use of an anchor counted: a manifest of 1.5 MiB, the most that etcd takes, has fewer."""

DEEPEST: Final = 200
"""Levels of nesting; a pod specification has fewer than 20."""

LONGEST_NUMBER: Final = 100
"""Characters of an integer: no field takes a longer one, and Python itself refuses to read thousands."""

MERGE_KEY: Final = "<<"

_TRUE: Final = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"})
_FALSE: Final = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"})
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER: Final = re.compile(r"[-+]?(0b[01][01_]*|0o?[0-7][0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[1-9][0-9_]*|0)")
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SURROGATES: Final = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})")
"""How JSON escapes a character beyond U+FFFF; YAML knows no such pairs."""
_TAG: Final = "tag:yaml.org,2002:"


class YamlError(ValueError):
    """What is no YAML, or more than we take; the message ends with what is wrong, `line` (from 1) is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True, eq=False)
class Node:
    """One value and where it stands; a value that an alias repeats is one node."""

    line: int
    """From 1."""
    value: Any
    """A scalar, a list of nodes, or nodes by key."""
    merged: list["Node"] = field(default_factory=list)
    """What `<<` brings into a mapping."""

    def plain(self) -> Any:
        """The value as JSON has it: lists, dicts and scalars. YamlError for one that is too large or contains itself."""
        return _Expansion().of(self)

    def at(self, path: str) -> "Node":
        """The node of a field, spec.engine.extraArgs[2], or the deepest one on the way to it."""
        node = self
        for name, index in re.findall(r"\.?([^.\[\]]+)|\[([^\]]*)\]", path):
            below = node._below(name or index)
            if below is None:
                break
            node = below
        return node

    def _below(self, key: str) -> "Node | None":
        if isinstance(self.value, list):
            return self.value[int(key)] if key.isdigit() and int(key) < len(self.value) else None
        if not isinstance(self.value, dict):
            return None
        found: Node | None = self.value.get(key)
        return found or next((below for node in self.merged if (below := node._below(key)) is not None), None)


def documents(text: str) -> Iterator[Node]:
    """Every document of a stream, also of concatenated JSON that is valid YAML; empty ones are left out. YamlError for what cannot be read."""
    if text.lstrip()[:1] in ("{", "["):
        text = _SURROGATES.sub(_character, text)
    try:
        events = iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                node = _Composer().compose(events)
                if node is not None:
                    yield node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(str(error.problem or error.context), mark.line + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        raise YamlError(f"is no text: {error.reason}", text.count("\n", 0, error.position) + 1) from error


def _character(found: re.Match[str]) -> str:
    return found[1] + (found[2] + found[3]).encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")


class _Composer:
    """Builds the tree of one document from its events, without recursion."""

    def __init__(self) -> None:
        self._anchors: dict[str, Node] = {}
        self._open: list[tuple[Node, list[Node]]] = []
        """Collections that are not complete, each with the key that waits for its value."""

    def compose(self, events: Iterator[Event]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentEndEvent):
                break
            node = self._node(event)
            if node is None:
                continue
            if not self._open:
                root = node
        return None if root is None or root.value is None else root

    def _node(self, event: Event) -> Node | None:
        """The node that this event completes; None where it only opens one."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(self._open) >= DEEPEST:
                raise YamlError(f"is nested deeper than {DEEPEST} levels", line)
            node = Node(line, {} if isinstance(event, MappingStartEvent) else [])
            self._remember(event.anchor, node)
            self._open.append((node, []))
            return None
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            node, _ = self._open.pop()
        elif isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise YamlError(f"*{event.anchor} has no anchor", line)
            node = self._anchors[event.anchor]
        elif isinstance(event, ScalarEvent):
            node = Node(line, _scalar(event, line))
            self._remember(event.anchor, node)
        else:
            return None
        if self._open:
            self._put(node, event)
        return node

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _put(self, node: Node, event: Event) -> None:
        """Into the collection that is open; in a mapping, a key waits for its value."""
        parent, waiting = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
            return
        if not waiting:
            waiting.append(node)
            return
        key = waiting.pop()
        if isinstance(key.value, dict | list):
            raise YamlError("a key must be a word", key.line)
        name = key.value if isinstance(key.value, str) else json.dumps(key.value)  # as JSON has it: 1, true, null
        if name == MERGE_KEY:
            parent.merged += node.value if isinstance(node.value, list) else [node]
            return
        if name in parent.value:
            raise YamlError(f"the key {name!r} stands there twice, first in line {parent.value[name].line}: keep one", key.line)
        parent.value[name] = node


def _scalar(event: ScalarEvent, line: int) -> object:
    text: str = event.value
    tag = event.tag.removeprefix(_TAG) if event.tag else None
    if tag not in (None, "!", "str", "int", "float", "bool", "null"):
        raise YamlError(f"the tag {event.tag} is not taken", line)
    if tag in ("!", "str") or (tag is None and not event.implicit[0]):
        return text
    return resolved(text)


def resolved(text: str) -> object:
    """What a plain scalar means to kubectl (go-yaml)."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) <= LONGEST_NUMBER and _INTEGER.fullmatch(text):
        digits = text.replace("_", "")
        sign, digits = (-1 if digits[0] == "-" else 1), digits.lstrip("+-")
        base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2], 8 if len(digits) > 1 and digits[0] == "0" else 10)
        return sign * int(digits, base)
    if _NUMBER.fullmatch(text):
        number = float(text.replace("_", ""))
        # On its way to the API server it becomes JSON, as Go writes it: 1e3 is the integer 1000.
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


class _Expansion:
    """Turns nodes into plain values, within MOST_NODES."""

    def __init__(self) -> None:
        self._count = 0
        self._within: set[int] = set()

    def of(self, node: Node) -> Any:
        self._count += 1
        if self._count > MOST_NODES:
            raise YamlError(f"has more than {MOST_NODES} values, every use of an anchor counted", node.line)
        if not isinstance(node.value, list | dict):
            return node.value
        if id(node) in self._within:
            raise YamlError("an anchor contains itself", node.line)
        if len(self._within) >= DEEPEST:  # by anchors within anchors
            raise YamlError(f"is nested deeper than {DEEPEST} levels", node.line)
        self._within.add(id(node))
        plain = [self.of(item) for item in node.value] if isinstance(node.value, list) else self._mapping(node)
        self._within.remove(id(node))
        return plain

    def _mapping(self, node: Node) -> Mapping[str, Any]:
        plain: dict[str, Any] = {}
        # Of several merged mappings the first one wins, and what stands there itself before all.
        for source in reversed(node.merged):
            merged = self.of(source)
            if not isinstance(merged, dict):
                raise YamlError("<< takes mappings only", source.line)
            plain |= merged
        return plain | {name: self.of(value) for name, value in node.value.items()}
