"""What --quantization-config says of quantizing while loading: which formats, for which layers.

Source: vLLM 0.32.0, config/quantization.py (QUANT_KEY_NAMES, _ONLINE_SHORTHANDS, QuantizationConfigArgs); the same files of 0.29 to 0.31.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmfleet.vllm.fault import Fault
from llmfleet.vllm.suggestions import one_of

OBJECT: Final = "QuantizationConfigArgs"
"""Its dataclass."""

FORMATS: Final = (
    *("fp8_per_tensor_static", "fp8_per_tensor_dynamic", "fp8_per_token", "fp8_per_channel_static", "fp8_per_block_static", "fp8_per_block_dynamic"),
    *("mxfp8", "mxfp4", "int8_per_channel_static"),
)
"""Formats of weights and activations."""

LATEST_FORMATS: Final = ("nvfp4_per_token", "int4_per_group_32")
"""Formats beside them, since 0.32."""

SHORTHANDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "mxfp8", "mxfp4"), ("linear", "moe")),
    **dict.fromkeys(("int8_per_channel_weight_only", "nvfp4_per_token"), ("moe",)),
}
"""Methods that stand for a pair of formats, and the kinds of layers that they are for."""


LAYERS: Final = frozenset({"linear", "moe", "targets"})
"""Keys that say which layers are quantized; without a method of its own one of them must be there (layers/quantization/online/base.py)."""


def formats(version: str) -> tuple[str, ...]:
    """The formats that a version knows."""
    return FORMATS if version.startswith(("0.29.", "0.30.", "0.31.")) else (*FORMATS, *LATEST_FORMATS)


def faults(config: Mapping[str, Any], version: str) -> Iterator[Fault]:
    """Names that vLLM does not take where its schema takes any text."""
    for kind in ("linear", "moe"):
        yield from _layer_faults(config.get(kind), kind, version)
    targets = config.get("targets")
    if not isinstance(targets, Mapping):
        return
    for pattern, method in targets.items():
        path = f"targets.{pattern}"
        if isinstance(method, str) and method not in SHORTHANDS:
            yield Fault(path, "is given no method that quantizes while loading", one_of(method, SHORTHANDS))
        if pattern.startswith("re:") and not _compiles(pattern[3:]):
            yield Fault(path, "is no regular expression", "mend it, or leave out re: for a name or a pattern with *")
    if config.get("linear") is not None or config.get("moe") is not None:
        yield Fault("targets", "excludes linear and moe", "remove the one or the others")


def _layer_faults(given: object, kind: str, version: str) -> Iterator[Fault]:
    known = formats(version)
    if isinstance(given, Mapping):
        for side in ("weight", "activation"):
            name = given.get(side)
            if name is not None and name not in known:
                yield Fault(f"{kind}.{side}", "is given no format that vLLM knows", one_of(str(name), known))
    elif isinstance(given, str) and given in SHORTHANDS:
        # Looked up as a method first: a format of the same name does not count (_coerce_spec).
        if kind not in SHORTHANDS[given]:
            yield Fault(kind, f"is given {given}, which is not for {kind} layers", one_of(given, (name for name, kinds in SHORTHANDS.items() if kind in kinds)))
    elif isinstance(given, str) and given not in known:
        yield Fault(kind, "is given no format that vLLM knows", one_of(given, (*known, *(name for name, kinds in SHORTHANDS.items() if kind in kinds))))


def _compiles(expression: str) -> bool:
    try:
        re.compile(expression)
    except re.error:
        return False
    return True
