"""What to change where a model does not fit for certain: each change is computed through, none is a phrase."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts
from llmfleet.api.quantity import quantity_bytes
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning import memory
from llmfleet.planning.architecture import Architecture, architecture
from llmfleet.planning.engine import utilization
from llmfleet.planning.estimate import estimate
from llmfleet.planning.figures import gib_range, number_range
from llmfleet.planning.verdict import Alternative, Plan, Verdict
from llmfleet.vllm.quantization import KV_CACHE_TYPE, METHOD

MACHINE: Final = 8
"""Accelerators of one machine, where the profile does not say."""

AND: Final = " and "
"""Between two fields, and their two values, that are changed together."""

_STEP: Final = 1024
"""A shorter context is rounded down to a multiple of this, so that it can be remembered."""

_ONLINE: Final = "fp8_per_tensor"
"""The online method that asks for least of device and shape."""


def alternatives(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile, estimated: Plan) -> tuple[Alternative, ...]:
    """Changes that lead to a better verdict, two together where none alone does; empty where nothing helps.

    Args:
        spec: the service.
        facts: what is known of its model.
        profile: its accelerator.
        estimated: what is the case without a change.

    """
    found: list[Alternative] = []
    outcomes: list[tuple[_Change, Plan]] = []
    for change in _changes(spec, facts, profile, estimated):
        outcome = estimate(change.spec, facts, profile)
        outcomes.append((change, outcome))
        if _better(outcome.verdict, estimated.verdict):
            found.append(Alternative(change.field, change.value, outcome.verdict, _figures(outcome)))
    if not found:
        found = [*_pairs(outcomes, facts, profile, estimated)]
    return tuple(_first_of_each(found))


@dataclass(frozen=True, slots=True)
class _Change:
    """One field with another value."""

    field: str
    value: str
    spec: LLMServiceSpec


def _pairs(outcomes: list[tuple[_Change, Plan]], facts: ModelFacts, profile: AcceleratorProfile, estimated: Plan) -> Iterator[Alternative]:
    """Two changes together, where none alone is enough."""
    for first, between in outcomes:
        for second in _changes(first.spec, facts, profile, between):
            if second.field == first.field:
                continue
            outcome = estimate(second.spec, facts, profile)
            if _better(outcome.verdict, estimated.verdict):
                pair = sorted(((first.field, first.value), (second.field, second.value)))
                yield Alternative(AND.join(field for field, _ in pair), AND.join(value for _, value in pair), outcome.verdict, _figures(outcome))


_RANK: Final = {Verdict.DOES_NOT_FIT: 0, Verdict.TIGHT: 1, Verdict.FITS: 2}


def _better(new: Verdict, old: Verdict) -> bool:
    return _RANK.get(new, 0) > _RANK.get(old, 0)


def _first_of_each(found: list[Alternative]) -> Iterator[Alternative]:
    """Of several values of one field the first that fits for certain, or the first."""
    for field in dict.fromkeys(alternative.field for alternative in found):
        same = [alternative for alternative in found if alternative.field == field]
        yield next((alternative for alternative in same if alternative.verdict is Verdict.FITS), same[0])


def _changes(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile, estimated: Plan) -> Iterator[_Change]:
    context = estimated.largest_context
    if context is not None and estimated.max_length is not None:
        for length in (context.low, context.high):
            rounded = length // _STEP * _STEP or length
            if 0 < rounded < estimated.max_length:
                yield _Change("spec.model.maxLength", str(rounded), _with(spec, "model", max_length=rounded))
    if (share := _share_that_starts(spec, profile)) is not None:
        yield _Change("spec.engine.memoryUtilization", f"{share:g}", _with(spec, "engine", memory_utilization=share))
    if _kv_halves(spec, profile):
        yield _Change("spec.quantization.kvCache", "fp8", _with(spec, "quantization", kv_cache="fp8"))
    if _online_works(spec, facts, profile):
        yield _Change("spec.quantization.method", _ONLINE, _with(spec, "quantization", method=_ONLINE))
    for tensor in _larger_tensors(spec, facts, profile):
        yield _Change("spec.parallelism.tensor", str(tensor), _with(spec, "parallelism", tensor=tensor))


def _share_that_starts(spec: LLMServiceSpec, profile: AcceleratorProfile) -> float | None:
    """The largest share in hundredths that is free for certain when vLLM starts; None where the share is no larger already."""
    if profile.memory is None or profile.vendor is Vendor.CPU or spec.engine.kv_cache_memory is not None:
        return None
    seen = memory.capacity(profile, quantity_bytes(profile.memory)).low
    share = floor(100 * (1 - memory.context(spec, profile).high / seen)) / 100 if seen else 0
    return share if 0 < share < utilization(spec) else None


def _with(spec: LLMServiceSpec, part: str, **values: Any) -> LLMServiceSpec:
    return spec.model_copy(update={part: getattr(spec, part).model_copy(update=values)})


def _capable(kind: Any, profile: AcceleratorProfile) -> bool:
    """Whether a device has what a method or a type asks for; unknown is no, because it would be recommended."""
    if profile.vendor is None or profile.vendor.value not in kind.vendors:
        return False
    if profile.vendor is not Vendor.NVIDIA:
        return True
    capability = int((profile.compute_capability or "0").replace(".", ""))
    return capability >= kind.min_capability and (kind.max_capability is None or capability <= kind.max_capability)


def _kv_halves(spec: LLMServiceSpec, profile: AcceleratorProfile) -> bool:
    return spec.quantization.kv_cache in (None, "auto", "bfloat16", "float16") and _capable(KV_CACHE_TYPE["fp8"], profile)


def _online_works(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile) -> bool:
    return spec.quantization.method is None and facts.quantization is None and _capable(METHOD[_ONLINE], profile)


def _larger_tensors(spec: LLMServiceSpec, facts: ModelFacts, profile: AcceleratorProfile) -> Iterator[int]:
    described = architecture(facts)
    heads = described.attention_heads if described is not None else 0
    others = spec.parallelism.pipeline * spec.parallelism.data
    most = min((profile.per_node or MACHINE) // others, 64)
    if profile.vendor is Vendor.CPU or not heads:
        return
    for tensor in range(spec.parallelism.tensor + 1, most + 1):
        if heads % tensor == 0 and tensor & (tensor - 1) == 0 and _whole_blocks(spec, facts, described, tensor):
            yield tensor


def _whole_blocks(spec: LLMServiceSpec, facts: ModelFacts, described: Architecture | None, tensor: int) -> bool:
    """Whether a rank's share of what is quantized in blocks has whole blocks; vLLM refuses others (quantization/fp8.py)."""
    sides = (facts.quantization or {}).get("weight_block_size")
    if described is None or spec.parallelism.expert or not isinstance(sides, list):
        return True
    ranks, width = tensor, described.intermediate_size
    if described.experts is not None:
        ranks, width = tensor * spec.parallelism.data, described.experts.intermediate_size
    return all(width // ranks % side == 0 for side in sides if isinstance(side, int) and side > 0)


def _figures(plan: Plan) -> str:
    context, tokens = plan.largest_context, plan.kv_tokens
    if plan.kv_cache is None or tokens is None or context is None:
        return f"{plan.accelerators_per_replica} accelerators"
    held = f"{gib_range(plan.kv_cache)} of KV cache per accelerator, {number_range(tokens)} tokens"
    return held if plan.accelerators_per_replica == 1 else f"{plan.accelerators_per_replica} accelerators, {held}"
