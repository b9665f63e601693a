"""vLLM's number formats as tables: quantization methods, KV cache types, dtypes.

vLLM's own parser takes a method as free text and fails 10 to 30 seconds after the pod started; here a name, and what it needs of model and device, is known
before one is taken. Source of every line: vLLM 0.32.0, model_executor/layers/quantization (get_min_capability, get_supported_act_dtypes), platforms/rocm.py and
platforms/xpu.py (supported_quantization), config/quantization.py (_ONLINE_SHORTHANDS), v1/attention/backends (supported_kv_cache_dtypes, customize_spec).

A capability is NVIDIA's compute capability without the dot, as vLLM compares it: 75 is 7.5 (T4), 80 A100, 89 L4 and L40S, 90 H100, 100 B200.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Final

GPU_VENDORS: Final = frozenset({"nvidia", "amd", "intel", "google"})
"""Vendors of accelerators. Google's and Gaudi's platforms are plugins with lists of their own: what is not known to fail there is not refused."""

ANY_VENDOR: Final = GPU_VENDORS | {"cpu"}

_NOT_INTEL: Final = ANY_VENDOR - {"intel"}
_NOT_AMD_OR_INTEL: Final = ANY_VENDOR - {"amd", "intel"}

_HALF: Final = frozenset({"bfloat16", "float16"})
_BFLOAT16: Final = frozenset({"bfloat16"})
_WITH_FLOAT32: Final = _HALF | {"float32"}


@dataclass(frozen=True, slots=True)
class Method:
    """One quantization method."""

    name: str
    """As --quantization takes it."""
    min_capability: int
    """Lowest compute capability, for NVIDIA; schemes inside a checkpoint (compressed-tensors, quark) may ask for more."""
    activations: frozenset[str]
    """Dtypes that weights and activations may have beside it."""
    vendors: frozenset[str]
    """Vendors of devices that it runs on."""
    checkpoint: bool = True
    """Reads a checkpoint that was quantized with it."""
    linear_bytes: float | None = None
    """Online: bytes that one weight of a linear layer takes after loading, scales included; None leaves those layers as they are."""
    expert_bytes: float | None = None
    """Online: the same for the routed experts of a mixture."""
    max_capability: int | None = None
    """Highest compute capability, for the methods that one family of devices has alone."""
    unquantized_as: str | None = None
    """The method that vLLM takes instead for a checkpoint that is not quantized."""
    deprecated: bool = False
    """Refused without --allow-deprecated-quantization."""

    @property
    def online(self) -> bool:
        """Quantizes an unquantized checkpoint while it loads."""
        return self.linear_bytes is not None or self.expert_bytes is not None

    @property
    def experts_only(self) -> bool:
        """Changes nothing but routed experts: without them it does nothing."""
        return self.linear_bytes is None and self.expert_bytes is not None


ONLINE_CAPABILITY: Final = 75
"""Lowest compute capability of a method that also reads checkpoints while it quantizes one that is not (online/base.py, get_min_capability)."""

_FP8_BLOCK: Final = 1 + 4 / (128 * 128)
"""One byte, and a float32 scale per 128 x 128 weights (online/fp8.py)."""
_MXFP8: Final = 1 + 1 / 32
"""One byte, and a one-byte scale per 32 weights (online/mxfp8.py)."""
_MXFP4: Final = 1 / 2 + 1 / 32
"""Half a byte, and a one-byte scale per 32 weights (online/mxfp4.py)."""
_NVFP4: Final = 1 / 2 + 1 / 16
"""Half a byte, and a one-byte scale per 16 weights (online/nvfp4.py)."""


def _methods(*methods: Method) -> Mapping[str, Method]:
    return MappingProxyType({method.name: method for method in methods})


METHOD: Final = _methods(
    Method("auto_awq", 75, _HALF, ANY_VENDOR),
    Method("auto_gptq", 60, _HALF, ANY_VENDOR),
    Method("awq", 75, _HALF, ANY_VENDOR),
    Method("awq_marlin", 75, _HALF, _NOT_INTEL),
    Method("compressed-tensors", 70, _WITH_FLOAT32, ANY_VENDOR),
    Method("deepseek_v4_fp8", 75, _HALF, ANY_VENDOR),
    Method("experts_int8", 80, _HALF, _NOT_AMD_OR_INTEL, checkpoint=False, expert_bytes=1),
    Method("fbgemm_fp8", 80, _HALF, _NOT_INTEL, deprecated=True),
    Method("fp8", 75, _HALF, ANY_VENDOR, linear_bytes=1, expert_bytes=1, unquantized_as="fp8_per_tensor"),
    Method("fp8_per_block", 75, _HALF, ANY_VENDOR, checkpoint=False, linear_bytes=_FP8_BLOCK, expert_bytes=_FP8_BLOCK),
    # The class floor is 75, but below 89 there is only the Marlin kernel, and online/fp8.py refuses that.
    Method("fp8_per_channel", 89, _HALF, ANY_VENDOR, checkpoint=False, linear_bytes=1, expert_bytes=1),
    # On the CPU _C::static_scaled_fp8_quant is missing (measured).
    Method("fp8_per_tensor", 75, _HALF, GPU_VENDORS, checkpoint=False, linear_bytes=1, expert_bytes=1),
    Method("fp_quant", 100, _BFLOAT16, _NOT_AMD_OR_INTEL, deprecated=True),
    Method("gpt_oss_mxfp4", 80, _BFLOAT16, ANY_VENDOR),
    Method("gptq", 60, _HALF, ANY_VENDOR),
    Method("gptq_marlin", 60, _HALF, _NOT_AMD_OR_INTEL),
    Method("humming", 75, _HALF, _NOT_AMD_OR_INTEL),
    Method("inc", 60, _HALF, ANY_VENDOR),
    Method("int8_per_channel_weight_only", 75, _HALF, _NOT_AMD_OR_INTEL, checkpoint=False, expert_bytes=1),
    Method("modelopt", 80, _HALF, ANY_VENDOR),
    Method("modelopt_fp4", 75, _HALF, _NOT_INTEL),
    Method("modelopt_mixed", 75, _HALF, _NOT_INTEL),
    Method("modelopt_mxfp8", 80, _BFLOAT16, _NOT_INTEL),
    Method("moe_wna16", 70, _HALF, ANY_VENDOR - {"amd"}),
    Method("mxfp4", 80, _BFLOAT16, ANY_VENDOR, linear_bytes=_MXFP4, expert_bytes=_MXFP4),
    Method("mxfp8", 80, _BFLOAT16, ANY_VENDOR, linear_bytes=_MXFP8, expert_bytes=_MXFP8),
    # The class floor is 75, but online/nvfp4.py takes nothing but the family of compute capability 10.
    Method("nvfp4_per_token", 100, _HALF, frozenset({"nvidia"}), checkpoint=False, expert_bytes=_NVFP4, max_capability=109),
    # What it does is in --quantization-config: layers, formats and exceptions; planning.weights reads them.
    Method("online", 75, _HALF, ANY_VENDOR, checkpoint=False, linear_bytes=1, expert_bytes=1),
    Method("quark", 70, _HALF, _NOT_INTEL),
    Method("torchao", 75, _WITH_FLOAT32, _NOT_INTEL),
)
"""The 30 quantization methods of vLLM 0.32.0, by name. The bytes of `online` are those of its commonest content; its own come from quantization.config."""

METHODS: Final = tuple(METHOD)
"""Names of the methods."""

DEPRECATED: Final = tuple(name for name, method in METHOD.items() if method.deprecated)
"""Those of METHODS that vLLM refuses without --allow-deprecated-quantization."""

PLUGINS: Final[Mapping[str, str]] = MappingProxyType({"bitsandbytes": "vllm-bnb-plugin", "gguf": "vllm-gguf-plugin"})
"""Methods that left vLLM's tree, and the distribution that an image must contain to have them back (vLLM RFC 39583)."""

WEIGHT_KEY_BYTES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "fp8_per_tensor_static": 1,
        "fp8_per_channel_static": 1,
        "fp8_per_block_static": _FP8_BLOCK,
        "mxfp8": _MXFP8,
        "mxfp4": _MXFP4,
        "nvfp4_per_token": _NVFP4,
        "int8_per_channel_static": 1,
    }
)
"""Bytes per weight of the formats that --quantization-config names besides the methods (config/quantization.py, QUANT_KEY_NAMES)."""


@dataclass(frozen=True, slots=True)
class KVCacheType:
    """One type of the KV cache: how many bytes it keeps, and which devices have an attention backend for it."""

    name: str
    """As --kv-cache-dtype takes it."""
    key_bits: float | None
    """Bits per number of a key, block scales included; None is the model's own dtype."""
    value_bits: float | None
    """The same for a value."""
    scale_bytes: int = 0
    """Bytes beside the numbers for each token and head."""
    even: bool = False
    """Rounded up to an even number of bytes for each token and head (turboquant/config.py, slot_size_aligned)."""
    latent_bytes: int | None = None
    """Bytes per token of a packed MLA latent; only for sparse MLA (mla_attention.py, get_kv_cache_spec)."""
    keeps_edges: bool = False
    """The first and last two layers of a model without state-space layers stay in its own dtype (turboquant/config.py, get_boundary_skip_layers)."""
    min_capability: int = 0
    """Lowest compute capability, for NVIDIA, of any attention backend that has it."""
    max_capability: int | None = None
    """Highest compute capability, for the types that one family of devices has alone."""
    vendors: frozenset[str] = ANY_VENDOR
    """Vendors of devices with an attention backend that has it."""
    latent: bool = True
    """Can hold the latent of multi-head latent attention."""

    def head_bytes(self, key_size: int, value_size: int, element_bytes: int) -> int:
        """Bytes of one token's key and value in one head.

        Args:
            key_size: numbers in a key.
            value_size: numbers in a value.
            element_bytes: bytes of the model's own dtype.

        """
        key_bits = 8 * element_bytes if self.key_bits is None else self.key_bits
        value_bits = 8 * element_bytes if self.value_bits is None else self.value_bits
        size = ceil(key_size * key_bits / 8) + ceil(value_size * value_bits / 8) + self.scale_bytes
        return size + size % 2 if self.even else size


def _kv_cache_types(types: Iterable[KVCacheType]) -> Mapping[str, KVCacheType]:
    return MappingProxyType({kind.name: kind for kind in types})


_NVIDIA: Final = frozenset({"nvidia"})
_AMD: Final = frozenset({"amd"})
_WITHOUT_CPU: Final = GPU_VENDORS

KV_CACHE_TYPE: Final = _kv_cache_types(
    (
        KVCacheType("auto", None, None),
        KVCacheType("bfloat16", 16, 16, min_capability=80),
        KVCacheType("float16", 16, 16),
        # 80: FLASHINFER; the Triton backend asks for 89 and FLASH_ATTN for 90.
        KVCacheType("fp8", 8, 8, min_capability=80),
        KVCacheType("fp8_e4m3", 8, 8, min_capability=80),
        KVCacheType("fp8_e5m2", 8, 8, min_capability=80, latent=False),
        KVCacheType("fp8_inc", 8, 8, vendors=frozenset({"intel"})),
        KVCacheType("fp8_ds_mla", 8, 8, latent_bytes=656, min_capability=90, vendors=frozenset({"nvidia", "amd"})),
        # float32 scales of key and value for each token and head; the Triton backend alone has these three.
        KVCacheType("fp8_per_token_head", 8, 8, scale_bytes=8, min_capability=89, vendors=_WITHOUT_CPU, latent=False),
        KVCacheType("int8_per_token_head", 8, 8, scale_bytes=8, vendors=_WITHOUT_CPU, latent=False),
        KVCacheType("int4_per_token_head", 4, 4, scale_bytes=8, vendors=_WITHOUT_CPU, latent=False),
        # Half a byte, and a one-byte scale per 16 numbers (utils/torch_utils.py, nvfp4_kv_cache_full_dim).
        KVCacheType("nvfp4", 4.5, 4.5, min_capability=80, vendors=_NVIDIA, latent=False),
        KVCacheType("nvfp4_4over6", 4.5, 4.5, min_capability=100, max_capability=109, vendors=_NVIDIA, latent=False),
        KVCacheType("nvfp4_ds_mla", 4.5, 4.5, latent_bytes=352, min_capability=100, max_capability=109, vendors=_NVIDIA),
        # Keys: a two-byte norm unless they are fp8; values: scale and zero point of two bytes each.
        KVCacheType("turboquant_3bit_nc", 3, 3, scale_bytes=6, even=True, keeps_edges=True, vendors=_WITHOUT_CPU, latent=False),
        KVCacheType("turboquant_4bit_nc", 4, 4, scale_bytes=6, even=True, keeps_edges=True, vendors=_WITHOUT_CPU, latent=False),
        KVCacheType("turboquant_k3v4_nc", 3, 4, scale_bytes=6, even=True, keeps_edges=True, vendors=_WITHOUT_CPU, latent=False),
        KVCacheType("turboquant_k8v4", 8, 4, scale_bytes=4, even=True, keeps_edges=True, vendors=_WITHOUT_CPU, latent=False),
        # Half a byte, and a one-byte scale per 32 numbers (attention/ops/ultraquant/format.py, slot_size).
        KVCacheType("ultraquant_4bit", 4.25, 4.25, keeps_edges=True, vendors=_AMD, latent=False),
    )
)
"""The choices of --kv-cache-dtype, by name."""


KV_CACHE_TYPES: Final = tuple(KV_CACHE_TYPE)
"""Names of the KV cache types."""

DTYPES: Final = ("auto", "bfloat16", "float", "float16", "float32", "half")
"""Choices of --dtype."""


def lowest_capability(method: str | None, kv_cache: str | None) -> int | None:
    """Return the lowest compute capability that a method and a type of the KV cache may do with, whatever the checkpoint is; None where any does."""
    asked, kept = METHOD.get(method or ""), KV_CACHE_TYPE.get(kv_cache or "")
    floors = [kept.min_capability] if kept is not None else []
    if asked is not None:
        floors.append(min(asked.min_capability, ONLINE_CAPABILITY) if asked.online and asked.checkpoint else asked.min_capability)
    return max(floors, default=0) or None
