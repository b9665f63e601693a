"""The plan as status shows it: what was estimated beside what vLLM measured. Pure."""

from typing import Any, Final

from llmfleet.api.v1alpha1.status import ByteRange, Compared, ComparedTokens, MemoryStatus, PlanStatus, TokenRange
from llmfleet.planning.plan import Plan, Range, Verdict
from llmfleet.resources.blueprint import Manifest
from llmfleet.scrape.fleet import Measured

STEADY_PERCENT: Final = 1
"""Measured values that differ by no more than this from the one that is shown are that one: pods on equal nodes differ by some MiB, and each change is a
write."""

MAX_MESSAGE_CHARACTERS: Final = 4096
"""Of status.plan.message."""


def plan_status(plan: Plan, before: Manifest | None, measured: Measured | None, *, steady: bool) -> PlanStatus:
    """Return the plan to show.

    `steady` says that every replica is of the present specification, so that what they measured can be compared with its estimate. While that is not so, what
    was shown stays for as long as the estimate is the same.
    """
    shown = PlanStatus.from_wire(before)
    if not steady:
        measured = _shown_before(shown) if shown is not None and _same_estimate(plan, shown) else None
    elif measured is not None:
        measured = _steadied(measured, _shown_before(shown)) if shown is not None else measured
    elif shown is not None and _same_estimate(plan, shown):
        # The pods do not answer just now; what they measured at their start holds.
        measured = _shown_before(shown)
    known = measured or Measured()
    status: dict[str, Any] = {"verdict": plan.verdict.value, "message": _message(plan), "accelerators_per_replica": plan.accelerators_per_replica}
    memory: dict[str, Any] = {
        "capacity_bytes": plan.capacity_bytes,
        "weights": _compared(plan.weights, known.weights_bytes),
        "kv_cache": _compared(plan.kv_cache, known.kv_cache_bytes),
        "overhead": _byte_range(_sum(plan.activations, plan.cuda_graphs, plan.overhead)),
    }
    status["memory"] = MemoryStatus(**given) if (given := _given(memory)) else None
    status["largest_context"] = _token_range(plan.largest_context)
    status["kv_tokens"] = _compared_tokens(plan.kv_tokens, known.kv_tokens)
    return PlanStatus(**_given(status))


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _sum(*parts: Range | None) -> Range | None:
    """The sum of what is known of them."""
    known = [part for part in parts if part is not None]
    return Range(sum(part.low for part in known), sum(part.high for part in known)) if known else None


def _byte_range(estimated: Range | None) -> ByteRange | None:
    # Less than nothing is left where the weights alone are too large.
    return None if estimated is None else ByteRange(low=max(0, estimated.low), high=max(0, estimated.high))


def _token_range(estimated: Range | None) -> TokenRange | None:
    return None if estimated is None else TokenRange(low=max(0, estimated.low), high=max(0, estimated.high))


def _compared(estimated: Range | None, measured: int | None) -> Compared | None:
    fields = _given({"estimated": _byte_range(estimated), "measured_bytes": measured, "error_percent": _error_percent(estimated, measured)})
    return Compared(**fields) if fields else None


def _compared_tokens(estimated: Range | None, measured: int | None) -> ComparedTokens | None:
    fields = _given({"estimated": _token_range(estimated), "measured": measured, "error_percent": _error_percent(estimated, measured)})
    return ComparedTokens(**fields) if fields else None


def _error_percent(estimated: Range | None, measured: int | None) -> int | None:
    """Distance of the middle of the estimate from the measured value, in percent of that; negative where the estimate is too low."""
    return None if estimated is None or not measured else round(100 * ((estimated.low + estimated.high) / 2 - measured) / measured)


def _shown_before(shown: PlanStatus) -> Measured | None:
    memory, tokens = shown.memory or MemoryStatus(), shown.kv_tokens
    known = Measured(
        kv_tokens=tokens.measured if tokens is not None else None,
        weights_bytes=memory.weights.measured_bytes if memory.weights is not None else None,
        kv_cache_bytes=memory.kv_cache.measured_bytes if memory.kv_cache is not None else None,
    )
    return None if known == Measured() else known


def _same_estimate(plan: Plan, shown: PlanStatus) -> bool:
    tokens, memory = shown.kv_tokens, shown.memory or MemoryStatus()
    before = (tokens.estimated if tokens is not None else None, memory.weights.estimated if memory.weights is not None else None)
    return before == (_token_range(plan.kv_tokens), _byte_range(plan.weights))


def _steadied(measured: Measured, before: Measured | None) -> Measured:
    """What was measured, with the values as they were shown where they are nearly the same."""
    if before is None:
        return measured
    return Measured(
        kv_tokens=_steady(measured.kv_tokens, before.kv_tokens),
        weights_bytes=_steady(measured.weights_bytes, before.weights_bytes),
        kv_cache_bytes=_steady(measured.kv_cache_bytes, before.kv_cache_bytes),
    )


def _steady(new: int | None, old: int | None) -> int | None:
    return old if new is not None and old is not None and abs(new - old) * 100 <= STEADY_PERCENT * old else new


def _message(plan: Plan) -> str:
    """The reason, and what else would fit."""
    changes = [f"{item.field}: {item.value} ({item.verdict}: {item.figures})" for item in plan.alternatives]
    remedy = f" To make it fit, change {', or '.join(changes)}." if changes and plan.verdict in (Verdict.DOES_NOT_FIT, Verdict.TIGHT) else ""
    return (plan.reason + remedy)[:MAX_MESSAGE_CHARACTERS]
