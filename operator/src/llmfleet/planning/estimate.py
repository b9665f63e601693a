"""The bill of one accelerator, and what it leaves for the KV cache."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts
from llmfleet.api.quantity import quantity_bytes
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning import kv_cache, memory, reason
from llmfleet.planning.architecture import Architecture, architecture
from llmfleet.planning.engine import Engine, element_bytes, engine, kv_dtype, utilization
from llmfleet.planning.figures import GIB, Range, Term, gib_range, total
from llmfleet.planning.layers import Layer, Reach
from llmfleet.planning.verdict import Plan, Verdict
from llmfleet.planning.weights import Weights, weights
from llmfleet.vllm import versions
from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.command_line import read

CPU_KV_VARIABLE: Final = "VLLM_CPU_KVCACHE_SPACE"
"""GiB of KV cache on a CPU; the profile sets it (vLLM's envs.py)."""

WITHOUT_WINDOWS: Final = "--disable-hybrid-kv-cache-manager"
"""The one flag beside the typed fields on which the layout of the KV cache depends."""

CONNECTOR: Final = "--kv-transfer-config"
"""A connector may not know groups of layers, and then windows are kept whole (config/vllm.py, SupportsHMA)."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What there is to reckon with."""

    spec: LLMServiceSpec
    facts: ModelFacts
    profile: AcceleratorProfile
    architecture: Architecture
    engine: Engine
    weights: Weights | None


def estimate(spec: LLMServiceSpec, facts: ModelFacts | None, profile: AcceleratorProfile) -> Plan:
    """What one replica needs, and whether it fits, without alternatives; the arguments are those of planning.plan.plan."""
    facts = _overridden(facts, spec) if facts is not None else None
    described = architecture(facts) if facts is not None else None
    if facts is None or described is None:
        why = "the model was not looked at" if facts is None else "its config.json does not say how many layers and heads it has"
        return _unknown(spec, profile, f"{why}: nothing can be reckoned, and nothing is refused")
    settings = engine(spec, described, profile)
    known = _Known(spec, facts, profile, described, settings, weights(spec, facts, profile, described, element_bytes=element_bytes(spec, described)))
    return _reckoned(known)


def _overridden(facts: ModelFacts, spec: LLMServiceSpec) -> ModelFacts:
    """The facts with the values that the service puts into config.json."""
    if not spec.model.config_overrides:
        return facts
    return facts.model_copy(update={"config": _merged(facts.config, spec.model.config_overrides)})


def _merged(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merged(config[key], value) for key, value in overrides.items() if isinstance(value, Mapping) and isinstance(config.get(key), Mapping)}
    return {**config, **overrides, **both}


def _unknown(spec: LLMServiceSpec, profile: AcceleratorProfile, reason: str) -> Plan:
    return Plan(
        verdict=Verdict.UNKNOWN,
        reason=reason,
        accelerators_per_replica=spec.parallelism.accelerators_per_pod,
        max_length=None,
        capacity_bytes=quantity_bytes(profile.memory) if profile.memory is not None else None,
        weights=None,
        activations=None,
        cuda_graphs=None,
        overhead=None,
        kv_cache=None,
        kv_bytes_per_token=None,
        kv_tokens=None,
        concurrency=None,
        largest_context=None,
    )


def _reckoned(known: _Known) -> Plan:
    spec, described, settings = known.spec, known.architecture, known.engine
    stages, weight_terms = _stages(known)
    activation_terms = memory.activations(spec, known.facts, known.profile, described, settings)
    graphs = memory.cuda_graphs(known.profile, described, settings)
    overhead_terms = memory.overhead(spec, known.profile, settings)
    heaviest = max(stages, key=lambda size: size.high) if stages else None
    activations, overhead = (total(*(term.size for term in terms)) for terms in (activation_terms, overhead_terms))
    besides = total(activations, graphs.size, overhead)
    plan = replace(
        _unknown(spec, known.profile, ""),
        max_length=settings.max_length,
        weights=heaviest,
        activations=activations,
        cuda_graphs=graphs.size,
        overhead=overhead,
        terms=(*weight_terms, *activation_terms, graphs, *overhead_terms),
    )
    if stages is None:
        return replace(plan, reason="neither its files nor its config.json tell how large its weights are: nothing is refused")
    return _with_kv_cache(known, plan, stages, besides)


def _stages(known: _Known) -> tuple[list[Range] | None, tuple[Term, ...]]:
    """Weights of one accelerator of each stage, adapters, drafts and offloading included."""
    if known.weights is None:
        return None, ()
    spec, stages, terms = known.spec, list(known.weights.stages), list(known.weights.terms)
    adapters = memory.adapters(spec, known.architecture, known.engine)
    if adapters is not None:
        stages = [Range(*(_share(bound, 1 / len(stages)) for bound in (adapters.size.low, adapters.size.high))) + stage for stage in stages]
        terms.append(adapters)
    draft = memory.draft(spec, known.architecture, known.engine, total(*known.weights.stages))
    if draft is not None:
        stages[-1] = stages[-1] + draft.size
        terms.append(draft)
    if spec.engine.cpu_offload is not None:
        offloaded = quantity_bytes(spec.engine.cpu_offload)
        stages = [Range(max(0, stage.low - offloaded), max(0, stage.high - offloaded)) for stage in stages]
        terms.append(Term("offloaded", Range(-offloaded, -offloaded), "weights in the host's memory", "vLLM 0.32.0, model_executor/offloader"))
    return stages, tuple(terms)


def _share(size_bytes: int, share: float) -> int:
    return ceil(size_bytes * share)


def _with_kv_cache(known: _Known, plan: Plan, stages: list[Range], besides: Range) -> Plan:
    """The plan with what is left for the KV cache, what it holds, and the verdict."""
    spec, profile = known.spec, known.profile
    fixed = _fixed_kv_bytes(spec, profile)
    if profile.vendor is Vendor.CPU:
        if fixed is None:
            return replace(plan, reason=f"on a CPU the KV cache has no size without engine.kvCacheMemory or {CPU_KV_VARIABLE}: nothing is refused")
        return _judged(known, replace(plan, capacity_bytes=None), [Range(fixed, fixed)] * len(stages), shortage=None)
    if plan.capacity_bytes is None:
        if fixed is None:
            return replace(plan, reason="the accelerator's profile does not say how much memory it has: nothing is refused")
        return _judged(known, plan, [Range(fixed, fixed)] * len(stages), shortage=None)
    seen, context = memory.capacity(profile, plan.capacity_bytes), memory.context(spec, profile)
    if fixed is not None:
        needed = [total(stage, besides, context, Range(fixed, fixed)) for stage in stages]
        shortage = Range(max(size.low for size in needed) - seen.high, max(size.high for size in needed) - seen.low)
        return _judged(known, plan, [Range(fixed, fixed)] * len(stages), shortage=shortage)
    share = utilization(spec)
    budget = Range(floor(seen.low * share), ceil(seen.high * share))
    left = [Range(budget.low - stage.high - besides.high, budget.high - stage.low - besides.low) for stage in stages]
    judged = _judged(known, plan, left, shortage=None)
    # vLLM does not start where less is free than its share (v1/worker/utils.py, request_memory).
    missing = Range(context.low - floor(seen.high * (1 - share)), context.high - floor(seen.low * (1 - share)))
    if missing.high <= 0 or judged.verdict is Verdict.DOES_NOT_FIT or (missing.low <= 0 and judged.verdict is not Verdict.FITS):
        return judged
    verdict = Verdict.DOES_NOT_FIT if missing.low > 0 else Verdict.TIGHT
    return replace(judged, verdict=verdict, reason=reason.no_start(spec, plan, context))


def _fixed_kv_bytes(spec: LLMServiceSpec, profile: AcceleratorProfile) -> int | None:
    """The size of the KV cache where it is said; None where it is what remains."""
    if spec.engine.kv_cache_memory is not None:
        return quantity_bytes(spec.engine.kv_cache_memory)
    if profile.vendor is not Vendor.CPU:
        return None
    variables = {**profile.env, **{variable.name: variable.value for variable in spec.engine.env}}
    space = variables.get(CPU_KV_VARIABLE)
    return int(space) * GIB if space is not None and space.isdecimal() else None


def _judged(known: _Known, plan: Plan, left: list[Range], *, shortage: Range | None) -> Plan:
    """The plan with tokens, contexts and the verdict.

    Args:
        known: what there is to reckon with.
        plan: the plan so far.
        left: bytes for the KV cache on an accelerator of each stage.
        shortage: by how much everything together exceeds the memory, where the KV cache has a size of its own.

    """
    spec = known.spec
    tightest = Range(min(size.low for size in left), min(size.high for size in left))
    plan = replace(plan, kv_cache=Range(max(0, tightest.low), max(0, tightest.high)))
    if shortage is not None and shortage.high > 0:
        verdict = Verdict.DOES_NOT_FIT if shortage.low > 0 else Verdict.TIGHT
        plan = replace(plan, verdict=verdict, reason=reason.too_large(plan, shortage))
        if verdict is Verdict.DOES_NOT_FIT:
            return plan
    elif tightest.high <= 0:
        return replace(plan, verdict=Verdict.DOES_NOT_FIT, reason=reason.no_room(spec, plan))
    elif known.architecture.unmodelled is not None:
        return replace(plan, reason=f"weights leave {gib_range(tightest)} for the KV cache; {known.architecture.unmodelled}, so what it holds is not known")
    return _with_tokens(known, plan, left)


def _with_tokens(known: _Known, plan: Plan, left: list[Range]) -> Plan:
    optimistic, pessimistic = _settings(known, Verdict.FITS), _settings(known, Verdict.TIGHT)
    described, asked = known.architecture, known.engine.max_length
    high, low = [size.high for size in left], [size.low for size in left]
    # Layers of a draft may change the groups, so that more of them hold more.
    context = Range(
        *sorted(
            (
                kv_cache.largest_context(described, pessimistic, available_bytes=low, limit=asked),
                kv_cache.largest_context(described, optimistic, available_bytes=high, limit=asked),
            )
        )
    )
    lengths = (max(1, context.low), max(1, context.high)) if known.engine.auto_length else (asked, asked)
    held = (
        kv_cache.capacity(described, pessimistic, available_bytes=low, max_length=lengths[0]),
        kv_cache.capacity(described, optimistic, available_bytes=high, max_length=lengths[1]),
    )
    plan = replace(
        plan,
        largest_context=context,
        kv_bytes_per_token=kv_cache.bytes_per_token(described, optimistic),
        # Of a length that vLLM chooses, the longer one may run fewer at once.
        kv_tokens=Range(*sorted(capacity.tokens if capacity is not None else 0 for capacity in held)),
        concurrency=Range(*sorted(int(capacity.concurrency) if capacity is not None else 0 for capacity in held)),
    )
    wanted = 1 if known.engine.auto_length else asked
    needed = kv_cache.needed_bytes(described, optimistic if context.high < wanted else pessimistic, wanted)
    if context.high < wanted:
        return replace(
            plan,
            verdict=Verdict.DOES_NOT_FIT,
            reason=reason.too_long(known.spec, plan, wanted, needed, certain=True),
        )
    if plan.verdict is Verdict.TIGHT:
        return plan
    if context.low < wanted:
        return replace(plan, verdict=Verdict.TIGHT, reason=reason.too_long(known.spec, plan, wanted, needed, certain=False))
    length = context.low if known.engine.auto_length else asked
    return replace(plan, verdict=Verdict.FITS, reason=reason.fits(known.spec, plan, length))


def _settings(known: _Known, verdict: Verdict) -> kv_cache.Settings:
    """How the KV cache is laid out; what is not known of a draft model counts only for the pessimistic bound."""
    spec, parallelism = known.spec, known.spec.parallelism
    speculative = spec.engine.speculative
    return kv_cache.Settings(
        block_size=known.engine.block_size,
        kv_dtype=kv_dtype(spec, known.facts, known.architecture, known.profile),
        element_bytes=known.engine.element_bytes,
        tensor=parallelism.tensor,
        pipeline=parallelism.pipeline,
        decode_context=parallelism.decode_context,
        in_flight_tokens=known.engine.in_flight_tokens,
        prefix_caching=spec.engine.prefix_caching is not False,
        guesses=speculative.tokens if speculative is not None else 0,
        hybrid=_hybrid(known, verdict),
        draft_layers=_draft_layers(known) if verdict is Verdict.TIGHT else (),
    )


def _hybrid(known: _Known, verdict: Verdict) -> bool:
    """Whether layers with a window give back what has left it; a connector that may not know them counts for the pessimistic bound."""
    spec = known.spec
    said = read(spec.engine.extra_args, catalogue(versions.nearest(spec.engine.version or versions.DEFAULT)))
    speculative, offload = spec.engine.speculative, spec.engine.kv_offload
    chunked = any(layer.attention is not None and layer.attention.reach is Reach.CHUNKED for layer in known.architecture.layers)
    if said.is_on(WITHOUT_WINDOWS) or (chunked and speculative is not None and speculative.method.startswith("eagle")):
        return False
    return verdict is Verdict.FITS or not (said.of(CONNECTOR) or (offload is not None and offload.backend == "lmcache"))


def _draft_layers(known: _Known) -> tuple[Layer, ...]:
    speculative = known.spec.engine.speculative
    full = next((layer for layer in known.architecture.layers if layer.attention is not None and not layer.attention.window), None)
    if speculative is None or full is None or full.attention is None:
        return ()
    if speculative.method == "draft_model":
        return (Layer(full.attention),) * -(-len(known.architecture.layers) // memory.DRAFT_SHARE)
    one = speculative.method.startswith(("eagle", "mtp", "dflash", "dspark")) or speculative.method.endswith("_mtp")
    return (Layer(full.attention),) if one else ()
