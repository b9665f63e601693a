"""Every flag of `vllm serve`, per vLLM version: package data that `make catalogue` writes by asking the installed vLLM.

Importing vLLM takes ten seconds and 600 MB, too much for an admission webhook; and the operator serves several versions at once. So what the parser and the
engine's registries know lies here as JSON, and is read once per version.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final


class Kind(StrEnum):
    """How many values a flag takes."""

    PAIR = "pair"
    """None; there is a --no- form."""
    SWITCH = "switch"
    """None, and no --no- form."""
    VALUE = "value"
    """One; the last of several wins."""
    OPTIONAL_VALUE = "optional-value"
    """None or one."""
    LIST = "list"
    """One or more; the last list wins."""
    APPEND = "append"
    """One; several are collected."""


class Reader(StrEnum):
    """How vLLM reads a value."""

    TEXT = "text"
    LOWERED = "lowered"
    """Text in lower case, with underscores for dashes."""
    INTEGER = "integer"
    NUMBER = "number"
    HUMAN_INTEGER = "human-integer"
    """An integer, also 16k (16000) or 16K (16384); vllm/utils/argparse_utils.py."""
    HUMAN_INTEGER_OR_AUTO = "human-integer-or-auto"
    """The same, and "auto", which is -1."""
    JSON = "json"
    JSON_OR_TEXT = "json-or-text"
    """JSON if it stands in braces, else text."""
    OBJECT = "object"
    """JSON with the fields of a dataclass of vLLM's."""
    LORA = "lora"
    """name=path, or JSON with the fields of LoRAModulePath."""


class ClosedSet(StrEnum):
    """The sets of names that the engine looks into when it starts: its parser takes any text for them."""

    QUANTIZATION = "quantization"
    QUANTIZATION_DEPRECATED = "quantization_deprecated"
    """Those of QUANTIZATION that want --allow-deprecated-quantization."""
    LOAD_FORMAT = "load_format"
    ATTENTION_BACKEND = "attention_backend"
    """In upper case; vLLM takes any case."""
    MAMBA_BACKEND = "mamba_backend"
    """The same."""
    OPTIMIZATION_LEVEL = "optimization_level"
    TOOL_CALL_PARSER = "tool_call_parser"
    REASONING_PARSER = "reasoning_parser"
    SPECULATIVE_METHOD = "speculative_method"
    STRUCTURED_OUTPUTS_BACKEND = "structured_outputs_backend"
    KV_CACHE_DTYPE = "kv_cache_dtype"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of `vllm serve`."""

    name: str
    """The long form under which everything here speaks of it, such as --max-num-seqs."""
    kind: Kind
    reader: Reader = Reader.TEXT
    """Of its values; without meaning where it takes none."""
    aliases: tuple[str, ...] = ()
    """Other spellings, long and short."""
    negative: tuple[str, ...] = ()
    """The --no- forms of a pair."""
    choices: tuple[str | int, ...] = ()
    """The values that the parser takes; empty for any."""
    known: tuple[str, ...] = ()
    """Values that vLLM has itself, where plugins may add others."""
    nullable: bool = False
    """Whether the parser reads "" and "None" as nothing."""
    default: bool | int | float | str | tuple[bool | int | float | str, ...] | None = None
    """As the parser has it, on a machine without an accelerator; None also where vLLM computes it later."""
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    object: str | None = None
    """Key into Catalogue.objects for Reader.OBJECT."""
    late_object: str | None = None
    """The same for JSON that the parser takes as it is and the engine makes an object of when it starts."""
    group: str = ""
    """vLLM's heading for it, mostly a class of vllm.config."""
    help: str = ""
    """First sentence of vLLM's help."""

    @property
    def takes_value(self) -> bool:
        """Whether an item after it, or after '=', may be its value."""
        return self.kind not in (Kind.PAIR, Kind.SWITCH)

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that vLLM declares, the --no- forms last."""
        return (self.name, *self.aliases, *self.negative)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object that stands behind a JSON flag."""

    schema: Mapping[str, Any]
    """What is accepted, in JSON schema's words; empty for anything. A $ref is a key into Catalogue.objects."""
    required: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class Object:
    """A dataclass of vLLM's, or an enumeration."""

    fields: Mapping[str, Field]
    """Empty for an enumeration."""
    open: bool
    """Whether fields that are not declared are taken too."""
    values: Mapping[str, Any] | None = None
    """JSON schema of an enumeration's values."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one version of vLLM understands."""

    version: str
    flags: Mapping[str, Flag]
    """By name."""
    objects: Mapping[str, Object]
    sets: Mapping[ClosedSet, tuple[str, ...]]
    spellings: Mapping[str, Flag]
    """Every declared spelling."""

    def abbreviated(self, prefix: str) -> Iterator[tuple[str, Flag]]:
        """The spellings that begin with a prefix, as argparse completes them."""
        return ((spelling, flag) for spelling, flag in self.spellings.items() if spelling.startswith(prefix))


_ATTRIBUTES: Final = {"flag": "name", "exclusiveMinimum": "exclusive_minimum", "exclusiveMaximum": "exclusive_maximum"}
"""Attributes of Flag that the JSON spells otherwise."""


@cache
def catalogue(version: str) -> Catalogue:
    """The catalogue of a version such as 0.32.0.

    Raises:
        LookupError: there is none; versions.SUPPORTED names those that there are.

    """
    file = resources.files(__name__) / f"{version}.json"
    if not file.is_file():
        raise LookupError(f"there is no catalogue of vLLM {version}")
    document = json.loads(file.read_text(encoding="utf-8"))
    flags = {flag.name: flag for flag in map(_flag, document["flags"])}
    return Catalogue(
        version=document["version"],
        flags=MappingProxyType(flags),
        objects=MappingProxyType({name: _object(record) for name, record in document["objects"].items()}),
        sets=MappingProxyType({ClosedSet(name): tuple(values) for name, values in document["sets"].items()}),
        spellings=MappingProxyType({spelling: flag for flag in flags.values() for spelling in flag.spellings}),
    )


def _flag(record: dict[str, Any]) -> Flag:
    given: dict[str, Any] = {_ATTRIBUTES.get(key, key): tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    return Flag(**(given | {"kind": Kind(record["kind"]), "reader": Reader(record.get("reader", Reader.TEXT))}))


def _object(record: dict[str, Any]) -> Object:
    if "values" in record:
        return Object(MappingProxyType({}), open=False, values=record["values"])
    return Object(MappingProxyType({name: Field(**field) for name, field in record["fields"].items()}), open=record["open"])
