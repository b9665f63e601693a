"""Accelerator profiles: how a kind of device is asked for, and which vLLM image drives it.

The common ones are built in (profiles.yaml). An AcceleratorProfile of the cluster adds one, or takes the place of the built-in one of its name.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Final, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from llmfleet.api.wire import ImageName, LabelKey, LabelValue, Matching, ObjectName, Quantity, VariableName, Wire, rules

ANY_VERSION: Final = "*"
"""Key of `images` whose template serves every version that is not named."""

RESOURCE_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
"""An extended resource: a device plugin's domain and its name. cpu and memory have no domain."""

VERSION_KEY_PATTERN: Final = r"^(\*|[0-9][-.+a-z0-9]*)$"
RESOURCE_EXPECTED: Final = "must be the name under which a device plugin offers the device, such as nvidia.com/gpu"
CAPABILITY_PATTERN: Final = r"^[0-9]{1,2}\.[0-9]$"
CAPABILITY_EXPECTED: Final = "must be NVIDIA's compute capability, such as 8.0 or 10.0"
CAPABILITY_VENDOR: Final = "computeCapability is NVIDIA's: set vendor: nvidia, or remove it"
IMAGE_VERSIONS: Final = "images are named by vLLM's version, such as 0.32.0 without a v, or by * for every other version"
PER_NODE_RESOURCE: Final = "perNode counts devices of resourceName: set resourceName, or remove perNode"


class Vendor(StrEnum):
    """Makers of devices that vLLM drives."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    GOOGLE = "google"
    CPU = "cpu"


def _member(value: object) -> object:
    """A vendor by its name: what comes from the wire is read strictly, and strictly a string is no member."""
    if isinstance(value, str) and value not in list(Vendor):
        raise ValueError(f"must be one of {', '.join(Vendor)}")
    return Vendor(value) if isinstance(value, str) else value


ResourceName = Annotated[str, Matching(RESOURCE_PATTERN, RESOURCE_EXPECTED), Field(min_length=3, max_length=317)]
Capability = Annotated[str, Matching(CAPABILITY_PATTERN, CAPABILITY_EXPECTED), Field(max_length=8)]


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


class AcceleratorProfile(Wire):
    """One kind of device: the spec of an AcceleratorProfile, and one entry of profiles.yaml."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!has(self.computeCapability) || (has(self.vendor) && self.vendor == 'nvidia')", CAPABILITY_VENDOR),
            ("!has(self.perNode) || has(self.resourceName)", PER_NODE_RESOURCE),
            (rf"!has(self.images) || self.images.all(version, version.matches(r'{VERSION_KEY_PATTERN}'))", IMAGE_VERSIONS),
        )
    )

    resource_name: ResourceName | None = None
    """Extended resource that a pod asks for, tensor x pipeline x data of it, such as nvidia.com/gpu; absent asks for nothing (the CPU)."""
    memory: Quantity | None = None
    """Memory of one device, as its driver reports it: 81559Mi. Absent: whether a model fits is not told before it starts."""
    compute_capability: Capability | None = None
    """NVIDIA's compute capability, such as 9.0; quantization methods and backends ask for one. Only with vendor nvidia."""
    vendor: Annotated[Vendor, BeforeValidator(_member)] | None = None
    """Who makes it; decides which methods and types exist for it."""
    per_node: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Devices of one node; a replica that asks for more is refused, because no node could take it."""
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    """Labels of the nodes that have it; spec.template adds to them."""
    tolerations: Annotated[list[Toleration], Field(max_length=64)] = Field(default_factory=list)
    """Taints of the nodes that have it; spec.template adds to them."""
    runtime_class_name: ObjectName | None = None
    """Container runtime that the device needs."""
    images: Annotated[dict[Annotated[str, Field(max_length=32)], ImageName], Field(max_length=64)] = Field(default_factory=dict)
    """Image by vLLM version; under `*` the one of every other version, with `{version}` where the version stands in it."""
    env: Annotated[dict[VariableName, Annotated[str, Field(max_length=4096)]], Field(max_length=64)] = Field(default_factory=dict)
    """Environment of the engine on this device; engine.env overrides it by name."""

    @model_validator(mode="after")
    def _consistent(self) -> "AcceleratorProfile":
        if self.compute_capability is not None and self.vendor is not Vendor.NVIDIA:
            raise ValueError(CAPABILITY_VENDOR)
        if self.per_node is not None and self.resource_name is None:
            raise ValueError(PER_NODE_RESOURCE)
        if not all(re.fullmatch(VERSION_KEY_PATTERN, version) for version in self.images):
            raise ValueError(IMAGE_VERSIONS)
        return self

    def image(self, version: str) -> str | None:
        """The image of a version; None if the profile has none."""
        image = self.images.get(version, self.images.get(ANY_VERSION))
        return image.replace("{version}", version) if image else None


class ProfileMeta(Wire):
    """The part of the metadata that the operator uses."""

    model_config = ConfigDict(extra="ignore")

    name: str
    """Name that spec.accelerator.profile refers to."""


class AcceleratorProfileObject(Wire):
    """A kind of device that models can be served on, for the whole cluster; one with the name of a built-in profile takes its place."""

    api_version: Literal["llmfleet.dev/v1alpha1"] = "llmfleet.dev/v1alpha1"
    """Group and version."""
    kind: Literal["AcceleratorProfile"] = "AcceleratorProfile"
    """Kind."""
    metadata: ProfileMeta
    """Its name."""
    spec: AcceleratorProfile
    """The device."""


@cache
def built_in_profiles() -> Mapping[str, AcceleratorProfile]:
    """The profiles that come with the operator, by name, from profiles.yaml beside this module."""
    documents = yaml.safe_load(files(__package__).joinpath("profiles.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({name: AcceleratorProfile.model_validate(document) for name, document in documents.items()})
