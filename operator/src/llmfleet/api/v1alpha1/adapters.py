"""LoRA adapters beside the model, and who may ask: spec.adapters and spec.access."""

from typing import Annotated

from pydantic import Field

from llmfleet.api.references import SecretKeyRef
from llmfleet.api.v1alpha1.model import Credentials, ServedName, SourceUrl
from llmfleet.api.wire import Wire, list_map


class Adapter(Wire):
    """One LoRA adapter, asked for by its own name."""

    name: ServedName
    """Name that clients ask for."""
    source: SourceUrl
    """Where it comes from; any source that a model may have."""
    credentials: Credentials | None = None
    """Credentials for its source. Default: those of the model, where the scheme is the same."""


class Adapters(Wire):
    """LoRA adapters that every replica serves beside the model."""

    max_loaded: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Adapters in one batch. Default: as many as there are items."""
    max_rank: Annotated[int, Field(ge=1, le=512)] | None = None
    """Largest rank among them: 1, 8, 16, 32, 64, 128, 256, 320 or 512. Default: vLLM's (16)."""
    items: Annotated[list[Adapter], Field(max_length=64, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """The adapters."""


class ApiKey(Wire):
    """A key that clients may show."""

    secret_key_ref: SecretKeyRef
    """Key of a Secret; the pod reads it, the operator never does."""


class Access(Wire):
    """Who may ask."""

    api_keys: Annotated[list[ApiKey], Field(max_length=16)] = Field(default_factory=list)
    """Keys of which clients must show one; two while a key is exchanged. Default: none is asked for."""
