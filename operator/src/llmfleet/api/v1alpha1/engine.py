"""The vLLM server itself: spec.engine and spec.rollout."""

import re
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from llmfleet.api.references import ConfigMapKeyRef, FieldRef, LocalRef, SecretKeyRef
from llmfleet.api.v1alpha1.model import JsonObject, SourceUrl
from llmfleet.api.wire import ImageName, Matching, Quantity, VariableName, Wire, list_map, rules

ENV_ONE_VALUE: Final = "an environment variable has exactly one of value and valueFrom: add or remove one"
VALUE_FROM_ONE: Final = "valueFrom names exactly one of secretKeyRef, configMapKeyRef and fieldRef"
ENV_FROM_ONE: Final = "an item of envFrom names exactly one of secretRef and configMapRef"
ONE_MEMORY: Final = "kvCacheMemory is the size of the KV cache, memoryUtilization what it follows from: remove one of them"

DURATION_PATTERN: Final = r"^([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"
"""Go's durations in whole hours, minutes and seconds: 90s, 5m, 1h30m."""


DURATION_EXPECTED: Final = "must be a duration in hours, minutes and seconds such as 90s, 5m or 1h30m"


Duration = Annotated[str, Matching(DURATION_PATTERN, DURATION_EXPECTED), Field(min_length=2, max_length=16)]

VERSION_PATTERN: Final = r"^[0-9]+\.[0-9]+\.[0-9]+([-.+a-z0-9]*)?$"
VERSION_EXPECTED: Final = "must be a version of vLLM in three numbers, without a v, such as 0.32.0"


class EnvVarSource(Wire):
    """Where a value comes from; exactly one of the three."""

    model_config = ConfigDict(
        json_schema_extra=rules(("[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(x, x).size() == 1", VALUE_FROM_ONE))
    )

    secret_key_ref: SecretKeyRef | None = None
    """Key of a Secret; the pod reads it, the operator never does."""
    config_map_key_ref: ConfigMapKeyRef | None = None
    """Key of a ConfigMap."""
    field_ref: FieldRef | None = None
    """Field of the pod."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "EnvVarSource":
        if sum(reference is not None for reference in (self.secret_key_ref, self.config_map_key_ref, self.field_ref)) != 1:
            raise ValueError(VALUE_FROM_ONE)
        return self


class EnvVar(Wire):
    """An environment variable of the engine's container, as in a pod."""

    model_config = ConfigDict(json_schema_extra=rules(("has(self.value) != has(self.valueFrom)", ENV_ONE_VALUE)))

    name: VariableName
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Its value; always a string."""
    value_from: EnvVarSource | None = None
    """Or where the value comes from."""

    @model_validator(mode="after")
    def _value_or_source(self) -> "EnvVar":
        if (self.value is None) == (self.value_from is None):
            raise ValueError(ENV_ONE_VALUE)
        return self


class EnvFromSource(Wire):
    """All keys of one object as environment variables; exactly one of the two."""

    model_config = ConfigDict(json_schema_extra=rules(("has(self.secretRef) != has(self.configMapRef)", ENV_FROM_ONE)))

    prefix: VariableName | None = None
    """Put before every name."""
    secret_ref: LocalRef | None = None
    """A Secret; the pod reads it, the operator never does."""
    config_map_ref: LocalRef | None = None
    """A ConfigMap; new content rolls out."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "EnvFromSource":
        if (self.secret_ref is None) == (self.config_map_ref is None):
            raise ValueError(ENV_FROM_ONE)
        return self


class KVOffload(Wire):
    """A second, larger place for the KV cache: blocks that leave the accelerator are kept in the host's memory."""

    memory: Quantity
    """Host memory of one replica for it, over all ranks."""
    backend: Literal["native", "lmcache"] | None = None
    """What moves the blocks. Default: vLLM's (native)."""


class Speculative(Wire):
    """Tokens are guessed cheaply and checked by the model in one step."""

    method: Annotated[str, Field(min_length=1, max_length=64)]
    """How tokens are guessed: ngram, suffix, eagle, eagle3, medusa, draft_model, mtp, ..."""
    model: SourceUrl | None = None
    """The draft model or head, where the method needs one: `hf://`, `modelscope://`, `oci://` or `pvc://`."""
    tokens: Annotated[int, Field(ge=1, le=64)]
    """Tokens guessed per step."""
    lookup_max: Annotated[int, Field(ge=1, le=64)] | None = None
    """Longest n-gram that is looked up in the prompt (ngram). Default: vLLM's."""
    lookup_min: Annotated[int, Field(ge=1, le=64)] | None = None
    """Shortest n-gram that is looked up (ngram). Default: vLLM's."""
    tensor: Annotated[int, Field(ge=1, le=64)] | None = None
    """Tensor parallel size of the draft model: 1, or that of the model. Default: that of the model."""
    options: JsonObject = Field(default_factory=dict)
    """Further settings of vLLM's speculative configuration, by vLLM's names, for instance draft_sample_method."""


class Multimodal(Wire):
    """Inputs other than text."""

    limits: Annotated[dict[Annotated[str, Field(max_length=32)], Annotated[int, Field(ge=0, le=100_000)]], Field(max_length=8)] = Field(default_factory=dict)
    """Most items of each kind in one prompt: image, video, audio; 0 turns a kind off and frees its memory. Default: vLLM's."""
    processor_options: JsonObject = Field(default_factory=dict)
    """Options of the model's own processor, for instance max_pixels."""
    cache: Quantity | None = None
    """Host memory for inputs that were processed before; 0 turns it off. Default: vLLM's (4Gi)."""


class ToolCalling(Wire):
    """Tool calls are read out of the model's answers."""

    parser: Annotated[str, Field(min_length=1, max_length=64)]
    """vLLM's parser for this model's format: hermes, llama3_json, mistral, ..."""


class Reasoning(Wire):
    """Thinking is told apart from the answer."""

    parser: Annotated[str, Field(min_length=1, max_length=64)]
    """vLLM's parser for this model's format: deepseek_r1, qwen3, ..."""


class StructuredOutputs(Wire):
    """Answers that follow a grammar."""

    backend: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """What compiles grammars: auto, xgrammar, guidance, outlines, lm-format-enforcer. Default: vLLM's (auto)."""
    disable_any_whitespace: bool | None = None
    """JSON in answers is written without blanks; for xgrammar and guidance. Default: vLLM's (false)."""
    enable_in_reasoning: bool | None = None
    """The grammar holds while the model thinks, too. Default: vLLM's (false)."""


class Engine(Wire):
    """The vLLM server of each replica."""

    model_config = ConfigDict(json_schema_extra=rules(("!(has(self.memoryUtilization) && has(self.kvCacheMemory))", ONE_MEMORY)))

    version: Annotated[str, Matching(VERSION_PATTERN, VERSION_EXPECTED), Field(min_length=1, max_length=32)] | None = None
    """vLLM's version; picks the profile's image and the rules that flags are checked by. Default: the newest that this operator knows."""
    image: ImageName | None = None
    """Image instead of the profile's; must contain vLLM and Python."""
    max_sequences: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that run at once in one replica; more wait. Default: vLLM's, by device."""
    max_batched_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Tokens of one engine step. Default: vLLM's, by device."""
    max_queued_requests: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Requests that may be in one replica, waiting and running together; further ones get 503. Default: no limit."""
    max_queued_tokens: Annotated[int, Field(ge=1, le=2_000_000_000)] | None = None
    """Prompt tokens of requests without a first answer that may be in one replica; further requests get 503. Default: no limit."""
    memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the accelerator's memory that vLLM may take, above 0 and at most 1. Default: vLLM's (0.92)."""
    kv_cache_memory: Quantity | None = None
    """KV cache of each accelerator, exactly; instead of memoryUtilization. Default: what is left of it."""
    block_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Tokens of one block of the KV cache. Default: vLLM's, by backend."""
    cpu_offload: Quantity | None = None
    """Weights of each accelerator that are kept in the host's memory and read in every step; slow. Default: none."""
    kv_offload: KVOffload | None = None
    """Keep KV blocks that leave the accelerator in the host's memory. Default: off."""
    chunked_prefill: bool | None = None
    """Long prompts are taken in parts, between the tokens of others. Default: vLLM's (on where the model allows)."""
    prefix_caching: bool | None = None
    """Equal beginnings of prompts are computed once. Default: vLLM's (on where the model allows)."""
    prefix_caching_hash: Literal["sha256", "sha256_cbor", "xxhash", "xxhash_cbor"] | None = None
    """Hash of a block of tokens. Default: vLLM's (sha256)."""
    attention_backend: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """vLLM's attention backend, such as FLASHINFER. Default: vLLM's choice, by device."""
    scheduling_policy: Literal["fcfs", "priority"] | None = None
    """Order of waiting requests: first come first served, or by the request's priority. Default: vLLM's (fcfs)."""
    performance_mode: Literal["balanced", "interactivity", "throughput"] | None = None
    """What vLLM tunes itself for. Default: vLLM's (balanced)."""
    optimization_level: Annotated[int, Field(ge=0, le=3)] | None = None
    """How much time start-up spends on faster steps, 0 to 3. Default: vLLM's (2)."""
    enforce_eager: bool | None = None
    """No compilation and no graphs: starts fast, runs slowly. Default: vLLM's (false)."""
    speculative: Speculative | None = None
    """Speculative decoding. Default: off."""
    multimodal: Multimodal | None = None
    """Inputs other than text. Default: vLLM's."""
    tool_calling: ToolCalling | None = None
    """Tool calls are read out of answers. Default: off."""
    reasoning: Reasoning | None = None
    """Thinking is told apart from the answer. Default: off."""
    structured_outputs: StructuredOutputs | None = None
    """Answers that follow a grammar. Default: vLLM's."""
    seed: Annotated[int, Field(ge=0, le=4_294_967_295)] | None = None
    """Seed of sampling. Default: vLLM's (0)."""
    max_request_size: Quantity = "64Mi"
    """Largest body of a request; larger ones get 413. Pictures and videos travel in it. Default: 64Mi."""
    start_timeout: Duration = "1h"
    """Longest time from an engine's start to its first answer, downloads of its own included; one that takes longer is ended as failed. Default: 1h."""
    extra_args: Annotated[list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(max_length=128)] = Field(default_factory=list)
    """Further arguments of `vllm serve`, one item each, appended last. Flags that a field owns are refused with the field's name."""
    env: Annotated[list[EnvVar], Field(max_length=128, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """Environment variables of the engine's container."""
    env_from: Annotated[list[EnvFromSource], Field(max_length=32)] = Field(default_factory=list)
    """Secrets and ConfigMaps all of whose keys become environment variables; env goes before them."""

    @model_validator(mode="after")
    def _one_memory(self) -> "Engine":
        if self.memory_utilization is not None and self.kv_cache_memory is not None:
            raise ValueError(ONE_MEMORY)
        return self

    @property
    def start_timeout_seconds(self) -> int:
        """The start timeout in seconds."""
        return _seconds(self.start_timeout)


class Rollout(Wire):
    """How replicas are replaced."""

    strategy: Literal["Auto", "Recreate"] = "Auto"
    """Auto adds a replica of the new specification where the cluster has room for one more, and replaces one at a time where it has not. Recreate ends
    every replica before the first new one starts: nothing answers in between. Default: Auto."""
    drain_timeout: Duration = "5m"
    """Longest time that a replica on its way out keeps answering the requests it has: 90s, 5m, 1h30m. Default: 5m."""

    @property
    def drain_timeout_seconds(self) -> int:
        """The drain timeout in seconds."""
        return _seconds(self.drain_timeout)


def _seconds(duration: str) -> int:
    match = re.match(DURATION_PATTERN, duration)
    hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in match.groups()) if match else (0, 0, 0)
    return hours * 3600 + minutes * 60 + seconds
