"""What the weights take on one accelerator of each pipeline stage.

Facts: vLLM 0.32.0, model_executor/layers: linear.py (what tensor ranks share), vocab_parallel_embedding.py, fused_moe/config.py (experts are shared by
tensor x data ranks, sliced or whole), attention/mla_attention.py (process_weights_after_loading keeps W_UV and W_UK_T beside kv_b_proj), quantization/online
(which layers an online method converts). vLLM loads numbers of plain formats as the model's dtype, whatever the file holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts, TensorGroup
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning import parameters
from llmfleet.planning.architecture import Architecture, vision_config
from llmfleet.planning.figures import MIB, NOTHING, Range, Term, total
from llmfleet.planning.kv_cache import stage_layers
from llmfleet.planning.state import FLOAT32_BYTES
from llmfleet.vllm.quantization import METHOD, WEIGHT_KEY_BYTES

PLAIN_BYTES: Final[Mapping[str, int]] = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}
"""Formats of numbers that are loaded as the model's dtype (safetensors' names)."""

PADDING: Final = 0.02
"""Most that padding of shapes for kernels adds: rows of the vocabulary to 64, sides of quantized layers to a tile (layers/vocab_parallel_embedding.py)."""

LOADED: Final = 192 * MIB
"""Most that loading leaves behind besides: sizes that the allocator rounds up, scratch space of repacked layers (72 billion on four ranks: 0.15 GiB)."""

EXPERT_PADDING: Final = 0.15
"""The same of four-bit experts, whose sides are padded to 128 or 256: 2880 to 3072 in gpt-oss (fused_moe/oracle/mxfp4.py)."""

EXPERT_TILE: Final = 128
"""Sides that kernels of other experts take as they are."""

FOUR_BIT_EXPERTS: Final = ("mxfp4", "gpt_oss_mxfp4", "modelopt_fp4", "nvfp4_per_token")


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes of the whole model by what becomes of them, before they are shared out."""

    embedding: Range
    head: Range
    linear: Range
    experts: Range
    vision: Range
    other: Range


@dataclass(frozen=True, slots=True)
class Weights:
    """What the weights take."""

    stages: tuple[Range, ...]
    """On one accelerator of each pipeline stage."""
    terms: tuple[Term, ...]
    """The lines of the heaviest stage."""


def weights(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile, architecture: Architecture, *, element_bytes: int) -> Weights | None:
    """What the weights take on one accelerator of each stage; None where neither the files nor the config say.

    Args:
        spec: the service.
        facts: what is known of the model.
        profile: its accelerator.
        architecture: its shape.
        element_bytes: bytes of the dtype that it is served in.

    """
    if facts.weights is not None and facts.weights.tensors:
        parts, source = _from_files(spec, facts, facts.weights.tensors, architecture, element_bytes), "sizes in the safetensors headers"
    elif (counted := parameters.count(architecture)) is not None and facts.quantization is None:
        parts, source = _from_shapes(spec, facts, counted, architecture, element_bytes), "shapes in config.json"
    elif facts.weights is not None and facts.weights.bytes:
        parts, source = _from_total(spec, facts.weights.bytes, architecture), "size of the files"
    else:
        return None
    return _shared_out(spec, facts, profile, architecture, parts, source, element_bytes)


def _from_files(spec: LLMServiceSpec, facts: ModelFacts, groups: list[TensorGroup], architecture: Architecture, element_bytes: int) -> Parts:
    def loaded(part: str) -> Range:
        return total(*(_loaded(group, spec, facts, element_bytes) for group in groups if group.part == part))

    head = loaded("lmHead")
    # A checkpoint of a tied model may hold the output layer all the same; vLLM passes over it.
    return Parts(loaded("embedding"), NOTHING if architecture.tied else head, loaded("linear"), loaded("experts"), loaded("vision"), loaded("other"))


def _loaded(group: TensorGroup, spec: LLMServiceSpec, facts: ModelFacts, element_bytes: int) -> Range:
    """Bytes of a group after loading."""
    if group.dtype not in PLAIN_BYTES or facts.quantization is not None:
        # Scales and layers that a quantized checkpoint leaves alone stay as they are.
        return Range(group.bytes, group.bytes)
    numbers = group.bytes // PLAIN_BYTES[group.dtype]
    if group.part == "other":
        # Norms and scales in float32 may stay so.
        return Range(numbers * min(element_bytes, PLAIN_BYTES[group.dtype]), max(numbers * element_bytes, group.bytes))
    if group.part == "vision":
        # Some families hand an online method on to their encoder.
        least = min((each for part in ("linear", "experts") if (each := _online_bytes(part, spec, facts)) is not None), default=element_bytes)
        return Range(floor(numbers * least), numbers * element_bytes)
    each = _online_bytes(group.part, spec, facts)
    size = ceil(numbers * (element_bytes if each is None else each))
    return Range(size, size)


def _online_bytes(part: str, spec: LLMServiceSpec, facts: ModelFacts) -> float | None:
    """Bytes per weight that an online method leaves in a part; None where it leaves the part alone."""
    method = METHOD.get(spec.quantization.method or "")
    if method is None or not method.online or facts.quantization is not None:
        return None
    name, default = {"linear": ("linear", method.linear_bytes), "experts": ("moe", method.expert_bytes)}.get(part, ("", None))
    if method.name == "online":
        default = None
    asked = spec.quantization.config.get(name) if name else None
    return _asked_bytes(asked, name) or default


def _asked_bytes(asked: Any, name: str) -> float | None:
    """Bytes per weight of what quantization.config asks for, as a method, as a format, or as {weight: format} (config/quantization.py)."""
    if isinstance(asked, Mapping):
        asked = asked.get("weight")
    if not isinstance(asked, str):
        return None
    method = METHOD.get(asked)
    if method is not None:
        return method.linear_bytes if name == "linear" else method.expert_bytes
    return WEIGHT_KEY_BYTES.get(asked)


def _from_shapes(spec: LLMServiceSpec, facts: ModelFacts, counted: parameters.Parameters, architecture: Architecture, element_bytes: int) -> Parts:
    def size(numbers: int, part: str) -> Range:
        each = _online_bytes(part, spec, facts) or element_bytes
        # Biases and what a family adds to the common shape.
        return Range(ceil(numbers * each * (1 - parameters.UNCERTAINTY)), ceil(numbers * each * (1 + parameters.UNCERTAINTY)))

    vision = parameters.vision(vision_config(facts.config), architecture.hidden_size)
    return Parts(
        size(counted.embedding, "embedding"),
        size(counted.head, "lmHead"),
        size(counted.linear, "linear"),
        size(counted.experts, "experts"),
        Range(vision.low * element_bytes, vision.high * element_bytes) if vision.low else NOTHING,
        NOTHING,
    )


def _from_total(spec: LLMServiceSpec, size_bytes: int, architecture: Architecture) -> Parts:
    # How much of it are experts, which data ranks share out, is not known.
    ranks = spec.parallelism.data if architecture.experts is not None else 1
    return Parts(NOTHING, NOTHING, Range(size_bytes // ranks, size_bytes), NOTHING, NOTHING, NOTHING)


def _shared_out(
    spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile, architecture: Architecture, parts: Parts, source: str, element_bytes: int
) -> Weights:
    parallelism = spec.parallelism
    tensor, pipeline, ranks = parallelism.tensor, parallelism.pipeline, parallelism.tensor * parallelism.data
    stages = stage_layers(len(architecture.layers), pipeline)
    experts = architecture.experts
    parts = _without_predictors(spec, architecture, parts)
    quantized = facts.quantization is not None or spec.quantization.method is not None
    expert_share = Fraction(ceil(experts.routed / ranks), experts.routed) if experts is not None and parallelism.expert else Fraction(1, ranks)
    whole = {
        "linear": _spread(parts.linear, Fraction(1, tensor), PADDING if quantized else 0),
        "experts": _spread(parts.experts, expert_share, _expert_padding(spec, facts, profile, architecture)),
        "copies": _copies(architecture, tensor=tensor, element_bytes=element_bytes),
        # Scales of quantized layers are shared like the layers, norms are not.
        "other": Range(parts.other.low // tensor, parts.other.high),
    }
    # Every encoder but a few shares its layers out too (--mm-encoder-tp-mode).
    # An encoder whose kinds of input are turned off is not loaded (model_executor/models/interfaces.py, _mark_tower_model).
    off = spec.engine.multimodal is not None and 0 in spec.engine.multimodal.limits.values()
    vision = Range(0 if off else parts.vision.low // tensor, parts.vision.high)
    embedding = _spread(parts.embedding, Fraction(1, tensor), PADDING)
    head = _spread(parts.head, Fraction(1, tensor), PADDING)
    bills: list[dict[str, Range]] = []
    for stage, count in enumerate(stages):
        bill = {name: _spread(size, Fraction(count, len(architecture.layers))) for name, size in whole.items()}
        bill["loaded"] = _left_by_loading(architecture, element_bytes)
        if stage == 0:
            bill["embedding"], bill["vision"] = embedding, vision
        if stage == pipeline - 1:
            # The last stage of a tied model needs an embedding of its own.
            bill["head"] = embedding if architecture.tied and pipeline > 1 else head
        bills.append(bill)
    sizes = tuple(total(*bill.values()) for bill in bills)
    heaviest = max(range(pipeline), key=lambda stage: sizes[stage].high)
    layers = f", {stages[heaviest]} of {len(architecture.layers)} layers" if pipeline > 1 else ""
    between = "all of them" if tensor == 1 else f"between 1/{tensor} of them and all"
    formulas = {
        "embedding": ("embedding", f"vocabulary x width / tensor {tensor}"),
        "head": ("output layer", f"vocabulary x width / tensor {tensor}"),
        "linear": ("attention and feed-forward", f"all of them / tensor {tensor}{layers}"),
        "experts": ("experts", f"all of them / {ranks} ranks{layers}"),
        "copies": ("copies", "what every tensor rank has for itself: key-value heads fewer than ranks, latent projections, routers"),
        "loaded": ("left by loading", "tables of positions, ends of the allocator's segments"),
        "vision": ("other inputs", f"encoders, {between}"),
        "other": ("norms and scales", f"{between}{layers}"),
    }
    terms = tuple(Term(formulas[name][0], size, formulas[name][1], source) for name, size in bills[heaviest].items() if size.high)
    return Weights(sizes, terms)


def _without_predictors(spec: LLMServiceSpec, architecture: Architecture, parts: Parts) -> Parts:
    """Layers that predict further tokens are in the files, and loaded only where they guess (method mtp)."""
    predictors = architecture.predictors
    if not predictors or spec.engine.speculative is not None:
        return parts
    dense, sparse = len(architecture.layers), architecture.experts.layers if architecture.experts is not None else 0
    linear = Range(parts.linear.low * dense // (dense + predictors), parts.linear.high)
    experts = Range(parts.experts.low * sparse // (sparse + predictors), parts.experts.high)
    head = Range(parts.head.low // (1 + predictors), parts.head.high)
    embedding = Range(parts.embedding.low // (1 + predictors), parts.embedding.high)
    return replace(parts, linear=linear, experts=experts, head=head, embedding=embedding)


def _expert_padding(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile, architecture: Architecture) -> float:
    """Most that experts grow by: four-bit ones to tiles of 256, on AMD by 256 bytes a row, others to tiles of 128 where their sides are none."""
    method = spec.quantization.method or (facts.quantization or {}).get("quant_method")
    if method in FOUR_BIT_EXPERTS or profile.vendor is Vendor.AMD:
        return EXPERT_PADDING
    experts = architecture.experts
    ranks = 1 if spec.parallelism.expert else spec.parallelism.tensor * spec.parallelism.data
    whole = experts is not None and experts.intermediate_size % (ranks * EXPERT_TILE) == 0 and architecture.hidden_size % EXPERT_TILE == 0
    return 0 if whole else PADDING


def _left_by_loading(architecture: Architecture, element_bytes: int) -> Range:
    """Tables of rotary positions, which layers of one kind share (rotary_embedding/__init__.py), and what the allocator rounds up."""
    windows = any(layer.attention is not None and layer.attention.window for layer in architecture.layers)
    # Layers with a window have a table of their own, without scaling.
    rows = architecture.rotary_positions + (architecture.max_length or 0) * windows
    width = architecture.latent.rope_size if architecture.latent is not None else architecture.head_size
    return Range(0, rows * width * element_bytes + LOADED)


def _spread(size: Range, share: Fraction, padding: float = 0) -> Range:
    high = ceil(size.high * share)
    return Range(floor(size.low * share), high + int(high * padding))


def _copies(architecture: Architecture, *, tensor: int, element_bytes: int) -> Range:
    """What tensor ranks hold more of than their share, and what loading adds."""
    count = len(architecture.layers)
    least = more = 0
    latent = architecture.latent
    if latent is not None:
        absorbed = architecture.attention_heads // tensor * latent.kv_rank * (latent.nope_size + latent.value_size)
        least += count * absorbed * element_bytes
        # The projections into the latents are whole on every rank; their share is counted already.
        width = latent.query_rank + latent.kept_size
        more += count * architecture.hidden_size * width * element_bytes * (tensor - 1) // tensor
    elif 0 < architecture.kv_heads < tensor:
        attending = [layer.attention for layer in architecture.layers if layer.attention is not None]
        one = sum(architecture.hidden_size * (attention.key_size + attention.value_size) for attention in attending)
        missing = one * (tensor - architecture.kv_heads) // tensor
        # Between half a byte and the whole dtype, as the checkpoint is quantized.
        least += missing // 2
        more += missing * element_bytes - missing // 2
    if architecture.experts is not None and tensor > 1:
        more += architecture.experts.layers * architecture.hidden_size * architecture.experts.routed * FLOAT32_BYTES
    return Range(least, least + more)
