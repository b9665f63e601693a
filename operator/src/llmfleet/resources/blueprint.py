"""What every builder is given: plain values, gathered once, so that a child is a pure function of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from llmfleet import names
from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.resources.rollout_plan import RolloutPlan

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as the API server takes it."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The LLMService that a child belongs to."""

    namespace: str
    name: str
    uid: str

    @property
    def engine_name(self) -> str:
        """Name of the workload and of what goes with it; the client Service alone has the bare name."""
        return self.name + names.ENGINE_SUFFIX

    @property
    def selector(self) -> dict[str, str]:
        """Labels of the pods that answer requests. Immutable in a Deployment: nothing that a user may change is in it."""
        return {names.LABEL_SERVICE: self.name, names.LABEL_ROLE: names.ROLE_ENGINE}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every child and pod."""
        return {
            names.LABEL_NAME: "vllm",
            names.LABEL_INSTANCE: self.name,
            names.LABEL_MANAGED_BY: names.MANAGED_BY,
            names.LABEL_SERVICE: self.name,
        }

    def metadata(self, name: str) -> Manifest:
        """Metadata of a child: it is found by its labels, and collected with its owner."""
        reference = {
            "apiVersion": names.API_VERSION,
            "kind": names.LLMSERVICE,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {"name": name, "namespace": self.namespace, "labels": self.labels, "ownerReferences": [reference]}


@dataclass(frozen=True, slots=True)
class Platform:
    """What the installation decides for every service."""

    runtime_image: str
    """Image of the init container."""
    minimum_drain_seconds: float
    """How long a stopping pod keeps serving at least."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One service, checked and complete."""

    owner: Owner
    spec: LLMServiceSpec
    profile: AcceleratorProfile
    image: str
    """The engine's image, from the specification or the profile."""
    platform: Platform
    configuration: Mapping[str, str]
    """Hash of the content of each ConfigMap that the pod refers to, by name."""
    rollout: RolloutPlan | None = None
    """How replicas are replaced; None as for the first time."""
    stuck_replicas: int = 0
    """Replicas that are wanted and will not answer: the drain of a node does not wait for them."""
