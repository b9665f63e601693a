"""The model that is served and how it lies on the accelerators: spec.model, spec.quantization, spec.parallelism."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from llmfleet.api import source
from llmfleet.api.references import SecretKeyRef
from llmfleet.api.wire import Wire, int_or_string, rules

MAX_LENGTH_PATTERN: Final = r"^(auto|[1-9][0-9]{0,8}[kKmM]?)$"
"""vLLM's human-readable integers, as far as a context length needs them; facts: `16k` is 16000, `16K` is 16384."""

MAX_LENGTH_EXPECTED: Final = "must be a number of tokens (4096, 16k for 16000, 16K for 16384) or auto, the largest that fits"


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
ServedName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9]([-._:/@A-Za-z0-9]*[A-Za-z0-9])?$")]


class Credentials(Wire):
    """Where the token for the model's source lies; the operator refers to it and never reads it."""

    secret_key_ref: SecretKeyRef
    """Key of a Secret in the same namespace."""


class Model(Wire):
    """Which model is served, and under which names."""

    source: Annotated[
        str,
        AfterValidator(_readable_source),
        Field(min_length=1, max_length=1024, json_schema_extra=rules((f"self.matches(r'{source.PATTERN}')", source.EXPECTED))),
    ]
    """Where the model comes from: `hf://owner/repository`, with `@revision` to pin it, or `pvc://claim/path` for a directory on a PersistentVolumeClaim."""
    served_names: Annotated[list[ServedName], Field(max_length=16)] = Field(default_factory=list)
    """Names that clients may ask for; the first one labels the metrics. Default: the object's name."""
    max_length: MaxLength | None = None
    """Longest context in tokens, prompt and answer together: a number, `16k`, `16K`, or `auto` for the largest that fits. Default: what the model says."""
    dtype: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Type of weights and activations: auto, bfloat16, float16, half, float32 or float. Default: vLLM's auto."""
    credentials: Credentials | None = None
    """Token for a gated or private repository; only for `hf://`."""


class Quantization(Wire):
    """Which numbers weights and KV cache are kept in."""

    method: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """vLLM's quantization method. Leave it out for a checkpoint that is already quantized: it says so itself."""
    kv_cache: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Type of the KV cache, for instance fp8, which doubles the tokens it holds. Default: that of the model."""


class Parallelism(Wire):
    """How one replica is spread over accelerators; the pod asks for exactly tensor x pipeline of them."""

    tensor: Annotated[int, Field(ge=1, le=64)] = 1
    """Accelerators that share every layer. Must divide the model's attention heads. Default: 1."""
    pipeline: Annotated[int, Field(ge=1, le=64)] = 1
    """Stages of layers, one after the other. Default: 1."""

    @property
    def accelerators_per_pod(self) -> int:
        """Accelerators that one pod asks for: there is no second field that could disagree."""
        return self.tensor * self.pipeline
