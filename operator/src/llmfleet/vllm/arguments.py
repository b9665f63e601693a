"""A specification as the arguments of `vllm serve`.

Rendered is what the user set and what the operator owns, nothing else: vLLM's defaults depend on the device and stay vLLM's. One entry of TYPED per field
and flag; the order is the table's and never that of the input, so equal specifications give equal pods.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from pydantic.alias_generators import to_snake

from llmfleet import names
from llmfleet.api.quantity import quantity_bytes
from llmfleet.api.v1alpha1 import LLMServiceSpec

Value = bool | int | float | str | Sequence[str] | Mapping[str, Any]
"""What a flag says: a switch, one value, several, or JSON."""


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
    chat_template: str | None = None
    """Path of the template's file in the pod."""
    api_keys: tuple[str, ...] = ()
    """What stands for each key of spec.access.apiKeys: texts such as $(LLMFLEET_API_KEY_0) that the kubelet expands, never the key."""


@dataclass(frozen=True, slots=True)
class Given:
    """What arguments are made of."""

    spec: LLMServiceSpec
    name: str
    """Name of the LLMService."""
    places: Places


@dataclass(frozen=True, slots=True)
class Typed:
    """One flag, or one key of a flag that takes JSON, that one field owns."""

    field: str
    """Path below spec, without brackets for the items of a list."""
    flag: str
    """vLLM's own long spelling."""
    value: Callable[[Given], Value | None]
    """What is rendered; None, and what is empty, is not."""
    key: str | None = None
    """Key in the flag's JSON; None where the value is all that the flag takes, or several keys. Entries of one flag stand side by side."""


GIB: Final = 1024**3


def _field(field: str, flag: str, convert: Callable[[Any], Value | None] = lambda value: value, *, key: str | None = None) -> Typed:
    """A field that is set in the specification itself."""
    attributes = tuple(to_snake(name) for name in field.split("."))

    def value(given: Given) -> Value | None:
        found: Any = given.spec
        for attribute in attributes:  # None where an object on the way is not set
            found = found and getattr(found, attribute)
        return None if found is None else convert(found)

    return Typed(field, flag, value, key)


def _place(field: str, flag: str, value: Callable[[Places], Value | None], *, key: str | None = None) -> Typed:
    """A field that names something: what the flag says is where it lies."""
    return Typed(field, flag, lambda given: value(given.places), key)


def _above_one(size: int) -> int | None:
    """A parallel size, or None for 1: vLLM's default, so that writing it out rolls nothing out."""
    return size if size > 1 else None


def _if_true(switch: bool) -> bool | None:
    """A switch whose default is off, in vLLM and in the field: written only where it is on."""
    return switch or None


def _gib(quantity: str) -> float:
    """A quantity in GiB; vLLM multiplies by 2^30, also where a flag ends in -gb."""
    return quantity_bytes(quantity) / GIB


TYPED: Final = (
    # The model.
    Typed("model.servedNames", "--served-model-name", lambda given: given.spec.model.served_names or [given.name]),
    _place("model.source", "--revision", lambda places: places.model.revision),
    _field("model.maxLength", "--max-model-len"),
    _field("model.dtype", "--dtype"),
    _field("model.runner", "--runner"),
    _field("model.convert", "--convert"),
    _place("model.tokenizer", "--tokenizer", lambda places: places.tokenizer.argument if places.tokenizer else None),
    _place("model.tokenizer", "--tokenizer-revision", lambda places: places.tokenizer.revision if places.tokenizer else None),
    _field("model.tokenizerMode", "--tokenizer-mode"),
    _field("model.loadFormat", "--load-format"),
    _field("model.generationConfig", "--generation-config"),
    _field("model.generationDefaults", "--override-generation-config"),
    _field("model.configOverrides", "--hf-overrides"),
    _field("model.trustRemoteCode", "--trust-remote-code", _if_true),
    _place("model.chatTemplate", "--chat-template", lambda places: places.chat_template),
    # Number formats.
    _field("quantization.method", "--quantization"),
    _field("quantization.config", "--quantization-config"),
    _field("quantization.kvCache", "--kv-cache-dtype"),
    # How a replica is spread.
    _field("parallelism.tensor", "--tensor-parallel-size", _above_one),
    _field("parallelism.pipeline", "--pipeline-parallel-size", _above_one),
    _field("parallelism.data", "--data-parallel-size", _above_one),
    # vLLM starts as many API servers as data parallel ranks unless it is told otherwise, and with more than one it does not drain.
    _field("parallelism.data", "--api-server-count", lambda size: 1 if size > 1 else None),
    _field("parallelism.expert", "--enable-expert-parallel", _if_true),
    _field("parallelism.decodeContext", "--decode-context-parallel-size", _above_one),
    _field("parallelism.executor", "--distributed-executor-backend"),
    # Batches and the queue.
    _field("engine.maxSequences", "--max-num-seqs"),
    _field("engine.maxBatchedTokens", "--max-num-batched-tokens"),
    _field("engine.maxQueuedRequests", "--max-num-queued-reqs"),
    _field("engine.maxQueuedTokens", "--max-num-queued-tokens"),
    _field("engine.chunkedPrefill", "--enable-chunked-prefill"),
    _field("engine.schedulingPolicy", "--scheduling-policy"),
    # Memory.
    _field("engine.memoryUtilization", "--gpu-memory-utilization"),
    _field("engine.kvCacheMemory", "--kv-cache-memory-bytes", quantity_bytes),
    _field("engine.blockSize", "--block-size"),
    _field("engine.cpuOffload", "--cpu-offload-gb", _gib),
    _field("engine.kvOffload.memory", "--kv-offloading-size", _gib),
    _field("engine.kvOffload.backend", "--kv-offloading-backend"),
    _field("engine.prefixCaching", "--enable-prefix-caching"),
    _field("engine.prefixCachingHash", "--prefix-caching-hash-algo"),
    # Speed.
    _field("engine.attentionBackend", "--attention-backend"),
    _field("engine.performanceMode", "--performance-mode"),
    _field("engine.optimizationLevel", "--optimization-level"),
    _field("engine.enforceEager", "--enforce-eager"),
    _field("engine.speculative.method", "--speculative-config", key="method"),
    _place("engine.speculative.model", "--speculative-config", lambda places: places.draft.argument if places.draft else None, key="model"),
    _place("engine.speculative.model", "--speculative-config", lambda places: places.draft.revision if places.draft else None, key="revision"),
    _field("engine.speculative.tokens", "--speculative-config", key="num_speculative_tokens"),
    _field("engine.speculative.lookupMax", "--speculative-config", key="prompt_lookup_max"),
    _field("engine.speculative.lookupMin", "--speculative-config", key="prompt_lookup_min"),
    _field("engine.speculative.tensor", "--speculative-config", key="draft_tensor_parallel_size"),
    _field("engine.speculative.options", "--speculative-config"),
    # Inputs and answers.
    _field("engine.multimodal.limits", "--limit-mm-per-prompt"),
    _field("engine.multimodal.processorOptions", "--mm-processor-kwargs"),
    _field("engine.multimodal.cache", "--mm-processor-cache-gb", _gib),
    _field("engine.toolCalling.parser", "--tool-call-parser"),
    _field("engine.toolCalling", "--enable-auto-tool-choice", lambda _: True),
    _field("engine.reasoning.parser", "--reasoning-parser"),
    _field("engine.structuredOutputs.backend", "--structured-outputs-config", key="backend"),
    _field("engine.structuredOutputs.disableAnyWhitespace", "--structured-outputs-config", key="disable_any_whitespace"),
    _field("engine.structuredOutputs.enableInReasoning", "--structured-outputs-config", key="enable_in_reasoning"),
    _field("engine.seed", "--seed"),
    # Adapters and keys.
    # The adapters themselves are no arguments: the launcher loads and unloads them, so that none of them restarts an engine.
    _field("adapters", "--enable-lora", lambda adapters: _if_true(adapters.enabled)),
    Typed("adapters.maxLoaded", "--max-loras", lambda given: given.spec.adapters.places or None),
    _field("adapters.maxRank", "--max-lora-rank"),
    _place("access.apiKeys", "--api-key", lambda places: places.api_keys),
)
"""Every field that vLLM is told, in the order in which flags are rendered."""


def arguments(spec: LLMServiceSpec, *, name: str, places: Places) -> list[str]:
    """Everything that stands after `vllm serve`, the model first and extraArgs last.

    `name` is the object's, the served name unless others are given; `places` says where what the specification names lies in the pod.
    --shutdown-timeout is left at vLLM's 0: the launcher sends SIGTERM when no request is in flight any more or the drain
    timeout is over; what is left then is ended at once with finish_reason "abort", while a positive value that runs out leaves streams
    open for ever (facts/vllm.md, 4).
    """
    given = Given(spec, name, places)
    rendered = [places.model.argument, "--port", str(names.ENGINE_PORT)]
    for flag, entries in groupby(TYPED, key=lambda typed: typed.flag):
        rendered += _items(flag, _together([(typed.key, typed.value(given)) for typed in entries]))
    return rendered + spec.engine.extra_args


def _together(values: Sequence[tuple[str | None, Value | None]]) -> Value | None:
    """What the entries of one flag say: the value of the only one, or the JSON that several make."""
    if len(values) == 1 and values[0][0] is None:
        return values[0][1]
    together: dict[str, Any] = {}
    for key, value in values:
        if key is not None and value is not None:
            together[key] = value
        elif isinstance(value, Mapping):
            together |= value
    return together


def _items(flag: str, value: Value | None) -> list[str]:
    """A flag and what it says, each an item of its own; nothing for None and for what is empty."""
    match value:
        case None:
            return []
        case bool():
            return [flag if value else f"--no-{flag.removeprefix('--')}"]
        case float():
            return [flag, f"{value:.12g}"]
        case int() | str():
            return [flag, str(value)]
        case Mapping():
            return [flag, _json(value)] if value else []
        case _:
            return [flag, *value] if value else []


def _json(value: Mapping[str, Any]) -> str:
    """Without blanks and with sorted keys, so that equal settings are equal texts."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
