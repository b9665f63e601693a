"""Why a plan says what it says: one sentence with the arithmetic, for people who read `kubectl describe`."""

from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.engine import utilization
from llmfleet.planning.figures import NOTHING, Range, gib, gib_range, number_range, total
from llmfleet.planning.verdict import Plan


def fits(spec: LLMServiceSpec, plan: Plan, length: int) -> str:
    """It fits for certain, with requests of a length."""
    tokens, requests = plan.kv_tokens or NOTHING, plan.concurrency or NOTHING
    if not plan.kv_bytes_per_token and not tokens.high:
        return f"{_bill(plan)} per accelerator fit, and it keeps nothing of a request"
    held = f"{number_range(tokens)} tokens, {number_range(requests)} request{'s' if requests.high != 1 else ''} of {length}"
    if plan.capacity_bytes is None:
        return f"{gib_range(plan.kv_cache or NOTHING)} of KV cache hold {held}"
    return f"{_bill(plan)} per accelerator leave {gib_range(plan.kv_cache or NOTHING)} of {_room(spec, plan)} for the KV cache, which holds {held}"


def no_room(spec: LLMServiceSpec, plan: Plan) -> str:
    """Nothing is left for a KV cache."""
    return f"{_bill(plan)} per accelerator do not fit into {_room(spec, plan)}"


def no_start(spec: LLMServiceSpec, plan: Plan, context: Range) -> str:
    """The share that vLLM takes is not free when it starts."""
    taken = f"the driver's context and connections take {gib_range(context)} before vLLM starts"
    return f"{_room(spec, plan)} must be free when vLLM starts, and {taken}: set a smaller engine.memoryUtilization"


def too_large(plan: Plan, shortage: Range) -> str:
    """Everything together exceeds the memory, where the KV cache has a size of its own."""
    certainly = "exceed" if shortage.low > 0 else "may exceed"
    return f"{_bill(plan)} and a KV cache of {gib_range(plan.kv_cache or NOTHING)} {certainly} {gib(plan.capacity_bytes or 0)} per accelerator"


def too_long(spec: LLMServiceSpec, plan: Plan, wanted: int, needed_bytes: int, *, certain: bool) -> str:
    """One request of the wanted length has no room in the KV cache."""
    context = plan.largest_context or NOTHING
    left, cannot, longest = plan.kv_cache or NOTHING, "cannot" if certain else "may not", context.high if certain else context.low
    source = f"{_room(spec, plan)} less {_bill(plan)} leave" if plan.capacity_bytes and spec.engine.kv_cache_memory is None else "there are"
    there = f"{source} {gib_range(left)} per accelerator, which {cannot} hold it: {longest} tokens fit"
    return f"one request of {wanted} tokens needs {gib(needed_bytes)} of KV cache; {there}"


def _bill(plan: Plan) -> str:
    """What takes the memory."""
    besides = total(plan.activations or NOTHING, plan.cuda_graphs or NOTHING, plan.overhead or NOTHING)
    return f"weights {gib_range(plan.weights or NOTHING)} and {gib_range(besides)} of activations, graphs and libraries"


def _room(spec: LLMServiceSpec, plan: Plan) -> str:
    return f"{utilization(spec):g} x {gib(plan.capacity_bytes or 0)}"
