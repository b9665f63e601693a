"""vLLM's attention backends as a table: on which devices each runs, and which types of KV cache it reads.

A backend that is named and does not go with device, model or KV cache ends the engine ("is not valid for this configuration") after it has taken a GPU.
Source: vLLM 0.32.0, v1/attention/backends (supports_compute_capability, supported_kv_cache_dtypes, is_mla), asked of the classes themselves where they can
be imported without a GPU, else read. Backends of single models (DSV4, MSA, ...) and those of AMD and Intel are known by name only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_PLAIN: Final = frozenset({"auto", "float16", "bfloat16"})
_FP8: Final = _PLAIN | {"fp8", "fp8_e4m3"}


@dataclass(frozen=True, slots=True)
class Backend:
    """One attention backend of NVIDIA's devices."""

    name: str
    """As --attention-backend takes it, in upper case."""
    min_capability: int
    """Lowest compute capability."""
    max_capability: int | None
    """Highest compute capability; None is any."""
    kv_cache: frozenset[str]
    """Types of the KV cache that it reads."""
    latent: bool = False
    """For multi-head latent attention, and for nothing else; others are for everything else."""
    float32: bool = False
    """Computes in 32 bit too."""


def _backends(*backends: Backend) -> Mapping[str, Backend]:
    return MappingProxyType({backend.name: backend for backend in backends})


NVIDIA: Final = _backends(
    Backend("FLASH_ATTN", 80, None, _FP8),
    Backend("FLASHINFER", 80, 121, _FP8 | {"fp8_e5m2", "nvfp4", "nvfp4_4over6"}),
    Backend("TRITON_ATTN", 0, None, _FP8 | {"fp8_e5m2", "int4_per_token_head", "int8_per_token_head", "fp8_per_token_head"}, float32=True),
    Backend("FLEX_ATTENTION", 0, None, _PLAIN, float32=True),
    Backend("TURBOQUANT", 0, None, frozenset({"turboquant_k8v4", "turboquant_4bit_nc", "turboquant_k3v4_nc", "turboquant_3bit_nc"})),
    Backend("TRITON_MLA", 0, None, _FP8, latent=True),
    Backend("FLASHMLA", 90, 109, _FP8, latent=True),
    Backend("FLASH_ATTN_MLA", 90, 99, _PLAIN, latent=True),
    Backend("FLASHINFER_MLA", 100, 109, _FP8, latent=True),
    Backend("CUTLASS_MLA", 100, 109, _FP8, latent=True),
)
"""The backends that people name, by name."""

FOREIGN: Final[Mapping[str, str]] = MappingProxyType({"ROCM_": "amd", "XPU_": "intel", "CPU_": "cpu", "AMX_": "cpu"})
"""Beginnings of the names of backends that are of one vendor's devices."""

CPU: Final = frozenset({"CPU_ATTN", "CPU_MLA", "AMX_MLA"})
"""Backends of the CPU; vLLM passes over any other name there (platforms/cpu.py, get_attn_backend_cls)."""


def vendor_of(name: str) -> str | None:
    """The vendor that a backend is of; None for those that several have."""
    if name in NVIDIA and name.startswith(("FLASHINFER", "FLASHMLA", "CUTLASS", "FLASH_ATTN_MLA")):
        return "nvidia"
    return next((vendor for beginning, vendor in FOREIGN.items() if name.startswith(beginning)), None)
