"""vLLM's closed sets of number formats: quantization methods, KV cache types, dtypes.

vLLM's own parser takes a method as free text and fails 10 to 30 seconds after the pod started (facts/vllm.md, 0.7); here a name is
checked before a GPU is taken. Source: vLLM 0.32.0, layers/quantization and config/cache.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Needs(StrEnum):
    """What a method asks of the checkpoint."""

    ONLINE = "online"
    """bf16 or fp16 weights; quantized while they are loaded."""
    CHECKPOINT = "checkpoint"
    """A checkpoint that was quantized by this method, and says so itself."""
    EITHER = "either"
    """Online if the checkpoint is not quantized, else its own format."""


@dataclass(frozen=True, slots=True)
class Method:
    """One quantization method."""

    name: str
    needs: Needs
    deprecated: bool = False
    """vLLM refuses it without --allow-deprecated-quantization."""


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("auto_awq", Needs.CHECKPOINT),
            Method("auto_gptq", Needs.CHECKPOINT),
            Method("awq", Needs.CHECKPOINT),
            Method("awq_marlin", Needs.CHECKPOINT),
            Method("compressed-tensors", Needs.CHECKPOINT),
            Method("deepseek_v4_fp8", Needs.CHECKPOINT),
            Method("experts_int8", Needs.ONLINE),
            Method("fbgemm_fp8", Needs.CHECKPOINT, deprecated=True),
            Method("fp8", Needs.CHECKPOINT),
            Method("fp8_per_block", Needs.ONLINE),
            Method("fp8_per_channel", Needs.ONLINE),
            Method("fp8_per_tensor", Needs.ONLINE),
            Method("fp_quant", Needs.CHECKPOINT, deprecated=True),
            Method("gpt_oss_mxfp4", Needs.CHECKPOINT),
            Method("gptq", Needs.CHECKPOINT),
            Method("gptq_marlin", Needs.CHECKPOINT),
            Method("humming", Needs.CHECKPOINT),
            Method("inc", Needs.CHECKPOINT),
            Method("int8_per_channel_weight_only", Needs.ONLINE),
            Method("modelopt", Needs.CHECKPOINT),
            Method("modelopt_fp4", Needs.CHECKPOINT),
            Method("modelopt_mixed", Needs.CHECKPOINT),
            Method("modelopt_mxfp8", Needs.CHECKPOINT),
            Method("moe_wna16", Needs.CHECKPOINT),
            Method("mxfp4", Needs.EITHER),
            Method("mxfp8", Needs.EITHER),
            Method("nvfp4_per_token", Needs.ONLINE),
            Method("online", Needs.ONLINE),
            Method("quark", Needs.CHECKPOINT),
            Method("torchao", Needs.CHECKPOINT),
        )
    }
)
"""The 30 methods of vLLM 0.32.0 by name."""

PLUGINS: Final[Mapping[str, str]] = MappingProxyType({"bitsandbytes": "vllm-bnb-plugin", "gguf": "vllm-gguf-plugin"})
"""Methods that left vLLM's tree, and the distribution that an image must contain to have them back (vLLM RFC 39583)."""

KV_CACHE_TYPES: Final = (
    "auto",
    "bfloat16",
    "float16",
    "fp8",
    "fp8_e4m3",
    "fp8_e5m2",
    "fp8_inc",
    "fp8_ds_mla",
    "fp8_per_token_head",
    "int8_per_token_head",
    "int4_per_token_head",
    "nvfp4",
    "nvfp4_4over6",
    "nvfp4_ds_mla",
    "turboquant_3bit_nc",
    "turboquant_4bit_nc",
    "turboquant_k3v4_nc",
    "turboquant_k8v4",
    "ultraquant_4bit",
)
"""Choices of --kv-cache-dtype."""

DTYPES: Final = ("auto", "bfloat16", "float", "float16", "float32", "half")
"""Choices of --dtype."""
