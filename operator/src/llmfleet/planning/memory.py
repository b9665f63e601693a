"""What a step takes besides weights and KV cache: activations, recorded graphs, adapters, and what is not torch's.

vLLM measures this by running a step of max_num_batched_tokens before it sizes the KV cache (vLLM 0.32.0, v1/worker/gpu_worker.py,
determine_available_memory; utils/mem_utils.py, memory_profiling). Here it is bounded: from below by tensors that must be alive together, from above by those
that a step without any reuse of memory would hold. What has no formula, because libraries do not tell, has a range with the reason beside it.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.architecture import Architecture, Experts, vision_config
from llmfleet.planning.config_json import positive
from llmfleet.planning.engine import Engine
from llmfleet.planning.figures import GIB, MIB, NOTHING, Range, Term
from llmfleet.planning.parameters import UNGATED

_PROFILE: Final = "vLLM 0.32.0, v1/worker/gpu/model_runner.py (profile_run) and v1/worker/gpu_model_runner.py (_dummy_sampler_run)"

LOGITS: Final = Range(1, 3)
"""Copies of the logits while sampling, in the model's dtype. The second model runner samples from them in place: one copy, and two more where tensor ranks
gather them or the model caps them (layers/logits_processor.py)."""

FIRST_RUNNER_LOGITS_BYTES: Final = 18
"""Most bytes per request and token of the vocabulary in the first model runner: logits, the gathered copy, and a float32 copy, probabilities, their
exponentials and the sorted ones beside them (v1/worker/gpu_model_runner.py; servers told 15 to 16)."""

FIRST_RUNNER: Final = ("ngram", "ngram_gpu", "suffix", "medusa", "mlp_speculator")
"""Ways of guessing for which vLLM 0.29 to 0.32, or one of them, takes the first model runner (config/vllm.py, _get_v2_model_runner_unsupported_features)."""

RUNNER_VARIABLE: Final = "VLLM_USE_V2_MODEL_RUNNER"
"""0 asks for the first model runner (envs.py)."""

GRAPH_BYTES: Final = MIB // 2
"""Least that one recorded graph takes of the driver: vLLM's estimate has 1 MiB at least (cudagraph_utils.py, _MIN_PER_GRAPH_BYTES), servers told 0.8."""

NODE_BYTES: Final = 32 * 1024
"""Most that a kernel in a recorded graph takes with its parameters."""

LAYER_KERNELS: Final = 14
"""Most kernels of a layer of attention and one wide part: two norms, queries and keys turned, the cache written, attention and what puts its parts together,
four matrices of which two may be split and summed, the gate, two sums over ranks."""

MANY_LAYER_KERNELS: Final = 20
"""The same with experts, a latent or a state: a router, sorting by expert, quantizing and two grouped matrices; projections in two steps."""

AMD_GRAPHS: Final = 2
"""How many times as large ROCm's graphs may be: 3.9 GiB where CUDA's bound is 3.2 (Gemma 4 E2B on MI325X)."""

FIRST_GRAPH_BYTES: Final = 512 * MIB
"""Most that libraries set aside when the first graph is recorded: workspaces in the graphs' own pool, of FlashInfer (394 MiB), cuBLAS and split attention."""

WORKSPACE: Final = Range(0, 768 * MIB)
"""What is not torch's on one device: cuBLAS' 32 MiB per stream, code of kernels that is loaded on first use. Servers told 0.07 to 0.56 GiB."""

COMMUNICATION: Final = Range(0, 1024 * MIB)
"""Buffers between ranks beyond those that exist when vLLM takes its first measurement: custom all-reduce, NCCL's channels, fused all-reduce
(distributed/device_communicators)."""

SWITCHED_COMMUNICATION: Final = Range(0, 2048 * MIB)
"""The same from compute capability 9.0, where NCCL reduces in the switch (NVLS) and symmetric memory is set aside: two to four H100 told 1.8 to 2.0 GiB."""

ADAPTER_RANK: Final = 16
"""--max-lora-rank (config/lora.py)."""

DRIVER: Final = Range(200 * MIB, 650 * MIB)
"""Memory of a device that NVIDIA's driver keeps for itself: nvidia-smi shows it, torch does not see it. 14.6 to 14.7 of 15.0 GiB (T4), 23.6 of 24.0 (RTX 3090
and 4090), 31.4 of 31.8 (RTX 5090), 39.5 of 40.0 (A100), 44.4 to 44.5 of 45.0 (L40S) are what vLLM's logs say."""

LARGE_DRIVER: Final = Range(300 * MIB, 900 * MIB)
"""The same of devices from LARGE: 79.2 of 79.6 GiB (H100), 79.2 of 80.0 (A100), 95.0 of 95.6 (RTX PRO 6000), 139.7 of 140.4 (H200), 178.4 of 179.1 (B200)."""

LARGE: Final = 64 * GIB

CONTEXT: Final = Range(200 * MIB, 700 * MIB)
"""What a device holds before vLLM takes its first measurement: the CUDA context. Servers told 0.23 (16 GB), 0.41 (A100), 0.51 (H100), 0.69 GiB (B200)."""

CONNECTED: Final = Range(200 * MIB, 1700 * MIB)
"""The same with NCCL's channels to other ranks, which exist by then (v1/worker/gpu_worker.py, init_device): 1.55 GiB on A100."""

SWITCHED_CONNECTED: Final = Range(200 * MIB, 2600 * MIB)
"""The same from compute capability 9.0: 1.4 to 2.1 GiB on H100, 2.5 on GB300."""


def _switched(profile: AcceleratorProfile) -> bool:
    """NCCL may reduce in the switch between the devices."""
    return profile.vendor is Vendor.NVIDIA and (profile.compute_capability or "").startswith(("9.", "10."))


def context(spec: LLMServiceSpec, profile: AcceleratorProfile) -> Range:
    """What is taken of a device before vLLM measures what is free."""
    if profile.vendor not in (Vendor.NVIDIA, Vendor.AMD):
        return NOTHING
    if spec.parallelism.tensor * spec.parallelism.pipeline * spec.parallelism.data == 1:
        return CONTEXT
    return SWITCHED_CONNECTED if _switched(profile) else CONNECTED


def capacity(profile: AcceleratorProfile, memory_bytes: int) -> Range:
    """Memory that vLLM sees of a device."""
    kept = LARGE_DRIVER if memory_bytes >= LARGE else DRIVER
    least = kept.low if profile.vendor is Vendor.NVIDIA else 0
    return Range(max(0, memory_bytes - kept.high), max(0, memory_bytes - least))


def activations(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile, architecture: Architecture, engine: Engine) -> list[Term]:
    """The peak of one step, and what stays beside it."""
    encoder = _encoder(spec, facts, engine) if architecture.other_inputs else NOTHING
    parts = [_step(spec, facts, architecture, engine), _sampling(spec, profile, architecture, engine)]
    # One runs after the other: the largest counts.
    peak = Range(max(part.size.low for part in parts), max(encoder.high, *(part.size.high for part in parts)))
    between = f"the larger of {parts[0].formula}, and {parts[1].formula}" if encoder.high < peak.high else "the encoder over the inputs of one step"
    terms = [Term("step", peak, between, _PROFILE)]
    if encoder.high:
        cache = engine.max_batched_tokens * architecture.hidden_size * engine.element_bytes * _STREAMS
        terms.append(Term("encoded inputs", Range(0, cache), "what the encoder made of one step's inputs", "vLLM 0.32.0, v1/core/encoder_cache_manager.py"))
    if architecture.experts is not None:
        terms.append(_experts(spec, architecture, architecture.experts, engine))
    return terms


def _step(spec: LLMServiceSpec, facts: ModelFacts, architecture: Architecture, engine: Engine) -> Term:
    """A layer over as many tokens as a step has; its attention and its wide part are not alive together."""
    tensor, tokens, element = spec.parallelism.tensor, engine.max_batched_tokens, engine.element_bytes
    hidden = architecture.hidden_size
    heads = expanded = architecture.attention_heads * architecture.head_size + 2 * architecture.kv_heads * architecture.head_size
    if architecture.latent is not None:
        latent = architecture.latent
        # Keys and values of all heads need not be made of the latent.
        heads = architecture.attention_heads * (latent.nope_size + latent.rope_size + latent.value_size)
        expanded = heads + architecture.attention_heads * (latent.nope_size + latent.rope_size)
    attention = expanded // tensor
    wide = architecture.intermediate_size // tensor
    if architecture.experts is not None and architecture.experts.layers == len(architecture.layers):
        wide = architecture.experts.shared_intermediate_size // tensor
    low = tokens * element * (2 * hidden + max(heads // tensor, _least_wide(spec, facts, architecture) * wide))
    state = max((layer.state.conv_width for layer in architecture.layers if layer.state is not None), default=0) // tensor
    high = tokens * element * (6 * hidden + max(2 * (attention + 2 * state), ceil(4.5 * wide)))
    return Term("layers", Range(low, high), f"a layer over {tokens} tokens", _PROFILE)


def _least_wide(spec: LLMServiceSpec, facts: ModelFacts, architecture: Architecture) -> int:
    """Streams of the wide part's width that are alive together at least."""
    if not architecture.attention_heads or architecture.model_type in UNGATED:
        return 0
    # The gate makes one of two streams; in a quantized model it may write fewer bytes.
    return 2 if facts.quantization is not None or spec.quantization.method is not None else 3


def _sampling(spec: LLMServiceSpec, profile: AcceleratorProfile, architecture: Architecture, engine: Engine) -> Term:
    requests = min(engine.max_sequences, engine.max_batched_tokens)
    numbers = requests * architecture.vocabulary
    most = FIRST_RUNNER_LOGITS_BYTES if _first_runner(spec, profile) else LOGITS.high * engine.element_bytes
    # Models that make vectors sample nothing, and of several stages only the last one does.
    least = 0 if spec.model.runner == "pooling" or spec.parallelism.pipeline > 1 else LOGITS.low * engine.element_bytes
    size = Range(numbers * least, numbers * most)
    formula = f"{LOGITS.low * engine.element_bytes} to {most} bytes x {requests} requests x {architecture.vocabulary} tokens of the vocabulary"
    return Term("sampling", size, formula, _PROFILE)


def _first_runner(spec: LLMServiceSpec, profile: AcceleratorProfile) -> bool:
    """Whether vLLM may take its first model runner; on AMD it does for some families."""
    speculative = spec.engine.speculative
    asked = any(variable.name == RUNNER_VARIABLE and variable.value == "0" for variable in spec.engine.env)
    return asked or profile.vendor is not Vendor.NVIDIA or (speculative is not None and speculative.method in FIRST_RUNNER)


def _experts(spec: LLMServiceSpec, architecture: Architecture, experts: Experts, engine: Engine) -> Term:
    """Workspaces in which every token lies once per expert that it goes to; they grow in the first step and stay (v1/worker/workspace.py)."""
    tensor, hidden = spec.parallelism.tensor, architecture.hidden_size
    width = experts.intermediate_size // (1 if spec.parallelism.expert else tensor)
    # Data ranks gather each other's tokens before the experts (fused_moe/prepare_finalize); half as much again where tokens are quantized first.
    tokens = engine.max_batched_tokens * spec.parallelism.data
    numbers = max(2 * width, hidden) + max(width, hidden) + hidden // 2
    high = tokens * experts.per_token * engine.element_bytes * numbers
    formula = f"{tokens} tokens x {experts.per_token} experts, two workspaces"
    return Term("workspaces of experts", Range(0, high), formula, "vLLM 0.32.0, model_executor/layers/fused_moe (workspace_shapes)")


_ENCODER_NUMBERS: Final = 20
"""Numbers per patch and unit of width that an encoder's layer holds at most: input, queries, keys, values, output, the fourfold feed-forward part twice, and
copies for the rotation. Gemma 3 over 64 images told 17.7 (vllm-project/vllm#21489)."""

_STREAMS: Final = 4
"""Streams of the language model's width that an encoder may hand over per token (Qwen3-VL's deep stack)."""

_LARGEST_INPUT: Final = 16_384
"""Tokens of the largest image of the families that take images of any size."""


def _encoder(spec: LLMServiceSpec, facts: ModelFacts, engine: Engine) -> Range:
    """The encoder over as many inputs as fit into a step, or over the largest (v1/core/encoder_cache_manager.py, compute_mm_encoder_budget)."""
    off = {kind for kind, most in (spec.engine.multimodal.limits if spec.engine.multimodal is not None else {}).items() if most == 0}
    if _kinds(facts.config) <= off:
        return NOTHING
    vision = vision_config(facts.config)
    width = positive(vision, "hidden_size", "embed_dim", "width") or 1280
    tokens = max(engine.max_batched_tokens, _LARGEST_INPUT if positive(vision, "spatial_merge_size") else 0)
    return Range(0, tokens * _patches_per_token(facts.config, vision) * width * _ENCODER_NUMBERS * engine.element_bytes)


_IMAGES_ALONE: Final = ("gemma3", "mistral3", "pixtral", "llama4", "mllama", "idefics3", "paligemma", "llava", "phi3_v", "aya_vision")
"""Families with an encoder of images that take no video (model_executor/models, get_supported_mm_limits)."""


def _kinds(config: Mapping[str, Any]) -> set[str]:
    """Kinds of inputs that a model takes besides text: each is to be turned off before no encoder runs."""
    kinds = {"image"} if config.get("model_type") in _IMAGES_ALONE else {"image", "video"}
    return kinds | ({"audio"} if "audio_config" in config else set())


def _patches_per_token(config: Mapping[str, Any], vision: Mapping[str, Any]) -> int:
    """Patches that an encoder reads for one token that it hands over."""
    fixed, side, patch = positive(config, "mm_tokens_per_image"), positive(vision, "image_size"), positive(vision, "patch_size")
    if fixed and side and patch:
        return max(1, (side // patch) ** 2 // fixed)
    merged = positive(vision, "spatial_merge_size", "pooling_kernel_size") or positive(config, "spatial_merge_size") or 2
    return min(merged, 4) ** 2


def cuda_graphs(profile: AcceleratorProfile, architecture: Architecture, engine: Engine) -> Term:
    """Recorded graphs."""
    count = engine.piecewise_graphs + engine.full_graphs
    if not count:
        return Term("graphs", NOTHING, "none are recorded", "vLLM 0.32.0, config/vllm.py (_set_cudagraph_sizes)")
    many = architecture.experts is not None or architecture.latent is not None or architecture.has_state
    kernels = len(architecture.layers) * (MANY_LAYER_KERNELS if many else LAYER_KERNELS)
    # A layer with a state is warmed up with a whole step before the first graph is measured.
    tokens = engine.max_batched_tokens if architecture.has_state else engine.largest_graph
    tensors = tokens * engine.element_bytes * (6 * architecture.hidden_size + 3 * architecture.intermediate_size) + FIRST_GRAPH_BYTES
    high = count * max(2 * MIB, kernels * NODE_BYTES) * (AMD_GRAPHS if profile.vendor is Vendor.AMD else 1) + tensors
    formula = (
        f"{engine.piecewise_graphs} of parts and {engine.full_graphs} of whole steps, each half a MiB at least, 32 KiB for each of {kernels} kernels at most"
    )
    return Term("graphs", Range(count * GRAPH_BYTES, high), formula, "vLLM 0.32.0, v1/worker/gpu/cudagraph_utils.py (profile_cudagraph_memory)")


def overhead(spec: LLMServiceSpec, profile: AcceleratorProfile, engine: Engine) -> list[Term]:
    """What is not torch's, and what lives as long as the engine."""
    tables = 2 * engine.max_sequences * -(-engine.max_length // engine.block_size) * 4
    source = "vLLM 0.32.0, utils/mem_utils.py (non_torch_increase), envs.py"
    if profile.vendor is Vendor.CPU:
        return []
    terms = [Term("workspaces", Range(WORKSPACE.low + tables // 2, WORKSPACE.high + tables), "libraries, kernels, tables of blocks", source)]
    if spec.parallelism.tensor * spec.parallelism.data > 1:
        size = SWITCHED_COMMUNICATION if _switched(profile) else COMMUNICATION
        terms.append(Term("communication", size, "buffers between ranks", "vLLM 0.32.0, distributed/device_communicators"))
    return terms


def adapters(spec: LLMServiceSpec, architecture: Architecture, engine: Engine) -> Term | None:
    """Room for LoRA adapters: every slot is as large as the largest adapter that may come, over every layer that can have one (lora/layers)."""
    slots = spec.adapters.places
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
