"""What a step takes besides weights and KV cache: activations, recorded graphs, adapters, and what is not torch's.

vLLM measures this by running a step of max_num_batched_tokens before it sizes the KV cache (vLLM 0.32.0, v1/worker/gpu_worker.py,
determine_available_memory; utils/mem_utils.py, memory_profiling). Here it is bounded: from below by tensors that must be alive together, from above by those
that a step without any reuse of memory would hold. What has no formula, because libraries do not tell, has a range with the reason beside it.
"""

from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.architecture import Architecture
from llmfleet.planning.engine import Engine
from llmfleet.planning.figures import MIB, Range, Term

_PROFILE: Final = "vLLM 0.32.0, v1/worker/gpu/model_runner.py (profile_run) and v1/worker/gpu_model_runner.py (_dummy_sampler_run)"

LOGITS_BYTES: Final = Range(2, 18)
"""Bytes per request and token of the vocabulary while sampling. Low: the logits alone, in the model's dtype (the second model runner samples from them in
place). High: logits, the gathered copy, and a float32 copy, probabilities, their exponentials and the sorted ones beside them (the first one)."""

GRAPH_BYTES: Final = MIB // 2
"""Least that one recorded graph takes of the driver: vLLM's estimate has 1 MiB at least (gpu_model_runner.py, profile_cudagraph_memory), servers told 0.8."""

GRAPH_LAYER_BYTES: Final = 24 * 32 * 1024
"""Most that one layer adds to a recorded graph: two dozen kernels, each a node of up to 32 KiB with its parameters."""

FIRST_GRAPH_BYTES: Final = 512 * MIB
"""Most that libraries set aside when the first graph is recorded: workspaces in the graphs' own pool, of FlashInfer (394 MiB), cuBLAS and split attention."""

WORKSPACE: Final = Range(0, 1024 * MIB)
"""Workspaces of attention and matrix libraries: none with FlashAttention, 394 MiB with FlashInfer (envs.py, VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE), cuBLAS
32 MiB per stream, code of kernels that is loaded on first use."""

COMMUNICATION: Final = Range(0, 1024 * MIB)
"""Buffers between tensor ranks beyond those that exist when vLLM takes its first measurement: custom all-reduce, symmetric memory, fused all-reduce
(distributed/device_communicators)."""

ADAPTER_RANK: Final = 16
"""--max-lora-rank (config/lora.py)."""

DRIVER: Final = Range(200 * MIB, 900 * MIB)
"""Memory of a device that NVIDIA's driver keeps for itself: nvidia-smi shows it, torch does not see it. 14.7 of 15.0 GiB (T4), 44.4 of 45.0 (L40S), 79.2 of
80.0 (A100), 139.7 of 140.4 (H200) are what vLLM's logs say."""


def capacity(profile: AcceleratorProfile, memory_bytes: int) -> Range:
    """Memory that vLLM sees of a device."""
    kept = DRIVER.low if profile.vendor is Vendor.NVIDIA else 0
    return Range(max(0, memory_bytes - DRIVER.high), memory_bytes - kept)


def activations(spec: LLMServiceSpec, facts: ModelFacts, architecture: Architecture, engine: Engine) -> list[Term]:
    """The peak of one step."""
    step, sampling = _step(spec, architecture, engine), _sampling(architecture, engine)
    # The sampler runs after the layers: the larger of the two counts.
    peak = step if step.size.high >= sampling.size.high else sampling
    low = max(step.size.low, sampling.size.low)
    terms = [Term("step", Range(low, peak.size.high), f"the larger of {step.formula}, and {sampling.formula}", _PROFILE)]
    if architecture.other_inputs and (encoder := _encoder(spec, facts, architecture, engine)) is not None:
        terms.append(encoder)
    return terms


def _step(spec: LLMServiceSpec, architecture: Architecture, engine: Engine) -> Term:
    tensor, tokens, element = spec.parallelism.tensor, engine.max_batched_tokens, engine.element_bytes
    hidden = architecture.hidden_size
    heads = architecture.attention_heads * architecture.head_size + 2 * architecture.kv_heads * architecture.head_size
    if architecture.latent is not None:
        latent = architecture.latent
        heads = architecture.attention_heads * (2 * (latent.nope_size + latent.rope_size) + latent.value_size)
    attention = heads // tensor
    wide = 3 * architecture.intermediate_size // tensor
    routed = kept = 0
    if architecture.experts is not None:
        experts = architecture.experts
        width = experts.intermediate_size // (1 if spec.parallelism.expert else tensor)
        # Every token lies in the workspace once per expert that it goes to (fused_moe/modular_kernel.py); at best it is kept in one byte per number.
        routed = experts.per_token * (max(2 * width, hidden) + width)
        kept = experts.per_token * experts.intermediate_size // tensor // element
        wide = 3 * experts.shared_intermediate_size // tensor
    low = tokens * element * (2 * hidden + max(attention, wide, kept))
    high = tokens * element * (6 * hidden + 2 * attention + 2 * wide + 2 * routed)
    return Term("layers", Range(low, high), f"a layer over {tokens} tokens", _PROFILE)


def _sampling(architecture: Architecture, engine: Engine) -> Term:
    requests = min(engine.max_sequences, engine.max_batched_tokens)
    numbers = requests * architecture.vocabulary
    formula = f"{LOGITS_BYTES.low} to {LOGITS_BYTES.high} bytes x {requests} requests x {architecture.vocabulary} tokens of the vocabulary"
    return Term("sampling", Range(numbers * LOGITS_BYTES.low, numbers * LOGITS_BYTES.high), formula, _PROFILE)


_ENCODER_NUMBERS: Final = 24
"""Numbers per patch and unit of width that an encoder's layer holds at most: input, queries, keys, values, output and the fourfold feed-forward part, twice."""


def _encoder(spec: LLMServiceSpec, facts: ModelFacts, architecture: Architecture, engine: Engine) -> Term | None:
    """The cache of encoded inputs, and the encoder over the largest one (v1/core/encoder_cache_manager.py)."""
    multimodal = spec.engine.multimodal
    if multimodal is not None and multimodal.limits and not any(multimodal.limits.values()):
        return None
    cache = engine.max_batched_tokens * architecture.hidden_size * engine.element_bytes
    vision = _vision(facts.config)
    width = max((value for name in ("hidden_size", "embed_dim", "width") if isinstance(value := vision.get(name), int)), default=1280)
    merged = vision.get("spatial_merge_size", 2)
    patches = max(engine.max_batched_tokens, 16_384) * (merged if isinstance(merged, int) else 2) ** 2
    high = cache * 4 + patches * width * _ENCODER_NUMBERS * engine.element_bytes
    return Term(
        "encoder", Range(0, high), "encoded inputs of one step, and the encoder over the largest input", "vLLM 0.32.0, v1/core/encoder_cache_manager.py"
    )


def _vision(config: dict[str, Any]) -> dict[str, Any]:
    for name in ("vision_config", "vision_tower_config", "thinker_config"):
        inner = config.get(name)
        if isinstance(inner, dict):
            return inner.get("vision_config", inner) if name == "thinker_config" else inner
    return {}


def cuda_graphs(architecture: Architecture, engine: Engine) -> Term:
    """Recorded graphs."""
    count = engine.piecewise_graphs + engine.full_graphs
    if not count:
        return Term("graphs", Range(0, 0), "none are recorded", "vLLM 0.32.0, config/vllm.py (_set_cudagraph_sizes)")
    tensors = engine.largest_graph * engine.element_bytes * (6 * architecture.hidden_size + 3 * architecture.intermediate_size) + FIRST_GRAPH_BYTES
    high = count * max(2 * MIB, len(architecture.layers) * GRAPH_LAYER_BYTES) + tensors
    formula = f"{engine.piecewise_graphs} of parts and {engine.full_graphs} of whole steps, each half a MiB at least, 0.75 MiB per layer at most"
    return Term("graphs", Range(count * GRAPH_BYTES, high), formula, "vLLM 0.32.0, v1/worker/gpu_model_runner.py (profile_cudagraph_memory)")


def overhead(spec: LLMServiceSpec, profile: AcceleratorProfile, engine: Engine) -> list[Term]:
    """What is not torch's, and what lives as long as the engine."""
    tables = 2 * engine.max_sequences * -(-engine.max_length // engine.block_size) * 4
    source = "vLLM 0.32.0, utils/mem_utils.py (non_torch_increase), envs.py"
    if profile.vendor is Vendor.CPU:
        return []
    terms = [Term("workspaces", Range(WORKSPACE.low + tables // 2, WORKSPACE.high + tables), "libraries, kernels, tables of blocks", source)]
    if spec.parallelism.tensor * spec.parallelism.data > 1:
        terms.append(Term("communication", COMMUNICATION, "buffers between ranks", "vLLM 0.32.0, distributed/device_communicators"))
    return terms


def adapters(spec: LLMServiceSpec, architecture: Architecture, engine: Engine) -> Term | None:
    """Room for LoRA adapters: every slot is as large as the largest adapter that may come, over every layer that can have one (lora/layers)."""
    slots = spec.adapters.max_loaded or len(spec.adapters.items)
    if not slots:
        return None
    rank, tensor = spec.adapters.max_rank or ADAPTER_RANK, spec.parallelism.tensor
    hidden, head = architecture.hidden_size, architecture.head_size
    query, kept = architecture.attention_heads * head, architecture.kv_heads * head
    wide = architecture.experts.shared_intermediate_size if architecture.experts is not None else architecture.intermediate_size
    # A is whole on every rank where the layer's columns are shared, B where its rows are (column_parallel_linear.py, row_parallel_linear.py).
    attention = 3 * hidden + (query + 2 * kept) // tensor + query // tensor + hidden
    forward = (2 * hidden + 2 * wide // tensor + wide // tensor + hidden) if wide else 0
    low = len(architecture.layers) * (attention + forward) * rank * slots * engine.element_bytes
    routed = 0
    if architecture.experts is not None:
        width = architecture.experts.intermediate_size
        routed = architecture.experts.layers * architecture.experts.routed * 3 * (hidden + width // tensor) * rank * slots * engine.element_bytes
    head_bytes = (architecture.vocabulary + hidden) * rank * slots * engine.element_bytes
    formula = f"{slots} x rank {rank} over attention and feed-forward; at most the output layer and experts besides"
    return Term("adapters", Range(low, low + routed + head_bytes), formula, "vLLM 0.32.0, lora/layers (create_lora_weights)")


def draft(spec: LLMServiceSpec, architecture: Architecture, engine: Engine, model_bytes: Range) -> Term | None:
    """Weights of what guesses tokens; its files were not looked at, so that its shape is that of its kind (v1/spec_decode)."""
    speculative = spec.engine.speculative
    if speculative is None:
        return None
    hidden, vocabulary, element = architecture.hidden_size, architecture.vocabulary, engine.element_bytes
    if speculative.method.startswith("eagle"):
        one = model_bytes.high // max(1, len(architecture.layers))
        size, formula = (
            one + (3 * hidden * hidden + 2 * vocabulary * hidden) * element,
            "one layer, a projection of three streams into one, at most tables of its own",
        )
    elif speculative.method in ("medusa", "mlp_speculator"):
        size, formula = speculative.tokens * (2 * hidden * hidden + vocabulary * hidden) * element, "a block and an output layer per guessed token"
    elif speculative.method == "draft_model":
        size, formula = model_bytes.high // DRAFT_SHARE, "the draft model was not looked at: at most a quarter of the model"
    else:
        return None
    return Term("draft", Range(0, size), formula, "vLLM 0.32.0, v1/spec_decode")


DRAFT_SHARE: Final = 4
"""A draft model of more than a quarter of the model guesses more slowly than the model answers."""
