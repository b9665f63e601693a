"""What the operator says about a service: status. No field holds a time that moves by itself: an idle service is never written."""

from typing import Annotated, Literal

from pydantic import Field

from llmfleet.api.wire import Wire, list_map

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC, as Kubernetes writes it."""

Count = Annotated[int, Field(ge=0)]


class Condition(Wire):
    """One statement about the service, as in metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """What is stated: Ready, Reconciling, Stalled, Accepted, Available, AutoscalingActive."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    """Why, as one word of a closed list."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Why, in words, with the remedy."""
    last_transition_time: Time
    """When status last changed."""
    observed_generation: Count
    """Generation of the object that this is about."""


class Endpoint(Wire):
    """Where and under which names the model answers."""

    url: Annotated[str, Field(max_length=1024)]
    """Base URL for OpenAI clients inside the cluster, ending in /v1."""
    models: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=64)] = Field(default_factory=list)
    """Names that clients may ask for."""


class EngineStatus(Wire):
    """What runs."""

    version: Annotated[str, Field(max_length=32)]
    """vLLM's version that arguments were made for."""
    image: Annotated[str, Field(max_length=512)]
    """Image of the engine's container."""
    arguments: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=256)] = Field(default_factory=list)
    """The effective arguments of `vllm serve`."""


class Decision(Wire):
    """The last change of the demand."""

    reason: Annotated[str, Field(max_length=1024)]
    """How the number came about, in words."""
    time: Time
    """When it changed."""


class AutoscalingStatus(Wire):
    """What the scaler saw and wants."""

    demand: Count | None = None
    """Replicas that the work in sight asked for last; without data it stays as it was, and AutoscalingActive says so."""
    desired_replicas: Count | None = None
    """Replicas that the HorizontalPodAutoscaler wants."""
    last_decision: Decision | None = None
    """The last change of the demand."""


class LLMServiceStatus(Wire):
    """The operator's view of the service."""

    observed_generation: Count | None = None
    """Generation of the object that this status is about."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))] = Field(default_factory=list)
    """Statements about the service; Ready sums them up."""
    endpoint: Endpoint | None = None
    """Where the model answers."""
    replicas: Count | None = None
    """Replicas that exist; read by the scale subresource."""
    ready_replicas: Count | None = None
    """Replicas that answer."""
    selector: Annotated[str, Field(max_length=2048)] | None = None
    """Label selector of the serving pods; read by the scale subresource."""
    engine: EngineStatus | None = None
    """What runs."""
    autoscaling: AutoscalingStatus | None = None
    """What the scaler saw and wants; absent without autoscaling."""
