"""Which quantization method vLLM takes for a checkpoint that says its own, and which of those that a person may ask for go with it.

Source: vLLM 0.32.0, config/model.py (_verify_quantization), model_executor/layers/quantization/*/override_quantization_method,
transformers_utils/model_arch_config_convertor.py (_normalize_quantization_config); every pair was tried by building vLLM's configuration on the CPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ALIASES: Final[Mapping[str, frozenset[str]]] = {
    "gptq": frozenset({"gptq", "gptq_marlin", "auto_gptq", "moe_wna16"}),
    "awq": frozenset({"awq", "awq_marlin", "auto_awq", "moe_wna16"}),
    "fp8": frozenset({"fp8", "deepseek_v4_fp8"}),
}
"""Methods that read a checkpoint of the method; any other must be called as the checkpoint calls it."""

ANYTHING: Final = "humming"
"""The method that takes every checkpoint upon itself (humming.py)."""

STUBBORN: Final[Mapping[str, str]] = {
    "auto-round": "inc",
    **{method: method for method in ("modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed")},
}
"""Checkpoints that vLLM reads with one method whatever is asked for, without a word (inc/inc.py, modelopt.py); so is mxfp4 of gpt-oss (mxfp4.py)."""

MODELOPT: Final[Mapping[str, str]] = {
    "FP8": "modelopt",
    "FP8_PER_CHANNEL_PER_TOKEN": "modelopt",
    "FP8_PB_WO": "modelopt",
    "NVFP4": "modelopt_fp4",
    "MXFP8": "modelopt_mxfp8",
    "MIXED_PRECISION": "modelopt_mixed",
}
"""Methods by ModelOpt's own name of the format (quant_algo)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How vLLM reads a checkpoint."""

    method: str
    """The method that it takes."""
    taken: bool
    """Whether that is what was asked for; False where vLLM refuses or overrides it."""
    refused: bool
    """Whether vLLM refuses to start."""


def declared(quantization: Mapping[str, Any]) -> str:
    """The method that a checkpoint names, in vLLM's spelling; empty if it names none."""
    method = str(quantization.get("quant_method") or "").lower().replace("compressed_tensors", "compressed-tensors")
    inner = quantization.get("quantization")
    algorithm = str((inner.get("quant_algo") if isinstance(inner, Mapping) else None) or quantization.get("quant_algo") or "").upper()
    if algorithm in MODELOPT and (method.startswith("modelopt") or not method):
        return MODELOPT[algorithm]
    return method


def reading(quantization: Mapping[str, Any], asked: str | None, *, model_type: str, on_cpu: bool) -> Reading | None:
    """How vLLM reads a quantized checkpoint; None if the checkpoint does not say its method.

    Args:
        quantization: how the checkpoint says that it is quantized.
        asked: the method that is asked for; None leaves it to the checkpoint.
        model_type: as config.json names the family.
        on_cpu: the device is a CPU, where checkpoints of AWQ are read under that name alone (auto_awq.py).

    """
    own = declared(quantization)
    if not own:
        return None
    stubborn = "gpt_oss_mxfp4" if own == "mxfp4" and model_type == "gpt_oss" else STUBBORN.get(own)
    taken = stubborn or own
    if asked in (None, own, taken):
        return Reading(taken, taken=True, refused=False)
    if asked == ANYTHING:
        return Reading(ANYTHING, taken=True, refused=False)
    if stubborn:
        return Reading(stubborn, taken=False, refused=False)
    readers = frozenset({own}) if own == "awq" and on_cpu else ALIASES.get(own, frozenset({own}))
    if asked in readers:
        return Reading(asked, taken=True, refused=False)
    return Reading(own, taken=False, refused=True)
