"""The vLLM server itself: spec.engine and spec.rollout."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from llmfleet.api.references import ConfigMapKeyRef, FieldRef, SecretKeyRef
from llmfleet.api.wire import Wire, list_map, rules

ENV_ONE_VALUE: Final = "an environment variable has exactly one of value and valueFrom: add or remove one"
VALUE_FROM_ONE: Final = "valueFrom names exactly one of secretKeyRef, configMapKeyRef and fieldRef"

DURATION_PATTERN: Final = r"^([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"
"""Go's durations in whole hours, minutes and seconds: 90s, 5m, 1h30m."""


DURATION_EXPECTED: Final = "must be a duration in hours, minutes and seconds such as 90s, 5m or 1h30m"


def _readable_duration(value: str) -> str:
    if not re.fullmatch(DURATION_PATTERN, value):
        raise ValueError(DURATION_EXPECTED)
    return value


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

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
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


class Engine(Wire):
    """The vLLM server of each replica."""

    version: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-.+a-z0-9]*)?$")] | None = None
    """vLLM's version; picks the profile's image and the rules that flags are checked by. Default: the newest that this operator knows."""
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")] | None = None
    """Image instead of the profile's; must contain vLLM and Python."""
    max_sequences: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that run at once in one replica; more wait. Default: vLLM's, by device."""
    max_batched_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Tokens of one engine step. Default: vLLM's, by device."""
    memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the accelerator's memory that vLLM may take, above 0 and at most 1. Default: vLLM's (0.92)."""
    extra_args: Annotated[list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(max_length=128)] = Field(default_factory=list)
    """Further arguments of `vllm serve`, one item each, appended last. Flags that a field owns are refused with the field's name."""
    env: Annotated[list[EnvVar], Field(max_length=128, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """Environment variables of the engine's container."""


class Rollout(Wire):
    """How replicas are replaced."""

    drain_timeout: Annotated[
        str,
        AfterValidator(_readable_duration),
        Field(min_length=2, max_length=16, json_schema_extra=rules((f"self.matches(r'{DURATION_PATTERN}')", DURATION_EXPECTED))),
    ] = "5m"
    """Longest time that a replica on its way out keeps answering the requests it has: 90s, 5m, 1h30m. Default: 5m."""

    @property
    def drain_timeout_seconds(self) -> int:
        """The drain timeout in seconds."""
        match = re.match(DURATION_PATTERN, self.drain_timeout)
        hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in match.groups()) if match else (0, 0, 0)
        return hours * 3600 + minutes * 60 + seconds
