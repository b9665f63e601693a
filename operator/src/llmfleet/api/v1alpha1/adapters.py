"""LoRA adapters beside the model, and who may ask: spec.adapters and spec.access."""

from typing import Annotated, Final

from pydantic import Field

from llmfleet.api.references import SecretKeyRef
from llmfleet.api.v1alpha1.model import Credentials, ServedName, SourceUrl
from llmfleet.api.wire import Wire, list_map

DEFAULT_MAX_LOADED: Final = 4
"""Adapters in one batch where nothing is said. A constant: were it the number of items, each new item would restart the engines."""


class Adapter(Wire):
    """One LoRA adapter, asked for by its own name."""

    name: ServedName
    """Name that clients ask for."""
    source: SourceUrl
    """Where it comes from; any source that a model may have."""
    credentials: Credentials | None = None
    """Credentials for its source. Default: those of the model, where the scheme is the same."""


class Adapters(Wire):
    """LoRA adapters that every replica serves beside the model. Items come and go while the engines run."""

    max_loaded: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Adapters in one batch, each with a place of its own in the accelerator's memory; further items take turns. Default: 4."""
    max_rank: Annotated[int, Field(ge=1, le=512)] | None = None
    """Largest rank among them: 1, 8, 16, 32, 64, 128, 256, 320 or 512. Default: vLLM's (16)."""
    items: Annotated[list[Adapter], Field(max_length=64, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """The adapters. A change loads and unloads them in running engines; one that needs a claim, an image or credentials that no other has is rolled out."""

    @property
    def enabled(self) -> bool:
        """The engines take adapters: there are some, or room for some is asked for, so that the first one finds it."""
        return bool(self.items) or self.max_loaded is not None or self.max_rank is not None

    @property
    def places(self) -> int:
        """Adapters in one batch; 0 where there are none at all."""
        return (self.max_loaded or DEFAULT_MAX_LOADED) if self.enabled else 0


class ApiKey(Wire):
    """A key that clients may show."""

    secret_key_ref: SecretKeyRef
    """Key of a Secret; the pod reads it, the operator never does."""


class Access(Wire):
    """Who may ask."""

    api_keys: Annotated[list[ApiKey], Field(max_length=16)] = Field(default_factory=list)
    """Keys of which clients must show one; two while a key is exchanged. Default: none is asked for."""
