"""On what and in which pod a replica runs: spec.accelerator and spec.template."""

from typing import Annotated, Any

from pydantic import Field

from llmfleet.api.wire import AnnotationKey, LabelKey, LabelValue, ObjectName, Wire


class Accelerator(Wire):
    """What kind of device a replica runs on; how many follows from parallelism."""

    profile: ObjectName | None = None
    """Name of the accelerator profile: a built-in one (cpu, nvidia, nvidia-h100-80gb, ...) or an AcceleratorProfile of the cluster. Default: the
    operator's setting (nvidia)."""


class PodMetadata(Wire):
    """Labels and annotations of the pods; the rest of a pod's metadata is the operator's."""

    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    """Further labels."""
    annotations: Annotated[dict[AnnotationKey, Annotated[str, Field(max_length=65536)]], Field(max_length=64)] = Field(default_factory=dict)
    """Further annotations."""


class PodTemplate(Wire):
    """Overrides of the pod, in the shape of a PodTemplateSpec; merged last, like a strategic merge patch."""

    metadata: PodMetadata = PodMetadata()
    """Labels and annotations of the pods."""
    spec: Annotated[dict[str, Any], Field(max_length=64)] = Field(default_factory=dict)
    """Any part of a PodSpec: maps are merged, lists of named items (containers, volumes, env, ...) item by item, other lists are replaced, null takes
    away (with kubectl apply --server-side: without it kubectl drops nulls before anyone sees them). Tolerations are added to the profile's. What a field
    says or the operator needs is refused with the reason: the engine's command, image, ports, probes and environment, accelerators, the account, the
    security profile."""
