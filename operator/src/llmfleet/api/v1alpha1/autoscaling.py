"""How many replicas: spec.autoscaling, which becomes a HorizontalPodAutoscaler."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from llmfleet.api.wire import Quantity, Wire, rules

MIN_ABOVE_MAX: Final = "minReplicas must not exceed maxReplicas: lower the one or raise the other"
TWO_SIGNALS: Final = "follows either queueDepth or inFlight: remove one of them"


class QueueDepth(Wire):
    """Scale on requests that wait because every slot is taken."""

    target: Annotated[int, Field(ge=1, le=100_000)] = 4
    """Waiting requests per replica that are tolerable. Default: 4."""


class InFlight(Wire):
    """Scale on requests in flight: those that arrive, wait or run."""

    target: Annotated[int, Field(ge=1, le=100_000)]
    """Requests of one replica, from the first byte of each to the last of its answer."""


class ScalingPolicy(Wire):
    """One limit on the speed of scaling, as in autoscaling/v2."""

    type: Literal["Pods", "Percent"]
    """What value counts: replicas, or per cent of the current ones."""
    value: Annotated[int, Field(ge=1, le=10_000)]
    """Largest change within one period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Length of the period in seconds."""


class ScalingRules(Wire):
    """Speed of scaling in one direction, as in autoscaling/v2."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """Seconds over which the most cautious recommendation wins."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which of the policies counts."""
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=16)] | None = None
    """Limits on the speed."""
    tolerance: Quantity | None = None
    """Deviation from the target that is not acted on, for instance 50m."""


class Behavior(Wire):
    """Handed to the HorizontalPodAutoscaler as it is."""

    scale_up: ScalingRules | None = None
    """Speed of adding replicas."""
    scale_down: ScalingRules | None = None
    """Speed of removing replicas."""


class Autoscaling(Wire):
    """Replicas follow the work that waits."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas", MIN_ABOVE_MAX),
            ("!(has(self.queueDepth) && has(self.inFlight))", TWO_SIGNALS),
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Fewest replicas. Default: 1."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """Most replicas."""
    queue_depth: QueueDepth | None = None
    """Scale on the queue. Default: this signal, if none is chosen."""
    in_flight: InFlight | None = None
    """Scale on requests in flight instead."""
    behavior: Behavior | None = None
    """Speed of scaling, as in autoscaling/v2."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "Autoscaling":
        if self.min_replicas > self.max_replicas:
            raise ValueError(MIN_ABOVE_MAX)
        return self

    @model_validator(mode="after")
    def _one_signal(self) -> "Autoscaling":
        if self.queue_depth is not None and self.in_flight is not None:
            raise ValueError(TWO_SIGNALS)
        return self
