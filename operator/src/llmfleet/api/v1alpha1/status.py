"""What the operator says about a service: status. No field holds a time that moves by itself: an idle service is never written."""

from typing import Annotated, Final, Literal

from pydantic import Field

from llmfleet.api.facts import Bytes, ModelFacts
from llmfleet.api.wire import Wire, list_map

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC, as Kubernetes writes it."""

Count = Annotated[int, Field(ge=0)]

MAX_ARGUMENT_CHARACTERS: Final = 32768
"""Of an engine's argument: JSON that overrides a model's configuration may be long, and Linux hands over 128 KiB."""

MAX_UNKNOWN_CHARACTERS: Final = 1024
"""Of why nothing is known of a model."""

MAX_ROLLOUT_CHARACTERS: Final = 1024
"""Of each sentence about a rollout: the scheduler's words may be long."""


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
    models: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=80)] = Field(default_factory=list)
    """Names that clients may ask for."""


class Phase(Wire):
    """A part of an engine's start."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What was done: Preflight, Imports, Weights, KVCache, Compilation, Graphs, Warming."""
    seconds: Count
    """How long it took, in whole seconds."""


class LastFailure(Wire):
    """How an engine ended last that nobody had told to end."""

    reason: Annotated[str, Field(max_length=128)]
    """The launcher's classified reason; docs/troubleshooting.md has each."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """The engine's own words, and the remedy."""
    state: Annotated[str, Field(max_length=32)] | None = None
    """Where it was in its life: Preflight, Starting, Warming, Serving or Draining."""
    pod: Annotated[str, Field(max_length=253)]
    """The pod, whose log has the rest."""


class EngineStatus(Wire):
    """What runs."""

    version: Annotated[str, Field(max_length=32)]
    """vLLM's version that arguments were made for."""
    image: Annotated[str, Field(max_length=544)]
    """Image of the engine's container."""
    arguments: Annotated[list[Annotated[str, Field(max_length=MAX_ARGUMENT_CHARACTERS)]], Field(max_length=512)] = Field(default_factory=list)
    """The effective arguments of `vllm serve`."""
    reported_version: Annotated[str, Field(max_length=64)] | None = None
    """vLLM's version, as it says itself."""
    startup: Annotated[list[Phase], Field(max_length=16)] = Field(default_factory=list)
    """What the start of the slowest replica took."""
    last_failure: LastFailure | None = None
    """How an engine ended last that nobody had told to end; absent where none did."""


class AdapterStatus(Wire):
    """One adapter, over all replicas."""

    name: Annotated[str, Field(max_length=253)]
    """Name that clients ask for."""
    state: Literal["Loading", "Loaded", "Failed"]
    """Loaded is loaded by every replica that answers; Failed by at least one of them not, and waiting does not help."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it is not loaded."""


class Held(Wire):
    """A revision that is not tried any more."""

    state: Annotated[str, Field(max_length=32)]
    """Where in its life the engine failed: Preflight, Starting, Warming; Unknown where its launcher could not say."""
    pod: Annotated[str, Field(max_length=253)]
    """The pod that failed."""
    reason: Annotated[str, Field(max_length=128)]
    """The launcher's classified reason."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """The engine's own words, and the remedy."""
    paused: bool = False
    """Replicas of the revision before serve on, and the workload is paused; otherwise there were none, and it is scaled to 0."""


class RolloutStatus(Wire):
    """How the replicas are brought to the newest revision."""

    revision: Annotated[str, Field(max_length=63)]
    """Revision of the pod template that this is about; pods carry it as label llmfleet.dev/revision."""
    strategy: Literal["Surge", "InPlace", "Recreate"]
    """Surge adds a replica before one goes, InPlace replaces one at a time, Recreate ends all before the first starts."""
    message: Annotated[str, Field(max_length=MAX_ROLLOUT_CHARACTERS)] = ""
    """Why this strategy."""
    waiting_for: Annotated[str, Field(max_length=MAX_ROLLOUT_CHARACTERS)] | None = None
    """What is waited for; absent where nothing is."""
    without_room: Count = 0
    """Replicas that are wanted and fit no node: a rollout in place does not wait for them to answer."""
    progress_deadline_seconds: Count
    """How long nothing may move before the rollout counts as stuck."""
    served: bool = False
    """A replica of this revision has answered."""
    held: Held | None = None
    """The revision failed three times without a single answer: nothing more is tried until the specification changes."""


class CacheStatus(Wire):
    """The claim that is filled with the model."""

    claim_name: Annotated[str, Field(max_length=253)]
    """Name of the claim."""
    claim_uid: Annotated[str, Field(max_length=64)] | None = None
    """Uid of a claim that the operator made: one that takes its place holds nothing yet."""
    path: Annotated[str, Field(max_length=1024)]
    """Directory on the claim."""
    complete: bool = False
    """Everything is there and was checked; engines read it."""
    bytes_done: Bytes | None = None
    """Fetched so far; absent before the first report and when complete."""
    bytes_total: Bytes | None = None
    """Size of everything."""
    seconds_left: Count | None = None
    """At the rate of the last report."""
    progress: Annotated[str, Field(max_length=64)] | None = None
    """The same for people: `42% of 14.2 GiB, 310 MiB/s`."""


class ModelStatus(Wire):
    """What is known of the model, and where it lies."""

    facts: ModelFacts | None = None
    """What inspection found; kept until source or revision change."""
    unknown: Annotated[str, Field(max_length=MAX_UNKNOWN_CHARACTERS)] | None = None
    """Why nothing is known of it although it was looked at: nothing is refused for that."""
    cache: CacheStatus | None = None
    """The claim that is filled with the model; absent without a cache."""


class ByteRange(Wire):
    """A size between two bounds, in bytes."""

    low: Bytes
    """The optimistic bound."""
    high: Bytes
    """The pessimistic bound."""


class TokenRange(Wire):
    """A number of tokens between two bounds."""

    low: Count
    """The pessimistic bound."""
    high: Count
    """The optimistic bound."""


class Compared(Wire):
    """What was estimated beside what vLLM measured, per accelerator."""

    estimated: ByteRange | None = None
    """Before the start."""
    measured_bytes: Bytes | None = None
    """By vLLM, after the start."""
    error_percent: int | None = None
    """Distance of the measured value from the middle of the estimate, in percent of the measured one."""


class ComparedTokens(Wire):
    """The same of a number of tokens, for the whole replica."""

    estimated: TokenRange | None = None
    """Before the start."""
    measured: Count | None = None
    """By vLLM, after the start."""
    error_percent: int | None = None
    """Distance of the measured value from the middle of the estimate, in percent of the measured one."""


class MemoryStatus(Wire):
    """Memory of one accelerator."""

    capacity_bytes: Bytes | None = None
    """What the profile says that it has."""
    weights: Compared | None = None
    """Weights of one rank."""
    kv_cache: Compared | None = None
    """What is left for the KV cache."""
    overhead: ByteRange | None = None
    """Activations, graphs and what is not torch's, estimated."""


class PlanStatus(Wire):
    """Whether it fits, with the arithmetic."""

    verdict: Literal["Fits", "Tight", "DoesNotFit", "Unknown"]
    """Fits, Tight (only if the estimate is kind), DoesNotFit (not even then: refused), Unknown (never refused)."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """The arithmetic in words, and what to change."""
    accelerators_per_replica: Count
    """Accelerators that one replica takes."""
    memory: MemoryStatus | None = None
    """Memory of one accelerator."""
    largest_context: TokenRange | None = None
    """Longest context that would fit one request."""
    kv_tokens: ComparedTokens | None = None
    """Tokens that the KV cache holds."""


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
    rollout: RolloutStatus | None = None
    """How the replicas are brought to the newest revision."""
    adapters: Annotated[list[AdapterStatus], Field(max_length=64, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """Each adapter of the specification."""
    model: ModelStatus | None = None
    """What is known of the model, and where it lies."""
    plan: PlanStatus | None = None
    """Whether it fits, estimated and measured."""
    autoscaling: AutoscalingStatus | None = None
    """What the scaler saw and wants; absent without autoscaling."""
