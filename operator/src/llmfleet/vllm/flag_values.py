"""One value of one flag, read as vLLM reads it (vllm/utils/argparse_utils.py and the type functions of vllm/engine/arg_utils.py)."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from llmfleet.vllm.catalogue import Catalogue, ClosedSet, Flag, Reader
from llmfleet.vllm.fault import Fault
from llmfleet.vllm.json_values import faults, known, out_of_bounds
from llmfleet.vllm.suggestions import one_of

CLOSED_FLAGS: Final[Mapping[str, ClosedSet]] = {
    "--quantization": ClosedSet.QUANTIZATION,
    "--load-format": ClosedSet.LOAD_FORMAT,
    "--attention-backend": ClosedSet.ATTENTION_BACKEND,
    "--mm-encoder-attn-backend": ClosedSet.ATTENTION_BACKEND,
    "--mamba-backend": ClosedSet.MAMBA_BACKEND,
    "--tool-call-parser": ClosedSet.TOOL_CALL_PARSER,
    "--reasoning-parser": ClosedSet.REASONING_PARSER,
    "--optimization-level": ClosedSet.OPTIMIZATION_LEVEL,
}
"""Flags whose value the parser takes as text and the engine looks up when it starts."""

PLUGIN_FLAGS: Final = {ClosedSet.TOOL_CALL_PARSER: "--tool-parser-plugin", ClosedSet.REASONING_PARSER: "--reasoning-parser-plugin"}
"""Flags that add names to a set."""

LORA_FIELDS: Final = ("name", "path", "base_model_name", "is_3d_lora_weight")
"""Keys of --lora-modules in its JSON form (LoRAModulePath, vllm/entrypoints/openai/models/protocol.py)."""

_HUMAN: Final = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
_DECIMAL: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_HUMAN_IN_JSON: Final = re.compile(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b")
_QUOTED: Final = re.compile(r'("(?:[^"\\]|\\.)*")')
_BRACED: Final = re.compile(r"(?s)^\s*{.*}\s*$")
_HUMAN_EXPECTED: Final = "takes an integer, or one such as 16k (16000) or 16K (16384)"


def human_integer(text: str) -> int:
    """An integer as vLLM lets people write it: 16k is 16000, 16K is 16384.

    Raises:
        ValueError: it is none.

    """
    text = text.strip()
    if not (match := _HUMAN.fullmatch(text)):
        return int(text)
    number, suffix = match.groups()
    try:
        return int(float(number) * _DECIMAL[suffix]) if suffix in _DECIMAL else int(number) * _BINARY[suffix]
    except OverflowError:
        raise ValueError("is larger than any number") from None


def value_of(text: str, flag: Flag) -> object:
    """What vLLM's parser makes of a text for a flag.

    Raises:
        ValueError: it refuses the text; the message is the rule, without the value.

    """
    if flag.nullable and text in ("", "None"):
        return None
    match flag.reader:
        case Reader.TEXT | Reader.LORA:
            return text
        case Reader.LOWERED:
            return text.lower().replace("-", "_")
        case Reader.JSON:
            return _json(text)
        case Reader.JSON_OR_TEXT:
            return _json(text) if _BRACED.match(text) else text
        case Reader.OBJECT:
            return _json(expand_numbers(text))
        case _:
            return _number(text, flag.reader)


def expand_numbers(text: str) -> str:
    """JSON with 16k and the like written out, outside quoted texts.

    Raises:
        ValueError: a number has decimals and a binary suffix, as in 1.5K.

    """
    parts = _QUOTED.split(text)
    try:
        return "".join(part if index % 2 else _HUMAN_IN_JSON.sub(lambda match: str(human_integer(match.group())), part) for index, part in enumerate(parts))
    except ValueError:
        raise ValueError("takes decimals only with the suffixes k, m, g and t, not with K, M, G and T") from None


def value_faults(text: str, value: object, flag: Flag, catalogue: Catalogue, plugins: frozenset[str]) -> Iterator[Fault]:
    """What vLLM has against a value that value_of could read; `plugins` are the flags given that add names to closed sets."""
    if flag.nullable and text in ("", "None"):
        return
    if flag.choices and value not in flag.choices:
        yield Fault("", "is given none of its choices", one_of(str(value), map(str, flag.choices)))
    if isinstance(value, int | float) and (rule := out_of_bounds(value, flag.minimum, flag.maximum, flag.exclusive_minimum, flag.exclusive_maximum)):
        yield Fault("", rule, "")
    if (closed := CLOSED_FLAGS.get(flag.name)) and text and PLUGIN_FLAGS.get(closed) not in plugins and not known(text, closed, catalogue):
        pluggable = closed is not ClosedSet.OPTIMIZATION_LEVEL
        yield Fault("", f"is given a name that vLLM {catalogue.version} does not know", one_of(text, catalogue.sets[closed]), pluggable)
    if flag.object:
        yield from faults(value, flag.object, catalogue)
    if flag.late_object and value is not None:
        yield from faults(value, flag.late_object, catalogue)
    if flag.reader is Reader.LORA:
        yield from _lora_faults(text)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('takes JSON: double quotes round texts, no comma at the end, as in {"key": "value"}') from None


def _number(text: str, reader: Reader) -> int | float:
    if reader is Reader.HUMAN_INTEGER_OR_AUTO and text.strip().lower() in ("-1", "auto"):
        return -1
    try:
        match reader:
            case Reader.INTEGER:
                return int(text)
            case Reader.NUMBER:
                return float(text)
            case _:
                return human_integer(text)
    except ValueError:
        expected = {Reader.INTEGER: "takes an integer", Reader.NUMBER: "takes a number", Reader.HUMAN_INTEGER_OR_AUTO: f'{_HUMAN_EXPECTED}, or "auto"'}
        raise ValueError(expected.get(reader, _HUMAN_EXPECTED)) from None


def _lora_faults(text: str) -> Iterator[Fault]:
    if not text or ("=" in text and "," not in text):
        return
    try:
        adapter = json.loads(text)
    except (ValueError, RecursionError):
        yield Fault("", "takes name=path, or JSON", 'write for instance {"name": "sql", "path": "/models/sql"}')
        return
    if not isinstance(adapter, dict) or not {"name", "path"} <= adapter.keys() or adapter.keys() - {*LORA_FIELDS}:
        yield Fault("", "takes an object with name and path", f"the fields are {', '.join(LORA_FIELDS)}")
