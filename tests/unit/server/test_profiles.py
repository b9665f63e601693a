"""Profiles of the cluster, read from the store."""

from typing import Any

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.kube.kinds import ACCELERATOR_PROFILE
from llmfleet.kube.store import Store
from llmfleet.names import Reason
from llmfleet.reconcile.desired import Accepted, Installation, Refused, desired
from llmfleet.resources.blueprint import Platform
from llmfleet.server.profiles import Profiles
from llmfleet.server.watching import WATCHED


class Cluster:
    def __init__(self) -> None:
        self.store = Store(WATCHED)
        self.profiles = Profiles(self.store)
        self.revision = 0

    def put(self, name: str, **spec: Any) -> None:
        self.revision += 1
        metadata = {"name": name, "uid": name, "resourceVersion": str(self.revision)}
        self.store.upsert(ACCELERATOR_PROFILE, {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": metadata, "spec": spec})

    def decide(self, profile: str) -> Accepted | Refused:
        installation = Installation(Platform("r", 3), self.profiles.valid(), "nvidia", self.profiles.invalid())
        metadata = {"name": "x", "namespace": "ns", "uid": "u"}
        spec = {"model": {"source": "hf://a/b"}, "accelerator": {"profile": profile}}
        return desired({"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": spec}, installation, {})


def test_without_objects_the_built_in_ones_are_there() -> None:
    cluster = Cluster()
    assert cluster.profiles.valid() == built_in_profiles()
    assert cluster.profiles.invalid() == {}


def test_an_object_takes_the_place_of_the_built_in_one_and_a_change_is_seen() -> None:
    cluster = Cluster()
    cluster.put("nvidia", resourceName="example.com/gpu")
    assert cluster.profiles.valid()["nvidia"].resource_name == "example.com/gpu"
    cluster.put("nvidia", resourceName="example.com/other")
    assert cluster.profiles.valid()["nvidia"].resource_name == "example.com/other"
    cluster.store.remove(ACCELERATOR_PROFILE, {"metadata": {"name": "nvidia", "uid": "nvidia", "resourceVersion": "9"}})
    assert cluster.profiles.valid() == built_in_profiles()


def test_an_invalid_object_is_named_and_the_built_in_one_does_not_come_back() -> None:
    cluster = Cluster()
    cluster.put("nvidia", perNode=8)
    assert "nvidia" not in cluster.profiles.valid()
    decision = cluster.decide("nvidia")
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.INVALID
    assert decision.message.startswith("spec.accelerator.profile 'nvidia': the AcceleratorProfile of this name is invalid: ")
    assert "perNode counts devices of resourceName" in decision.message
    assert "kubectl edit acceleratorprofile nvidia" in decision.message
    cluster.put("nvidia", resourceName="nvidia.com/gpu", images={"*": "vllm:{version}"})
    assert isinstance(cluster.decide("nvidia"), Accepted)


def test_an_invalid_object_concerns_nobody_who_does_not_name_it() -> None:
    cluster = Cluster()
    cluster.put("odd", perNode="eight")
    assert isinstance(cluster.decide("nvidia"), Accepted)
