import re
from typing import Any

import pytest

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.planning.profiles import profiles_with

BUILT_IN = built_in_profiles()


def stored(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": "u", "resourceVersion": "1", "managedFields": []}
    return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": metadata, "spec": spec}


def test_an_object_takes_the_place_of_the_built_in_one_whole() -> None:
    found = profiles_with([stored("nvidia-t4", resourceName="nvidia.com/gpu.shared")])
    assert found.valid["nvidia-t4"] == AcceleratorProfile(resource_name="nvidia.com/gpu.shared")
    assert found.valid["nvidia-l4"] == BUILT_IN["nvidia-l4"]
    assert found.invalid == {}


def test_an_object_of_another_name_is_added() -> None:
    assert profiles_with([stored("mine", vendor="amd")]).valid["mine"].vendor == "amd"
    assert set(profiles_with([]).valid) == set(BUILT_IN)


def test_an_object_that_cannot_be_read_hides_what_it_replaced_and_is_told() -> None:
    found = profiles_with([stored("nvidia-t4", ofAnotherVersion=1), stored("mine", memory="a lot")])
    assert {"nvidia-t4", "mine"}.isdisjoint(found.valid)
    assert "nvidia" in found.valid
    assert set(found.invalid) == {"nvidia-t4", "mine"}
    assert "spec.memory" in found.invalid["mine"]


@pytest.mark.parametrize("name", ["1A", "A B", "A=B", ""])
def test_a_variable_that_no_pod_takes_is_refused(name: str) -> None:
    assert "must" in profiles_with([stored("mine", env={name: "x"})]).invalid["mine"]


@pytest.mark.parametrize(("name", "value"), [("HOME", "/root"), ("PYTHONPATH", "/x"), ("LLMFLEET_API_KEY_0", "k"), ("VLLM_LOGGING_LEVEL", "")])
def test_a_variable_that_a_service_may_not_set_a_profile_may_not_either(name: str, value: str) -> None:
    assert re.fullmatch(rf"spec\.env '{name}': is (reserved|empty).*", profiles_with([stored("mine", env={name: value})]).invalid["mine"])


def test_other_variables_are_the_profiles() -> None:
    assert profiles_with([stored("mine", env={"NCCL_DEBUG": "INFO", "VLLM_CPU_KVCACHE_SPACE": "8"})]).invalid == {}
