"""A specification as the arguments of `vllm serve`.

Rendered is what the user set and what the operator owns, nothing else: vLLM's defaults depend on the device and stay vLLM's. The order
never depends on the input's order of fields, so equal specifications give equal pods.
"""

from collections.abc import Callable
from typing import Final

from llmfleet import names
from llmfleet.api.v1alpha1 import LLMServiceSpec


def _above_one(size: int) -> int | None:
    """A parallel size, or None for 1: vLLM's default, so that writing it out rolls nothing out."""
    return size if size > 1 else None


TYPED: Final[tuple[tuple[str, str, Callable[[LLMServiceSpec], int | float | str | None]], ...]] = (
    ("model.maxLength", "--max-model-len", lambda spec: spec.model.max_length),
    ("model.dtype", "--dtype", lambda spec: spec.model.dtype),
    ("quantization.method", "--quantization", lambda spec: spec.quantization.method),
    ("quantization.kvCache", "--kv-cache-dtype", lambda spec: spec.quantization.kv_cache),
    ("parallelism.tensor", "--tensor-parallel-size", lambda spec: _above_one(spec.parallelism.tensor)),
    ("parallelism.pipeline", "--pipeline-parallel-size", lambda spec: _above_one(spec.parallelism.pipeline)),
    ("engine.maxSequences", "--max-num-seqs", lambda spec: spec.engine.max_sequences),
    ("engine.maxBatchedTokens", "--max-num-batched-tokens", lambda spec: spec.engine.max_batched_tokens),
    ("engine.memoryUtilization", "--gpu-memory-utilization", lambda spec: spec.engine.memory_utilization),
)
"""(field, flag, value) of the fields that are one flag each; None is not rendered."""


def arguments(spec: LLMServiceSpec, *, name: str, model: str, revision: str | None) -> list[str]:
    """Everything that stands after `vllm serve`, the model first and extraArgs last.

    `name` is the object's, the served name unless others are given; `model` a repository or a path in the pod; `revision` that of a
    repository. --shutdown-timeout is left at vLLM's 0: the launcher sends SIGTERM when no request is in flight any more or the drain
    timeout is over; what is left then is ended at once with finish_reason "abort", while a positive value that runs out leaves streams
    open for ever (facts/vllm.md, 4).
    """
    rendered = [model, "--served-model-name", *(spec.model.served_names or [name]), "--port", str(names.ENGINE_PORT)]
    if revision is not None:
        rendered += ["--revision", revision]
    for _, flag, value_of in TYPED:
        value = value_of(spec)
        if value is not None:
            rendered += [flag, str(value)]
    return rendered + spec.engine.extra_args
