"""Memory: whether the model fits, and the settings that share the memory out.

The plan's arithmetic is planning.plan's; here it becomes a refusal or a warning.
"""

from collections.abc import Iterator
from typing import Final

from llmfleet.api.accelerator import Vendor
from llmfleet.api.quantity import quantity_bytes
from llmfleet.names import Reason
from llmfleet.planning import reserved
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.plan import Plan, Verdict
from llmfleet.planning.violation import Violation

SMALLEST_KV_CACHE: Final = 1024**2
"""Below a mebibyte a size in bytes is a slip: a number without its unit."""


@check("model.maxLength", "parallelism.tensor", "quantization.method", "quantization.kvCache", "accelerator.profile", "engine.memoryUtilization")
def does_it_fit(subject: Subject) -> Iterator[Violation]:
    """A model that does not fit even by the kindest estimate is refused before an accelerator is taken; what is unknown is never refused."""
    estimated = subject.plan
    field, value = _too_much(estimated, subject)
    if estimated.verdict is Verdict.DOES_NOT_FIT:
        yield Violation(field, value, estimated.reason, _changes(estimated), reason=Reason.DOES_NOT_FIT)
    elif estimated.verdict is Verdict.TIGHT:
        yield Violation(field, value, estimated.reason, _changes(estimated), warning=True)


def _too_much(estimated: Plan, subject: Subject) -> tuple[str, str]:
    """The field to lower or to raise first, and its value: the length where a shorter context fits, else the tensor size."""
    if any(alternative.field == "spec.model.maxLength" for alternative in estimated.alternatives):
        asked = subject.spec.model.max_length
        return "spec.model.maxLength", str(asked if asked is not None else estimated.max_length or "")
    return "spec.parallelism.tensor", str(subject.spec.parallelism.tensor)


def _changes(estimated: Plan) -> str:
    """What to change, each with what it leads to."""
    if not estimated.alternatives:
        return "choose an accelerator with more memory, or a smaller model"
    return "; or ".join(f"set {alternative.field} to {alternative.value} ({alternative.figures})" for alternative in estimated.alternatives)


@check("engine.kvCacheMemory")
def kv_cache_without_a_unit(subject: Subject) -> Iterator[Violation]:
    """The size of the KV cache is a quantity: 20 is twenty bytes."""
    given = subject.spec.engine.kv_cache_memory
    if given is not None and quantity_bytes(given) < SMALLEST_KV_CACHE:
        yield Violation("spec.engine.kvCacheMemory", given, f"is {quantity_bytes(given)} bytes, in which nothing fits", "write a unit, for instance 20Gi")


@check("engine.memoryUtilization", "accelerator.profile", "engine.env")
def utilization_of_the_cpu(subject: Subject) -> Iterator[Violation]:
    """On the CPU the utilisation is a share of the node's memory, and the variable for the KV cache overrides it (v1/worker/cpu_worker.py)."""
    given = subject.spec.engine.memory_utilization
    if given is not None and subject.vendor is Vendor.CPU and reserved.CPU_KV_CACHE in subject.environment:
        rule = f"has no effect: {reserved.CPU_KV_CACHE}, from spec.engine.env or the accelerator profile, says the size of the KV cache"
        yield Violation("spec.engine.memoryUtilization", f"{given:g}", rule, "remove it, or set spec.engine.kvCacheMemory", warning=True)


@check("engine.kvOffload", "engine.cpuOffload", "accelerator.profile")
def offload_from_the_cpu(subject: Subject) -> Iterator[Violation]:
    """What lies in the host's memory already cannot be moved there (v1/kv_offload/cpu/spec.py, model_executor/offloader/uva.py)."""
    if subject.vendor is not Vendor.CPU:
        return
    for field, given in (("kvOffload", subject.spec.engine.kv_offload), ("cpuOffload", subject.spec.engine.cpu_offload)):
        if given is not None:
            rule = "moves memory from an accelerator to its host, and on the CPU they are the same"
            yield Violation(f"spec.engine.{field}", "", rule, "remove it and set spec.engine.kvCacheMemory")


@check("engine.kvOffload.backend", "engine.kvOffload.memory")
def offload_to_lmcache(subject: Subject) -> Iterator[Violation]:
    """The backend lmcache asks a server of its own beside vLLM, whose size is not vLLM's to say (config/vllm.py, kv_offloading_backend)."""
    given = subject.spec.engine.kv_offload
    if given is not None and given.backend == "lmcache":
        rule = "keeps blocks in an LMCache server at localhost:5555 of the pod, whose size kvOffload.memory does not say"
        remedy = "add that server to the pod by spec.template.spec.containers, or remove the backend: vLLM's own keeps them itself"
        yield Violation("spec.engine.kvOffload.backend", "lmcache", rule, remedy, warning=True)
