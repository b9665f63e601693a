"""What of config.json, generation_config.json and the quantization's configuration goes into the facts: what a plan can use, not what is merely long."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

MAX_LIST: Final = 64
"""Longer lists are left out: they name modules one by one."""

MAX_SHORT_LIST: Final = 8
"""Longest list that is kept of a quantization's configuration, such as weight_block_size."""

LAYER_TYPES: Final = "layer_types"
"""The one long list that matters; it is written as runs."""

QUANTIZATION: Final = ("quantization_config", "compression_config")
"""Keys of config.json that say how the checkpoint is quantized."""

_MODELOPT_METHODS: Final = {"FP8": "modelopt", "NVFP4": "modelopt_fp4", "MXFP8": "modelopt_mxfp8", "MIXED_PRECISION": "modelopt_mixed"}
"""NVIDIA's names of algorithms and vLLM's names of methods (vllm/model_executor/layers/quantization/modelopt.py, 0.32)."""


def reduced(value: Any) -> Any:
    """A configuration less its long lists and what the facts say elsewhere, at every depth."""
    if isinstance(value, Mapping):
        kept = {str(key): _runs(inner) if key == LAYER_TYPES else reduced(inner) for key, inner in value.items() if key not in QUANTIZATION}
        return {key: inner for key, inner in kept.items() if not (isinstance(inner, list) and key != LAYER_TYPES and len(inner) > MAX_LIST)}
    if isinstance(value, list):
        return [reduced(inner) for inner in value]
    return value if _portable(value) else None


def scalars(document: Mapping[str, Any]) -> dict[str, Any]:
    """Only numbers, strings and truth values."""
    return {key: value for key, value in document.items() if isinstance(value, bool | int | float | str) and _portable(value)}


def _portable(value: object) -> bool:
    """Whether a value is the same to whoever reads the facts: JSON knows no Infinity (Mamba 2 has one), and the API server no integers beyond 64 bits."""
    match value:
        case float():
            return math.isfinite(value)
        case int():
            return -(2**63) <= value < 2**63
        case _:
            return True


def quantization(config: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """How the checkpoint is quantized, from config.json or the files of the quantizers; None for one that is not."""
    for holder in (config, *(inner for inner in config.values() if isinstance(inner, Mapping))):
        for key in QUANTIZATION:
            if isinstance(found := holder.get(key), Mapping) and found:
                return _quantization(found)
    if (found := files.get("hf_quant_config.json")) and isinstance(inner := found.get("quantization"), Mapping):
        return {"quant_method": _MODELOPT_METHODS.get(str(inner.get("quant_algo")), "modelopt"), **_quantization(inner)}
    if found := files.get("quantize_config.json"):
        return {"quant_method": "gptq", **_quantization(found)}
    if found := files.get("quant_config.json"):
        return {"quant_method": "awq", **_quantization(found)}
    return None


QUANTIZER_FILES: Final = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""Where quantizers write apart from config.json: NVIDIA's ModelOpt, AutoGPTQ, AutoAWQ."""


SCHEMES: Final = ("config_groups", "kv_cache_scheme")
"""What compressed-tensors says in objects: how groups of layers are quantized, and for which numbers the KV cache was calibrated."""


def _quantization(document: Mapping[str, Any]) -> dict[str, Any]:
    short = {
        key: value for key, value in document.items() if isinstance(value, list) and len(value) <= MAX_SHORT_LIST and all(isinstance(n, int) for n in value)
    }
    schemes = {key: reduced(document[key]) for key in SCHEMES if isinstance(document.get(key), Mapping)}
    return {**scalars(document), **short, **schemes}


def _runs(value: Any) -> Any:
    """[["full_attention", 4], ...] of a list of names; anything else as it is."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(name, str) for name in value):
        return value
    return [[name, len(list(run))] for name, run in groupby(value)]
