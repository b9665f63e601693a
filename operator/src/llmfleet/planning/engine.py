"""What vLLM makes of the engine's settings on a device: those that are given, and its own where none is.

Facts: vLLM 0.32.0, engine/arg_utils.py (get_batch_defaults), config/vllm.py (_set_cudagraph_sizes, max_concurrent_batches, async_scheduling), config/cache.py,
platforms/cpu.py, v1/attention/backends (get_supported_kernel_block_sizes), config/model.py (dtype auto).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts
from llmfleet.api.quantity import quantity_bytes
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.architecture import Architecture
from llmfleet.planning.figures import GIB
from llmfleet.vllm.flag_values import human_integer

DEFAULT_UTILIZATION: Final = 0.92
"""--gpu-memory-utilization (config/cache.py)."""

DEFAULT_LENGTH: Final = 2048
"""Greatest length where neither service nor model says one (config/model.py, _get_and_verify_max_len)."""

DTYPE_BYTES: Final[Mapping[str, int]] = {"float32": 4, "float": 4}
"""Bytes of the dtypes that do not have two."""

_BLOCK_SIZE: Final = 16
_CPU_BLOCK_SIZE: Final = 128
_PACKED_BLOCK_SIZE: Final = 64
"""What FLASHMLA, attention over picked tokens, UltraQuant and Intel's kernels take."""

_FLASHINFER_LATENT_BLOCK_SIZE: Final = 32
"""The smaller of the two that FLASHINFER_MLA takes, which comes first on Blackwell."""

_OVERLAPPING: Final = ("eagle", "eagle3", "mtp", "draft_model", "dspark", "dflash", "ngram_gpu")
"""Ways of guessing with which one step overlaps the next; the names of single models' heads end in _mtp."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The settings that memory depends on."""

    max_length: int
    """Greatest length of a request in tokens; of `auto`, the model's own."""
    auto_length: bool
    """vLLM lowers the greatest length to what fits."""
    max_sequences: int
    """Requests that run at once."""
    max_batched_tokens: int
    """Tokens of one step."""
    element_bytes: int
    """Bytes of the dtype of weights and activations."""
    block_size: int
    """Tokens of one block of the KV cache."""
    in_flight_tokens: int
    """Tokens of the steps that overlap."""
    piecewise_graphs: int
    """Graphs recorded of the parts between attention."""
    full_graphs: int
    """Graphs recorded of whole decoding steps."""
    largest_graph: int
    """Tokens of the largest of them."""


def element_bytes(spec: LLMServiceSpec, architecture: Architecture) -> int:
    """Bytes of the dtype that a model is served in; `auto` makes two bytes of four."""
    asked = spec.model.dtype or "auto"
    if asked == "auto":
        return 2
    return DTYPE_BYTES.get(asked, 2)


def engine(spec: LLMServiceSpec, architecture: Architecture, profile: AcceleratorProfile) -> Engine:
    """What vLLM makes of the settings.

    Args:
        spec: the service.
        architecture: its model.
        profile: its accelerator.

    """
    asked, own = spec.model.max_length, architecture.max_length or DEFAULT_LENGTH
    max_length = own if asked is None or asked == "auto" else tokens(asked)
    tokens_default, sequences_default = _batch_defaults(spec, profile)
    doubled = 2 if spec.engine.performance_mode == "throughput" else 1
    max_sequences = spec.engine.max_sequences or sequences_default * doubled
    max_batched_tokens = spec.engine.max_batched_tokens
    if max_batched_tokens is None:
        max_batched_tokens = tokens_default * doubled
        if spec.engine.chunked_prefill is False:
            max_batched_tokens = max(max_batched_tokens, max_length)
        max_batched_tokens = min(max_batched_tokens, max_sequences * max_length)
    piecewise, full, largest = _graphs(spec, architecture, profile, max_sequences, max_batched_tokens)
    return Engine(
        max_length=max_length,
        auto_length=asked == "auto",
        max_sequences=max_sequences,
        max_batched_tokens=max_batched_tokens,
        element_bytes=element_bytes(spec, architecture),
        block_size=spec.engine.block_size or _block_size(spec, architecture, profile),
        in_flight_tokens=_overlapping_steps(spec, profile) * max_batched_tokens,
        piecewise_graphs=piecewise,
        full_graphs=full,
        largest_graph=largest,
    )


def utilization(spec: LLMServiceSpec) -> float:
    """The share of an accelerator's memory that vLLM takes."""
    return DEFAULT_UTILIZATION if spec.engine.memory_utilization is None else spec.engine.memory_utilization


def kv_dtype(spec: LLMServiceSpec, facts: ModelFacts, architecture: Architecture, profile: AcceleratorProfile) -> str:
    """The type of the KV cache: what is asked, else what the checkpoint brings scales for, else auto (utils/torch_utils.py, resolve_kv_cache_dtype_string)."""
    asked = spec.quantization.kv_cache or "auto"
    if asked == "auto":
        asked = _checkpoint_kv_dtype(facts.quantization or {})
    sparse = architecture.latent is not None and architecture.latent.indexer_size > 0
    # FlashMLA packs an fp8 latent with its scales; the Blackwell kernels do not (mla_attention.py, _canonicalize_sparse_mla_kv_cache_dtype).
    return "fp8_ds_mla" if sparse and asked in ("fp8", "fp8_e4m3") and (profile.compute_capability or "").startswith(("9.", "12.")) else asked


def _checkpoint_kv_dtype(quantization: Mapping[str, Any]) -> str:
    """The type that a checkpoint was calibrated for."""
    scheme, method = quantization.get("kv_cache_scheme"), str(quantization.get("quant_method", ""))
    algorithm = str(quantization.get("kv_cache_quant_algo", "")).lower()
    if isinstance(scheme, Mapping) and scheme.get("type") == "float":
        algorithm = {8: "fp8", 4: "nvfp4"}.get(scheme.get("num_bits", 0), "")
    if method == "compressed-tensors" or method.startswith("modelopt"):
        return {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}.get(algorithm, "auto")
    return "auto"


def tokens(length: int | str) -> int:
    """A number of tokens as people write it: `16k` is 16000, `16K` is 16384."""
    return length if isinstance(length, int) else human_integer(length)


def _batch_defaults(spec: LLMServiceSpec, profile: AcceleratorProfile) -> tuple[int, int]:
    """Tokens and requests of one step where none are given, by the device."""
    if profile.vendor is Vendor.CPU:
        ranks = spec.parallelism.tensor * spec.parallelism.pipeline
        return 2048 * ranks, 128 * ranks
    memory = quantity_bytes(profile.memory) if profile.memory is not None else 0
    if memory >= 160 * GIB:
        return 16_384, 1024
    # vLLM leaves the A100 out by its name; no other device of so much memory has its compute capability.
    if memory >= 70 * GIB and profile.compute_capability != "8.0":
        return 8192, 1024
    return 2048, 256


def _block_size(spec: LLMServiceSpec, architecture: Architecture, profile: AcceleratorProfile) -> int:
    if profile.vendor is Vendor.CPU:
        return _BLOCK_SIZE if architecture.latent is not None else _CPU_BLOCK_SIZE
    if profile.vendor is Vendor.INTEL or spec.quantization.kv_cache == "ultraquant_4bit":
        return _PACKED_BLOCK_SIZE
    if architecture.latent is None or profile.vendor is not Vendor.NVIDIA:
        return _BLOCK_SIZE
    capability = profile.compute_capability or ""
    if architecture.latent.indexer_size:
        return _PACKED_BLOCK_SIZE
    if capability.startswith("10."):
        return _FLASHINFER_LATENT_BLOCK_SIZE
    # Hopper: FLASH_ATTN_MLA takes 16 and knows no fp8, for which FLASHMLA comes next; the others have TRITON_MLA (platforms/cuda.py).
    return _PACKED_BLOCK_SIZE if capability.startswith("9.") and (spec.quantization.kv_cache or "").startswith("fp8") else _BLOCK_SIZE


def _overlapping_steps(spec: LLMServiceSpec, profile: AcceleratorProfile) -> int:
    """Steps under way at once: one per pipeline stage, and one more where scheduling runs ahead."""
    stages = spec.parallelism.pipeline
    speculative = spec.engine.speculative
    ahead = speculative is None or speculative.method in _OVERLAPPING or speculative.method.endswith("_mtp")
    if profile.vendor is Vendor.CPU or spec.model.runner == "pooling" or not ahead:
        return stages
    return stages + 1


def _graphs(spec: LLMServiceSpec, architecture: Architecture, profile: AcceleratorProfile, max_sequences: int, max_batched_tokens: int) -> tuple[int, int, int]:
    """Graphs of parts, graphs of whole steps, and tokens of the largest."""
    level = 2 if spec.engine.optimization_level is None else spec.engine.optimization_level
    if spec.engine.enforce_eager or level == 0 or profile.vendor in (Vendor.CPU, Vendor.GOOGLE):
        return 0, 0, 0
    guesses = spec.engine.speculative.tokens if spec.engine.speculative is not None else 0
    ceiling = 1024 if (profile.compute_capability or "").startswith("10.") else 512
    largest = min(max_sequences * (1 + guesses) * 2, ceiling, max_batched_tokens)
    if architecture.model_type == "gpt_oss":
        # model_executor/models/config.py, GptOssForCausalLMConfig.
        largest = min(1024, max_batched_tokens)
    small = range(1, min(largest, 32) + 1) if spec.engine.performance_mode == "interactivity" else (1, 2, 4)
    sizes = {size for size in (*small, *range(8, min(largest + 1, 256), 8), *range(256, largest + 1, 16)) if size <= largest}
    sizes |= {size for size in (max_batched_tokens, max_sequences * (1 + guesses)) if size <= largest}
    full = {size for size in sizes if size <= max_sequences * (1 + guesses)} if level >= 2 else set()
    return len(sizes), len(full), max(sizes)
