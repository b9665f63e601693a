"""A specification as the arguments of `vllm serve`.

Rendered is what the user set and what the operator owns, nothing else: vLLM's defaults depend on the device and stay vLLM's. The order
never depends on the input's order of fields, so equal specifications give equal pods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llmfleet import names
from llmfleet.api.v1alpha1 import LLMServiceSpec


def _above_one(size: int) -> int | None:
    """A parallel size, or None for 1: vLLM's default, so that writing it out rolls nothing out."""
    return size if size > 1 else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where one thing lies for the engine."""

    argument: str
    """As vLLM takes it: a repository's id, a path in the pod, or a URL of object storage."""
    revision: str | None = None
    """Revision of a repository; None is the default branch, and for what lies in the pod."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies that the specification names by its source."""

    model: Place
    """The model."""
    tokenizer: Place | None = None
    """spec.model.tokenizer."""
    draft: Place | None = None
    """spec.engine.speculative.model."""
    adapters: tuple[tuple[str, str], ...] = ()
    """Name, and path or repository id, in the order of spec.adapters.items."""
    chat_template: str | None = None
    """Path of the template's file in the pod."""
    api_keys: tuple[str, ...] = ()
    """What stands for each key of spec.access.apiKeys: texts such as $(LLMFLEET_API_KEY_0) that the kubelet expands, never the key."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One flag that one field owns."""

    field: str
    """Path below spec."""
    flag: str
    """vLLM's own long spelling."""
    value: Callable[[LLMServiceSpec], int | float | str | None]
    """What is rendered; None is not."""


TYPED: Final = (
    Typed("model.maxLength", "--max-model-len", lambda spec: spec.model.max_length),
    Typed("model.dtype", "--dtype", lambda spec: spec.model.dtype),
    Typed("quantization.method", "--quantization", lambda spec: spec.quantization.method),
    Typed("quantization.kvCache", "--kv-cache-dtype", lambda spec: spec.quantization.kv_cache),
    Typed("parallelism.tensor", "--tensor-parallel-size", lambda spec: _above_one(spec.parallelism.tensor)),
    Typed("parallelism.pipeline", "--pipeline-parallel-size", lambda spec: _above_one(spec.parallelism.pipeline)),
    Typed("engine.maxSequences", "--max-num-seqs", lambda spec: spec.engine.max_sequences),
    Typed("engine.maxBatchedTokens", "--max-num-batched-tokens", lambda spec: spec.engine.max_batched_tokens),
    Typed("engine.memoryUtilization", "--gpu-memory-utilization", lambda spec: spec.engine.memory_utilization),
)
"""The fields that are one flag each, in the order in which they are rendered."""


def arguments(spec: LLMServiceSpec, *, name: str, places: Places) -> list[str]:
    """Everything that stands after `vllm serve`, the model first and extraArgs last.

    `name` is the object's, the served name unless others are given; `places` says where what the specification names lies in the pod.
    --shutdown-timeout is left at vLLM's 0: the launcher sends SIGTERM when no request is in flight any more or the drain
    timeout is over; what is left then is ended at once with finish_reason "abort", while a positive value that runs out leaves streams
    open for ever (facts/vllm.md, 4).
    """
    rendered = [places.model.argument, "--served-model-name", *(spec.model.served_names or [name]), "--port", str(names.ENGINE_PORT)]
    if places.model.revision is not None:
        rendered += ["--revision", places.model.revision]
    for typed in TYPED:
        value = typed.value(spec)
        if value is not None:
            rendered += [typed.flag, str(value)]
    return rendered + spec.engine.extra_args
