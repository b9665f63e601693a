"""Accelerator profiles: how a kind of device is asked for, and which vLLM image drives it."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Final

import yaml
from pydantic import Field

from llmfleet.api.v1alpha1.template import Toleration
from llmfleet.api.wire import Quantity, Wire

ANY_VERSION: Final = "*"
"""Key of `images` whose template serves every version that is not named."""


class Vendor(StrEnum):
    """Makers of devices that vLLM drives."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    GOOGLE = "google"
    CPU = "cpu"


class AcceleratorProfile(Wire):
    """One kind of device."""

    resource_name: str | None = None
    """Extended resource that a pod asks for, tensor x pipeline of it; None asks for nothing (the CPU)."""
    memory: Quantity | None = None
    """Memory of one device."""
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]{1,2}\.[0-9]$")] | None = None
    """NVIDIA's compute capability, such as 8.0; what quantization methods and backends ask for."""
    vendor: Vendor | None = None
    """Who makes it; decides which methods and types exist for it."""
    per_node: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Devices of one node; a replica that asks for more can never be scheduled."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that have it."""
    tolerations: list[Toleration] = Field(default_factory=list)
    """Taints of the nodes that have it."""
    runtime_class_name: str | None = None
    """Container runtime that the device needs."""
    images: dict[Annotated[str, Field(max_length=32)], str] = Field(default_factory=dict)
    """Image by vLLM version; under `*` a template with `{version}`."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment of the engine on this device; engine.env overrides it by name."""

    def image(self, version: str) -> str | None:
        """The image of a version; None if the profile has none."""
        image = self.images.get(version, self.images.get(ANY_VERSION))
        return image.replace("{version}", version) if image else None


@cache
def built_in_profiles() -> Mapping[str, AcceleratorProfile]:
    """The profiles that come with the operator, by name, from profiles.yaml beside this module."""
    documents = yaml.safe_load(files(__package__).joinpath("profiles.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({name: AcceleratorProfile.model_validate(document) for name, document in documents.items()})
