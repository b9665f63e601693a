"""The model that is served and how it lies on the accelerators: spec.model, spec.quantization, spec.parallelism."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from llmfleet.api import source
from llmfleet.api.references import ConfigMapKeyRef, LocalRef, SecretKeyRef
from llmfleet.api.wire import Matching, ObjectName, Quantity, Wire, int_or_string, rules

MAX_LENGTH_PATTERN: Final = r"^(auto|[1-9][0-9]{0,8}[kKmM]?)$"
"""vLLM's human-readable integers, as far as a context length needs them; facts: `16k` is 16000, `16K` is 16384."""

MAX_LENGTH_EXPECTED: Final = "must be a number of tokens (4096, 16k for 16000, 16K for 16384) or auto, the largest that fits"

CREDENTIALS_ONE: Final = "credentials name exactly one of secretKeyRef (a token or a key file) and secretRef (all keys become environment variables)"
CACHE_ONE: Final = "cache names exactly one of claimName (a claim that exists) and storage (a claim that is made)"
CACHE_CLASS: Final = "storageClassName goes with storage: a claim that exists has its class already"
CACHE_CLASS_STAYS: Final = "the class of a claim cannot change: make a claim of the other class and name it by claimName"


def _max_length(value: object) -> int | str:
    """An integer, `16k`, `16K` or `auto`; `-1`, vLLM's other spelling of auto, is left out: one way to say a thing."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(MAX_LENGTH_PATTERN, value):
        return value
    raise ValueError(MAX_LENGTH_EXPECTED)


def _readable_source(value: str) -> str:
    source.parse(value)
    return value


MaxLength = Annotated[
    int | str, PlainValidator(_max_length), WithJsonSchema(int_or_string(MAX_LENGTH_PATTERN, minimum=1, max_length=11, expected=MAX_LENGTH_EXPECTED))
]
ServedName = Annotated[
    str,
    Matching(r"^[A-Za-z0-9]([-._:/@A-Za-z0-9]*[A-Za-z0-9])?$", "must begin and end with a letter or digit, with letters, digits and - . _ : / @ between"),
    Field(min_length=1, max_length=253),
]
SourceUrl = Annotated[
    str,
    AfterValidator(_readable_source),
    Field(min_length=1, max_length=1024, json_schema_extra=rules((f"self.matches(r'{source.PATTERN}')", source.EXPECTED))),
]
JsonObject = Annotated[dict[str, Any], Field(max_length=64)]
"""Handed on to vLLM as JSON."""


class Credentials(Wire):
    """Where the credentials for the model's source lie; the operator refers to them and never reads them."""

    model_config = ConfigDict(json_schema_extra=rules(("has(self.secretKeyRef) != has(self.secretRef)", CREDENTIALS_ONE)))

    secret_key_ref: SecretKeyRef | None = None
    """Key of a Secret: a token (hf, modelscope) or the key file of a service account (gs)."""
    secret_ref: LocalRef | None = None
    """A Secret whose keys become environment variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL (s3)."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Credentials":
        if (self.secret_key_ref is None) == (self.secret_ref is None):
            raise ValueError(CREDENTIALS_ONE)
        return self


class ChatTemplate(Wire):
    """The chat template instead of the model's own."""

    config_map_key_ref: ConfigMapKeyRef
    """Key of a ConfigMap that holds the Jinja template; new content rolls out."""


class Cache(Wire):
    """A claim that is filled with the model once, by a Job; engines read it and ask no hub."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.claimName) != has(self.storage)", CACHE_ONE),
            ("!has(self.storageClassName) || has(self.storage)", CACHE_CLASS),
            (
                "!has(self.storage) || !has(oldSelf.storage) || has(self.storageClassName) == has(oldSelf.storageClassName)"
                " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
                CACHE_CLASS_STAYS,
            ),
        )
    )

    claim_name: ObjectName | None = None
    """A claim that exists; services that name the same claim and model share one download."""
    storage: Quantity | None = None
    """Size of a claim that is made for this service, and that stays when the service is deleted."""
    storage_class_name: ObjectName | None = None
    """Class of that claim; replicas on several nodes need one that can be mounted by many. Default: the cluster's."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Cache":
        if (self.claim_name is None) == (self.storage is None):
            raise ValueError(CACHE_ONE)
        if self.storage_class_name is not None and self.storage is None:
            raise ValueError(CACHE_CLASS)
        return self


class Model(Wire):
    """Which model is served, and under which names."""

    source: SourceUrl
    """Where the model comes from: `hf://owner/repository`, `modelscope://owner/repository` (`@revision` pins either), `s3://bucket/path`,
    `gs://bucket/path`, `oci://registry/repository:tag`, or `pvc://claim/path` for a directory on a PersistentVolumeClaim."""
    served_names: Annotated[list[ServedName], Field(max_length=16)] = Field(default_factory=list)
    """Names that clients may ask for; the first one labels the metrics. Default: the object's name."""
    max_length: MaxLength | None = None
    """Longest context in tokens, prompt and answer together: a number, `16k`, `16K`, or `auto` for the largest that fits. Default: what the model says."""
    dtype: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Type of weights and activations: auto, bfloat16, float16, half, float32 or float. Default: vLLM's auto."""
    runner: Literal["auto", "generate", "pooling"] | None = None
    """What the model is run for: generate, or pooling for embeddings, scores and classes. Default: vLLM's auto."""
    convert: Literal["auto", "none", "embed", "classify"] | None = None
    """Adapter that makes a pooling model of a generating one. Default: vLLM's auto."""
    tokenizer: SourceUrl | None = None
    """Tokenizer from elsewhere: `hf://`, `modelscope://`, `oci://` or `pvc://`. Default: the model's."""
    tokenizer_mode: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """How the tokenizer is loaded: auto, hf, mistral, ... Default: vLLM's auto."""
    load_format: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """How weights are read: auto, safetensors, runai_streamer, dummy, ... Default: vLLM's auto."""
    generation_config: Literal["auto", "vllm"] | None = None
    """Where default sampling parameters come from: auto is the model's generation_config.json, vllm ignores it. Default: vLLM's auto."""
    generation_defaults: JsonObject = Field(default_factory=dict)
    """Default sampling parameters that override those, such as temperature."""
    config_overrides: JsonObject = Field(default_factory=dict)
    """Values that override the model's config.json, for instance rope_parameters."""
    trust_remote_code: bool = False
    """Run Python code that the model's repository brings; off unless you have read it. Default: false."""
    chat_template: ChatTemplate | None = None
    """Chat template instead of the model's own."""
    credentials: Credentials | None = None
    """Credentials for the source; not for `oci://` and `pvc://`, which the kubelet mounts."""
    cache: Cache | None = None
    """Fill a claim with the model once and run from it. Default: every engine downloads for itself."""


class Quantization(Wire):
    """Which numbers weights and KV cache are kept in."""

    method: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """vLLM's quantization method. Leave it out for a checkpoint that is already quantized: it says so itself."""
    config: JsonObject = Field(default_factory=dict)
    """Settings of an online method: which layers, which scheme."""
    kv_cache: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Type of the KV cache, for instance fp8, which doubles the tokens it holds. Default: that of the model."""


class Parallelism(Wire):
    """How one replica is spread over accelerators; the pod asks for exactly tensor x pipeline x data of them."""

    tensor: Annotated[int, Field(ge=1, le=64)] = 1
    """Accelerators that share every layer. Must divide the model's attention heads. Default: 1."""
    pipeline: Annotated[int, Field(ge=1, le=64)] = 1
    """Stages of layers, one after the other. Default: 1."""
    data: Annotated[int, Field(ge=1, le=64)] = 1
    """Copies of the attention layers within one replica, each with its own requests; for mixture-of-experts models, together with expert. Default: 1."""
    expert: bool = False
    """Spread whole experts instead of slices of each; for mixture-of-experts models. Default: false."""
    decode_context: Annotated[int, Field(ge=1, le=64)] = 1
    """Share the KV cache of one request among so many of the tensor accelerators; takes none in addition. Must divide tensor. Default: 1."""
    nodes: Annotated[int, Field(ge=1, le=64)] = 1
    """Nodes that one replica spans. More than 1 needs the LeaderWorkerSet workload, which does not exist yet. Default: 1."""
    executor: Literal["mp", "ray", "uni"] | None = None
    """What runs the ranks: mp (processes), uni (one rank, in the engine's process), ray. Default: vLLM's choice, mp or uni on one node."""

    @property
    def accelerators_per_pod(self) -> int:
        """Accelerators that one pod asks for: there is no second field that could disagree."""
        return self.tensor * self.pipeline * self.data
