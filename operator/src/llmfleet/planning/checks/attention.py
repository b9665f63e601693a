"""The KV cache's number format and the attention backend: against the device, the model and each other.

Source: vLLM 0.32.0, platforms/cuda.py and platforms/cpu.py (get_attn_backend_cls), config/vllm.py (validate_nvfp4_kv_cache_with_mla).
"""

from collections.abc import Iterator
from typing import Final

from llmfleet.api.accelerator import Vendor
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm.attention import CPU, NVIDIA, vendor_of
from llmfleet.vllm.quantization import KV_CACHE_TYPE, KVCacheType

KV_CACHE: Final = "spec.quantization.kvCache"
BACKEND: Final = "spec.engine.attentionBackend"

KERNEL_BLOCK: Final = 16
"""What blocks of the KV cache are multiples of (v1/attention/backends)."""


@check("quantization.kvCache", "accelerator.profile")
def kv_cache_against_the_device(subject: Subject) -> Iterator[Violation]:
    """Some attention backend of the device must read the type of the KV cache."""
    kind, device, capability = KV_CACHE_TYPE.get(subject.spec.quantization.kv_cache or ""), subject.profile_name, subject.capability
    if kind is None:
        return
    if subject.vendor is not None and subject.vendor.value not in kind.vendors:
        yield Violation(KV_CACHE, kind.name, f"has no attention backend on {subject.vendor.value} ({device})", _other_type(subject))
    elif capability is not None and capability < kind.min_capability:
        rule = f"has attention backends from compute capability {kind.min_capability / 10:.1f} on, and {device} has {capability / 10:.1f}"
        yield Violation(KV_CACHE, kind.name, rule, _other_type(subject))
    elif capability is not None and kind.max_capability is not None and capability > kind.max_capability:
        rule = f"has attention backends up to compute capability {kind.max_capability // 10}.x only, and {device} has {capability / 10:.1f}"
        yield Violation(KV_CACHE, kind.name, rule, _other_type(subject))


@check("quantization.kvCache", "model.source")
def kv_cache_against_the_model(subject: Subject) -> Iterator[Violation]:
    """Packed latents are for models with multi-head latent attention, and some other types cannot hold a latent."""
    kind, architecture = KV_CACHE_TYPE.get(subject.spec.quantization.kv_cache or ""), subject.architecture
    if kind is None or architecture is None or "VLLM_MLA_DISABLE" in subject.environment:
        return
    if kind.latent_bytes is not None and architecture.latent is None:
        rule = "is for multi-head latent attention, which this model does not have"
        yield Violation(KV_CACHE, kind.name, rule, "choose fp8 or nvfp4, or leave it out")
    elif not kind.latent and architecture.latent is not None and subject.vendor is Vendor.NVIDIA:
        rule = "cannot hold the latents of this model's attention (MLA)"
        yield Violation(KV_CACHE, kind.name, rule, "choose fp8, or leave it out")


@check("engine.attentionBackend", "accelerator.profile")
def backend_against_the_device(subject: Subject) -> Iterator[Violation]:
    """A backend that is named must run on the device; vLLM looks for no other."""
    name, vendor, device, capability = _name(subject), subject.vendor, subject.profile_name, subject.capability
    if name is None or vendor is None or name == "AUTO":
        return
    if vendor is Vendor.CPU:
        if name not in CPU and not subject.own_image:
            rule = "is passed over on the CPU, which has one backend and no choice"
            yield Violation(BACKEND, name, rule, "remove it")
        return
    own = vendor_of(name)
    if own is not None and own != vendor.value:
        yield Violation(BACKEND, name, f"runs on {own} devices, and {device} is one of {vendor.value}", "leave it out: vLLM chooses one by device")
        return
    backend = NVIDIA.get(name)
    if vendor is not Vendor.NVIDIA or backend is None or capability is None:
        return
    if capability < backend.min_capability or (backend.max_capability is not None and capability > backend.max_capability):
        upper = "on" if backend.max_capability is None else f"to {backend.max_capability / 10:.1f}"
        rule = f"runs on compute capability {backend.min_capability / 10:.1f} {upper}, and {device} has {capability / 10:.1f}"
        possible = [
            other.name
            for other in NVIDIA.values()
            if other.latent == backend.latent and other.min_capability <= capability and (other.max_capability is None or capability <= other.max_capability)
        ]
        yield Violation(BACKEND, name, rule, f"leave it out, or choose one of {', '.join(possible)}")


@check("engine.attentionBackend", "model.source")
def backend_against_the_model(subject: Subject) -> Iterator[Violation]:
    """Backends for multi-head latent attention serve no other model, and others do not serve it."""
    name, architecture = _name(subject), subject.architecture
    backend = NVIDIA.get(name or "")
    if backend is None or architecture is None or subject.vendor is not Vendor.NVIDIA or "VLLM_MLA_DISABLE" in subject.environment:
        return
    if backend.latent and architecture.latent is None:
        yield Violation(BACKEND, backend.name, "is for multi-head latent attention, which this model does not have", _leave_out(latent=False))
    elif not backend.latent and architecture.latent is not None:
        rule = "does not know multi-head latent attention, which this model has"
        yield Violation(BACKEND, backend.name, rule, _leave_out(latent=True), warning=True)


@check("engine.attentionBackend", "quantization.kvCache")
def backend_against_the_kv_cache(subject: Subject) -> Iterator[Violation]:
    """A backend that is named must read the type of the KV cache that is named."""
    backend, kind = NVIDIA.get(_name(subject) or ""), subject.spec.quantization.kv_cache
    if backend is None or kind is None or kind not in KV_CACHE_TYPE or subject.vendor is not Vendor.NVIDIA or kind in backend.kv_cache:
        return
    possible = [other.name for other in NVIDIA.values() if kind in other.kv_cache and other.latent == backend.latent]
    remedy = f"choose one of {', '.join(possible)}, or leave it out" if possible else f"leave it out, or choose another {KV_CACHE}"
    yield Violation(BACKEND, backend.name, f"does not read a KV cache of type {kind}", remedy)


@check("engine.attentionBackend", "model.dtype")
def backend_against_the_dtype(subject: Subject) -> Iterator[Violation]:
    """Most backends compute in 16 bit only (supported_dtypes)."""
    backend, dtype = NVIDIA.get(_name(subject) or ""), subject.spec.model.dtype
    if backend is not None and dtype in ("float32", "float") and not backend.float32 and subject.vendor is Vendor.NVIDIA:
        possible = [other.name for other in NVIDIA.values() if other.float32 and other.latent == backend.latent]
        remedy = f"choose one of {', '.join(possible)}, or leave it out" if possible else "set spec.model.dtype to bfloat16"
        yield Violation(BACKEND, backend.name, f"does not compute in {dtype}", remedy)


@check("engine.blockSize", "accelerator.profile")
def block_size(subject: Subject) -> Iterator[Violation]:
    """Attention kernels take blocks of a multiple of 16 tokens (get_supported_kernel_block_sizes)."""
    size = subject.spec.engine.block_size
    if size is not None and size % KERNEL_BLOCK:
        rule = f"is no multiple of {KERNEL_BLOCK}, which attention backends ask for"
        remedy = f"use {max(KERNEL_BLOCK, size // KERNEL_BLOCK * KERNEL_BLOCK)}, or leave it out: vLLM takes what its backend likes best"
        yield Violation("spec.engine.blockSize", str(size), rule, remedy, warning=True)


@check("engine.prefixCaching", "model.source")
def prefixes_without_attention(subject: Subject) -> Iterator[Violation]:
    """A model without attention keeps a state that belongs to no block of tokens (config/model.py, is_prefix_caching_supported)."""
    architecture = subject.architecture
    if subject.spec.engine.prefix_caching and architecture is not None and not architecture.attention_heads:
        rule = "is on, and vLLM does not support it for models without attention"
        yield Violation("spec.engine.prefixCaching", "", rule, "remove it", warning=True)


def _name(subject: Subject) -> str | None:
    name = subject.spec.engine.attention_backend
    return None if name is None else name.upper()


def _leave_out(*, latent: bool) -> str:
    possible = [backend.name for backend in NVIDIA.values() if backend.latent is latent]
    return f"leave it out: vLLM chooses one by device, of {', '.join(possible)}"


def _other_type(subject: Subject) -> str:
    """Types that the device has."""
    possible = [kind.name for kind in KV_CACHE_TYPE.values() if kind.key_bits is not None and kind.latent_bytes is None and _runs(kind, subject)]
    return f"leave it out, or choose one of {', '.join(possible)}" if possible else "leave it out"


def _runs(kind: KVCacheType, subject: Subject) -> bool:
    capability = subject.capability
    if subject.vendor is not None and subject.vendor.value not in kind.vendors:
        return False
    return capability is None or (kind.min_capability <= capability and (kind.max_capability is None or capability <= kind.max_capability))
