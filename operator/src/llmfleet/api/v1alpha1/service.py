"""The object itself: LLMService, its spec and its metadata."""

import json
import re
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from llmfleet import names
from llmfleet.api.v1alpha1.adapters import Access, Adapters
from llmfleet.api.v1alpha1.autoscaling import Autoscaling
from llmfleet.api.v1alpha1.engine import Engine, Rollout
from llmfleet.api.v1alpha1.model import Model, Parallelism, Quantization
from llmfleet.api.v1alpha1.status import LLMServiceStatus
from llmfleet.api.v1alpha1.template import Accelerator, PodTemplate
from llmfleet.api.wire import Wire

NAME_PATTERN: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1035 label: the name becomes that of a Service."""

NAME_RULE: Final = (
    f"must be at most {names.MAX_NAME_LENGTH} characters: lowercase letters, digits and '-', first a letter, last no '-', no dots; "
    "it becomes the name of a Service"
)

REMOVE_REPLICAS: Final = f"--type=json -p '{json.dumps([{'op': 'remove', 'path': '/spec/replicas'}], separators=(',', ':'))}'"
"""Arguments of `kubectl patch` that take spec.replicas away: `kubectl scale` leaves the field behind without an owner, so no apply can remove it."""

ONE_OWNER_OF_REPLICAS: Final = (
    "replicas and autoscaling exclude each other: under autoscaling set minReplicas and maxReplicas; "
    f"a replicas that kubectl scale left behind is removed by: kubectl patch llm NAME {REMOVE_REPLICAS}"
)
"""The refusal; the API server puts the object's name where NAME stands."""


class LLMServiceSpec(Wire):
    """What is wanted; only model.source is required."""

    model: Model
    """Which model is served."""
    quantization: Quantization = Quantization()
    """Which numbers weights and KV cache are kept in."""
    parallelism: Parallelism = Parallelism()
    """How one replica is spread over accelerators."""
    accelerator: Accelerator = Accelerator()
    """What kind of device a replica runs on."""
    engine: Engine = Engine()
    """The vLLM server of each replica."""
    adapters: Adapters = Adapters()
    """LoRA adapters beside the model."""
    access: Access = Access()
    """Who may ask."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Number of replicas, if it is fixed; excludes autoscaling. Default: 1."""
    autoscaling: Autoscaling | None = None
    """Replicas follow the work that waits; excludes replicas."""
    rollout: Rollout = Rollout()
    """How replicas are replaced."""
    template: PodTemplate = PodTemplate()
    """Overrides of the pod."""

    @model_validator(mode="after")
    def _one_owner_of_replicas(self) -> "LLMServiceSpec":
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError(ONE_OWNER_OF_REPLICAS)
        return self


class ObjectMeta(Wire):
    """The part of an object's metadata that the operator uses; the rest belongs to the API server and is passed over."""

    model_config = ConfigDict(extra="ignore")

    name: str
    """Name of the object."""
    namespace: str = "default"
    """Namespace of the object."""
    uid: str = ""
    """Identity of the object; empty before it is stored (llmfleet render)."""
    generation: int = 0
    """Counts changes of the spec."""

    @field_validator("name")
    @classmethod
    def _becomes_a_service(cls, value: str) -> str:
        if len(value) > names.MAX_NAME_LENGTH or not re.fullmatch(NAME_PATTERN, value):
            raise ValueError(NAME_RULE)
        return value


class LLMService(Wire):
    """One model behind one OpenAI-compatible endpoint, served by a fleet of vLLM servers."""

    api_version: Literal["llmfleet.dev/v1alpha1"] = "llmfleet.dev/v1alpha1"
    """Group and version."""
    kind: Literal["LLMService"] = "LLMService"
    """Kind."""
    metadata: ObjectMeta
    """Name and identity."""
    spec: LLMServiceSpec
    """What is wanted."""
    status: LLMServiceStatus | None = None
    """The operator's view of the service."""
