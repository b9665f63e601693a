"""Asks an installed vLLM for its flags and prints them as JSON; run by that vLLM's own Python, so it imports nothing of this repository but schemas.py.

What the parser knows is read from the parser, for that is what judges a command line: spellings, number of values, choices, and the function that converts a
value. What is behind a JSON flag is read from pydantic's schema of the dataclass that vLLM converts it to. What vLLM checks only when the engine starts is read
from the registries that it looks into then.

Modules move between releases: everything that moved is imported by `_first`.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import importlib
import inspect
import json
import os
import re
import sys
import typing
from collections.abc import Iterable
from typing import Any

# Help texts exist only if some argument contains "--help" when vLLM is imported (vllm/engine/arg_utils.py, NEEDS_HELP).
sys.argv = ["introspect", "--help=all"]
os.environ |= {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}

from tools.catalogue.schemas import BOUNDS, accepted, reduced, references  # noqa: E402

READERS = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "human_readable_int": "human-integer",
    "human_readable_int_or_auto": "human-integer-or-auto",
    "loads": "json",
    "union_dict_and_str": "json-or-text",
}
"""How a value is read, by the name of vLLM's function for it."""

LOWERED = ("--moe-backend", "--linear-backend", "--sparse-indexer-topk-backend")
"""Flags whose function is a lambda that lowers the value and turns dashes into underscores."""

LISTED = ("--device-ids",)
"""Flags whose function is a lambda that splits at commas: any text goes."""

LATE_OBJECTS = {
    "--speculative-config": "SpeculativeConfig",
    "--watermark-config": "WatermarkConfig",
    "--diffusion-config": "DiffusionConfig",
}
"""Flags that the parser reads as any JSON, and the dataclass that the engine makes of it when it starts."""

ENGINE_MADE = ("ModelConfig", "ParallelConfig")
"""Dataclasses that the engine makes: a field of such a type cannot be given, though pydantic would take it."""

PLATFORM_CHOICES = {"--mm-processor-device": ("cuda", "xpu")}
"""Choices that the parser has only on machines with such a device, added because a catalogue is made on a machine without one."""


def _first(*places: str) -> Any:
    """Return the first of "module:attribute" that exists: newest place first."""
    for place in places:
        module, _, attribute = place.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"this vLLM has none of {', '.join(places)}: add the place to which it moved")


def _sentence(text: str | None) -> str:
    """Return the first sentence of a text as one line."""
    line = " ".join((text or "").replace("%%", "%").strip().split("\n\n", 1)[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`\"'-])|:\s+[-*] ", line, maxsplit=1)[0].rstrip(":")


def _plain(value: Any) -> Any:
    """Return a default as JSON; None for what has no plain form: such a default is vLLM's own business."""
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value, int) else value.name
    if value is argparse.SUPPRESS:
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(each, bool | int | float | str) for each in value):
        return list(value)
    return None


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted({value for value in values if value is not None}, key=lambda value: (not isinstance(value, int), value))


def _compact(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what is absent, empty or not so; a default is always said where it has a plain form."""
    return {key: value for key, value in record.items() if (value is not None if key == "default" else value is not False and value not in (None, [], ""))}


def _inner(function: Any) -> tuple[Any, bool]:
    """Return the function at the core of vLLM's wrappers, and whether one of them reads "" and "None" as nothing."""
    nullable = False
    while inspect.isfunction(function) and "return_type" in (free := inspect.getclosurevars(function).nonlocals):
        nullable = nullable or function.__name__ == "_optional_type"
        function = free["return_type"]
    return function, nullable


class Introspection:
    """One installed vLLM."""

    def __init__(self) -> None:
        self.config = importlib.import_module("vllm.config")
        self.engine_arguments = _first("vllm.engine.arg_utils:AsyncEngineArgs")
        make = _first("vllm.entrypoints.launchers.cli_args:make_arg_parser", "vllm.entrypoints.openai.cli_args:make_arg_parser")
        self.parser_class = _first("vllm.utils.argparse_utils:FlexibleArgumentParser", "vllm.utils:FlexibleArgumentParser")
        self.parser = make(self.parser_class(add_help=False))
        self.attribute_help = _first("vllm.config.utils:get_attr_docs", "vllm.config:get_attr_docs")
        self.objects: dict[str, Any] = {}

    def catalogue(self) -> dict[str, Any]:
        """Return everything, sorted."""
        flags = [self.flag(action, group.title) for group in self.parser._action_groups for action in group._group_actions if action.option_strings]
        # --help is declared by the server's command, not by make_arg_parser.
        flags.append({"flag": "--help", "aliases": ["-h"], "kind": "switch", "group": "options", "help": "Print the flags and end."})
        return {
            "version": importlib.import_module("importlib.metadata").version("vllm").partition("+")[0],
            "flags": sorted(flags, key=lambda flag: str(flag["flag"])),
            "objects": self.referenced([str(flag[key]) for flag in flags for key in ("object", "late_object") if key in flag]),
            "sets": {name: _sorted(values) for name, values in sorted(self.sets().items())},
        }

    def flag(self, action: argparse.Action, group: str | None) -> dict[str, Any]:
        """Return one flag; what is absent is false, empty or not so."""
        pair = isinstance(action, argparse.BooleanOptionalAction)
        spellings = [option for option in action.option_strings if not (pair and option.startswith("--no-"))]
        name = next(option for option in spellings if option.startswith("--"))
        record: dict[str, Any] = {"flag": name, "aliases": sorted(option for option in spellings if option != name)}
        record["negative"] = sorted(option for option in action.option_strings if option not in spellings)
        if pair:
            record["kind"] = "pair"
        elif action.nargs == 0:
            record["kind"] = "switch"
        else:
            record |= self.valued(name, action)
        record |= {"default": _plain(action.default), "group": group, "help": _sentence(action.help)}
        bounds = self.bounds(action.dest, group) if record.get("reader", "").endswith(("integer", "number", "auto")) else {}
        return _compact(record | bounds)

    def valued(self, name: str, action: argparse.Action) -> dict[str, Any]:
        """Return what concerns the values of a flag that has some."""
        function, nullable = _inner(action.type)
        record: dict[str, Any] = {"kind": "value", "nullable": nullable, "choices": []}
        if isinstance(action, argparse._AppendAction):
            record["kind"] = "append"
        elif action.nargs in ("+", "*"):
            record["kind"] = "list"
        elif action.nargs == "?":
            record["kind"] = "optional-value"
        elif action.nargs is not None:
            raise SystemExit(f"{name}: nargs={action.nargs!r} is new: teach it to the catalogue and to command_line")
        if action.choices is not None:
            # Some releases list the text "None", which their function has turned into None by then: it is refused.
            listed = [choice for choice in action.choices if not (nullable and choice == "None")]
            record["choices"] = _sorted([*listed, *PLATFORM_CHOICES.get(name, ())])
            record["nullable"] = nullable and None in list(action.choices)
        elif isinstance(action.metavar, list):
            record["known"] = _sorted(action.metavar)  # a plugin may add others
        if function is None:
            record["reader"] = "text"
        elif type(action).__name__ == "LoRAParserAction":
            record["reader"] = "lora"
        elif name in LOWERED:
            record["reader"] = "lowered"
        elif name in LISTED:
            record["reader"] = "text"
        elif getattr(function, "__name__", "") == "parse_dataclass":
            record |= {"reader": "object", "object": self.object(function.__defaults__[0])}
        elif reader := READERS.get(function.__name__):
            record["reader"] = reader
        else:
            raise SystemExit(f"{name}: the function {function} is new: teach it to the catalogue and to command_line")
        if late := LATE_OBJECTS.get(name):
            record["late_object"] = self.object(getattr(self.config, late, None) or _first(f"vllm.config.{late.removesuffix('Config').lower()}:{late}"))
        return record

    def bounds(self, dest: str, group: str | None) -> dict[str, Any]:
        """Return the limits that the engine's configuration sets to a number that the parser takes as it is."""
        field = getattr(getattr(self.config, group or "", None), "__pydantic_fields__", {}).get(dest)
        return {BOUNDS[name]: limit for each in (field.metadata if field else ()) for name in BOUNDS if (limit := getattr(each, name, None)) is not None}

    def object(self, kind: type) -> str:
        """Return the name under which the fields of a dataclass stand in `objects`, and put them there."""
        if kind.__name__ not in self.objects:
            schema, definitions = accepted(kind)
            for name, definition in {kind.__name__: schema, **definitions}.items():
                self.objects.setdefault(name, self.record(name, definition, definitions))
        return kind.__name__

    def record(self, name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
        """Return one entry of `objects`: the fields of a dataclass, or the values of an enumeration."""
        if "properties" not in schema:
            return {"values": reduced(schema, definitions)}
        declared = getattr(self.config, name, None) or next((kind for kind in _dataclasses(self.config) if kind.__name__ == name), None)
        texts = self.attribute_help(declared) if declared is not None else {}
        unset = {field.name for field in dataclasses.fields(declared) if not _settable(field)} if declared is not None else set()
        fields = {}
        for field, declaration in sorted(schema["properties"].items()):
            accepted = reduced(declaration, definitions)
            if not field.startswith("_") and field not in unset and not references(accepted) & {*ENGINE_MADE}:
                fields[field] = {"schema": accepted} | _compact({"required": field in schema.get("required", ()), "help": _sentence(texts.get(field))})
        return {"open": schema.get("additionalProperties") is not False, "fields": fields}

    def referenced(self, names: list[str]) -> dict[str, Any]:
        """Return the objects that flags lead to, directly or through others."""
        reached: set[str] = set()
        while names:
            if (name := names.pop()) not in reached:
                reached.add(name)
                names += references(self.objects[name])
        return {name: self.objects[name] for name in sorted(reached)}

    def sets(self) -> dict[str, Iterable[str]]:
        """Return the closed sets that the engine looks into when it starts."""
        quantization = importlib.import_module("vllm.model_executor.layers.quantization")
        tool_parsers = _first("vllm.tool_parsers:ToolParserManager", "vllm.entrypoints.openai.tool_parsers:ToolParserManager")
        speculative = self.config.SpeculativeConfig
        structured = self.config.StructuredOutputsConfig
        return {
            "quantization": quantization.QUANTIZATION_METHODS,
            "quantization_deprecated": getattr(quantization, "DEPRECATED_QUANTIZATION_METHODS", ()),
            "load_format": _first("vllm.model_executor.model_loader:_LOAD_FORMAT_TO_MODEL_LOADER"),
            "attention_backend": [backend.name for backend in self.attention_backends()] + (["AUTO"] if self.chooses_attention() else []),
            "tool_call_parser": tool_parsers.list_registered(),
            "reasoning_parser": _first("vllm.reasoning:ReasoningParserManager").list_registered(),
            "speculative_method": _literals(typing.get_type_hints(speculative, include_extras=True)["method"]),
            "structured_outputs_backend": _literals(typing.get_type_hints(structured, include_extras=True)["backend"]),
            "mamba_backend": [backend.name for backend in self.config.mamba.MambaBackendEnum] if hasattr(self.config, "mamba") else [],
            "optimization_level": [str(level.value) for level in _first("vllm.config.vllm:OptimizationLevel")],
            "kv_cache_dtype": self.parser._option_string_actions["--kv-cache-dtype"].choices,
        }

    def attention_backends(self) -> Iterable[enum.Enum]:
        """Return the enumeration of attention backends."""
        backends: Iterable[enum.Enum] = _first("vllm.v1.attention.backends.registry:AttentionBackendEnum", "vllm.attention.backends.registry:_Backend")
        return backends

    def chooses_attention(self) -> bool:
        """Return whether the word "auto" is taken for a backend."""
        try:
            self.config.AttentionConfig(backend="auto")
        except (KeyError, ValueError):
            return False
        return True


def _settable(field: dataclasses.Field[Any]) -> bool:
    """Return whether a field can be given at all: some are the engine's own notes."""
    return field.init and getattr(field.default, "init", None) is not False


def _dataclasses(module: Any) -> Iterable[type]:
    """Return the dataclasses of vllm.config and of its modules."""
    for name, submodule in sorted(sys.modules.items()):
        if name.startswith(f"{module.__name__}."):
            yield from (kind for kind in vars(submodule).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind))


def _literals(hint: Any) -> list[Any]:
    """Return the values of every Literal in a type."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [value for part in typing.get_args(hint) for value in _literals(part)]


if __name__ == "__main__":
    json.dump(Introspection().catalogue(), sys.stdout)
