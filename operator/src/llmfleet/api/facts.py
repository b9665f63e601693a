"""What is known of a model without its weights: the JSON that `llmfleet-runtime inspect` prints, that status.model.facts keeps and that `llmfleet plan` reads.

docs/facts.schema.json is the contract with the runtime, which writes it. The configuration is carried as the model's author wrote it, less what is long; what
it means is the operator's to say (planning.architecture), so that one interpretation serves the cluster and the terminal.
"""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from llmfleet.api.wire import Wire

SCHEMA_VERSION: Final = 1

MAX_BYTES: Final = 4096
"""Most that a termination message carries (kubernetes, pkg/kubelet/container: MaxContainerTerminationMessageLength)."""

Bytes = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]

_LARGEST: Final = 2**53 - 1
"""8 PiB: whole numbers up to it are exact in every reader of JSON, and sums of them fit the API server's 64 bits."""

_Size = Annotated[int, Field(ge=0, le=_LARGEST, json_schema_extra={"format": "int64"})]
_Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Facts(Wire):
    """Written by another program of another version: what is unknown here is passed over."""

    model_config = ConfigDict(extra="ignore")


class TensorGroup(_Facts):
    """Weights of one part of the model and one number format, added up."""

    part: Annotated[str, Field(max_length=32)]
    """embedding, lmHead, linear (attention and feed-forward), experts, vision (towers and projectors), other (norms, biases, scales)."""
    dtype: Annotated[str, Field(max_length=16)]
    """As in the safetensors header: BF16, F16, F32, F8_E4M3, I32, U8, ..."""
    bytes: _Size
    """Size of all of them."""
    count: _Count = 0
    """Number of tensors."""


class Weights(_Facts):
    """The files of weights."""

    format: Annotated[str, Field(max_length=32)] = "safetensors"
    """safetensors, pytorch, gguf, or none."""
    files: _Count = 0
    """Number of files."""
    bytes: _Size = 0
    """Size of all of them."""
    tensors: Annotated[list[TensorGroup], Field(max_length=32)] = Field(default_factory=list)
    """What is in them; empty where the headers could not be read."""


class AdapterFacts(_Facts):
    """A LoRA adapter, from adapter_config.json."""

    rank: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Its rank (r)."""
    base_model: Annotated[str, Field(max_length=256)] | None = None
    """The model that it was trained for, as it says."""
    target_modules: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=32)] = Field(default_factory=list)
    """Layers that it changes."""


class Download(_Facts):
    """What a cache has to fetch."""

    files: _Count = 0
    """Number of files."""
    bytes: _Size = 0
    """Size of all of them."""


class ModelFacts(_Facts):
    """Everything that inspection found of one model at one revision."""

    schema_version: Annotated[int, Field(ge=1, le=2**31 - 1)] = SCHEMA_VERSION
    """Version of this shape."""
    source: Annotated[str, Field(max_length=1024)]
    """What was inspected, as in spec.model.source."""
    revision: Annotated[str, Field(max_length=256)] | None = None
    """The commit that the source stood at; absent where the source has none."""
    config: dict[str, Any] = Field(default_factory=dict)
    """config.json, less what is long: lists of more than 64 scalars are left out, but layer_types, which is written as runs: [["full_attention", 4], ...]."""
    generation: dict[str, Any] = Field(default_factory=dict)
    """generation_config.json: its scalars."""
    quantization: dict[str, Any] | None = None
    """How the checkpoint is quantized, from config.json or hf_quant_config.json: scalars and schemes; absent for one that is not."""
    weights: Weights | None = None
    """The files of weights; absent where only the configuration is known."""
    adapter: AdapterFacts | None = None
    """What is found where the source is a LoRA adapter."""
    download: Download | None = None
    """What a cache has to fetch; absent for what is mounted."""
