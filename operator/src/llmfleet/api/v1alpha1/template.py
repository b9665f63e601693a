"""Overrides of the pod: spec.accelerator and spec.template, a subset of a PodTemplateSpec in the same shape."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from llmfleet.api.wire import DNS_1123_LABEL, DNS_1123_SUBDOMAIN, LabelValue, Quantity, Wire, list_map

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
ResourceName = Annotated[str, Field(min_length=1, max_length=253)]


class Accelerator(Wire):
    """What kind of device a replica runs on; how many follows from parallelism."""

    profile: Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_1123_SUBDOMAIN)] | None = None
    """Name of the accelerator profile: cpu, nvidia. Default: the operator's setting (nvidia)."""


class Toleration(Wire):
    """A taint that the pod puts up with, as in a pod."""

    key: LabelKey | None = None
    """Key of the taint; absent with operator Exists tolerates all."""
    operator: Literal["Exists", "Equal"] | None = None
    """How value is compared."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; absent is every effect."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """Seconds for which NoExecute is put up with."""


class Volume(Wire):
    """A volume of the pod; everything but its name is handed on as it is."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_1123_LABEL)]
    """Name that volumeMounts refer to."""


class VolumeMount(Wire):
    """Where a volume appears in the container."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_1123_LABEL)]
    """Name of the volume."""
    mount_path: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^/")]
    """Absolute path in the container."""
    sub_path: Annotated[str, Field(max_length=1024)] | None = None
    """Path within the volume."""
    read_only: bool | None = None
    """Mounted read-only."""


class Resources(Wire):
    """Compute resources, as in a pod; accelerators are left out: parallelism says how many."""

    limits: Annotated[dict[ResourceName, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Most that the container may use."""
    requests: Annotated[dict[ResourceName, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What the scheduler sets aside."""


class EngineContainer(Wire):
    """Overrides of the engine's container."""

    name: Literal["engine"]
    """The container that is meant; only engine so far."""
    resources: Resources = Resources()
    """Compute resources."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=64, json_schema_extra=list_map("mountPath"))] = Field(default_factory=list)
    """Further mounts."""


class PodSpecOverrides(Wire):
    """The part of a pod's spec that can be overridden so far."""

    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    """Labels that the node must have, in addition to the profile's."""
    tolerations: Annotated[list[Toleration], Field(max_length=64)] = Field(default_factory=list)
    """Taints to put up with, in addition to the profile's."""
    volumes: Annotated[list[Volume], Field(max_length=64, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """Further volumes."""
    containers: Annotated[list[EngineContainer], Field(max_length=1, json_schema_extra=list_map("name"))] = Field(default_factory=list)
    """Overrides of containers, by name."""


class PodTemplate(Wire):
    """Overrides of the pod, in the shape of a PodTemplateSpec; merged last."""

    spec: PodSpecOverrides = PodSpecOverrides()
    """Overrides of the pod's spec."""
