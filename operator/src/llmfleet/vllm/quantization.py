"""vLLM's closed sets of number formats: quantization methods, KV cache types, dtypes.

vLLM's own parser takes a method as free text and fails 10 to 30 seconds after the pod started (facts/vllm.md, 0.7); here a name is
checked before a GPU is taken. Source: vLLM 0.32.0, layers/quantization and config/cache.py.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

METHODS: Final = (
    "auto_awq",
    "auto_gptq",
    "awq",
    "awq_marlin",
    "compressed-tensors",
    "deepseek_v4_fp8",
    "experts_int8",
    "fbgemm_fp8",
    "fp8",
    "fp8_per_block",
    "fp8_per_channel",
    "fp8_per_tensor",
    "fp_quant",
    "gpt_oss_mxfp4",
    "gptq",
    "gptq_marlin",
    "humming",
    "inc",
    "int8_per_channel_weight_only",
    "modelopt",
    "modelopt_fp4",
    "modelopt_mixed",
    "modelopt_mxfp8",
    "moe_wna16",
    "mxfp4",
    "mxfp8",
    "nvfp4_per_token",
    "online",
    "quark",
    "torchao",
)
"""The 30 quantization methods of vLLM 0.32.0."""

DEPRECATED: Final = ("fbgemm_fp8", "fp_quant")
"""Those of METHODS that vLLM refuses without --allow-deprecated-quantization."""

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
