"""Accelerator profiles, those that come with the operator and those of the cluster."""

from typing import Any

import pytest
from pydantic import ValidationError

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.vllm import versions

BUILT_IN = built_in_profiles()
WITHOUT_IMAGE = {"intel-gaudi2", "intel-gaudi3"}


def profile(**fields: Any) -> AcceleratorProfile:
    return AcceleratorProfile.model_validate(fields, strict=True, by_alias=True, by_name=False)


def test_the_cpu_profile_asks_for_no_device_and_fixes_the_kv_cache() -> None:
    cpu = BUILT_IN["cpu"]
    assert cpu.resource_name is None
    assert cpu.image("0.32.0") == "vllm/vllm-openai-cpu:v0.32.0"
    assert cpu.env == {"VLLM_CPU_KVCACHE_SPACE": "4"}


def test_the_nvidia_profile_asks_for_any_gpu() -> None:
    nvidia = BUILT_IN["nvidia"]
    assert (nvidia.resource_name, nvidia.memory, nvidia.compute_capability, nvidia.node_selector) == ("nvidia.com/gpu", None, None, {})
    assert nvidia.image("0.32.0") == "vllm/vllm-openai:v0.32.0"


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - WITHOUT_IMAGE))
def test_a_built_in_profile_has_an_image_of_the_newest_version(name: str) -> None:
    image = BUILT_IN[name].image(versions.DEFAULT)
    assert image is not None
    assert image.endswith(f":v{versions.DEFAULT}")


@pytest.mark.parametrize("name", sorted(WITHOUT_IMAGE))
def test_where_nobody_publishes_an_image_there_is_none(name: str) -> None:
    assert BUILT_IN[name].images == {}


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"cpu"}))
def test_a_device_has_a_vendor_and_a_resource(name: str) -> None:
    assert BUILT_IN[name].vendor is not None
    assert BUILT_IN[name].resource_name is not None


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"cpu", "nvidia"} - WITHOUT_IMAGE))
def test_a_named_device_lands_on_its_own_nodes_alone(name: str) -> None:
    selectors = [tuple(other.node_selector.items()) for other in BUILT_IN.values() if other.resource_name == BUILT_IN[name].resource_name]
    mine = tuple(BUILT_IN[name].node_selector.items())
    assert mine
    assert selectors.count(mine) == 1


def test_what_is_known_of_a_device_stands_beside_it() -> None:
    facts = {name: (found.memory, found.compute_capability, found.per_node) for name, found in BUILT_IN.items() if name.startswith("nvidia-")}
    assert facts == {
        "nvidia-t4": ("15360Mi", "7.5", None),
        "nvidia-l4": ("23034Mi", "8.9", None),
        "nvidia-a10": ("23028Mi", "8.6", None),
        "nvidia-l40s": ("46068Mi", "8.9", None),
        "nvidia-a100-40gb": ("40960Mi", "8.0", 16),
        "nvidia-a100-80gb": ("81920Mi", "8.0", 8),
        "nvidia-h100-80gb": ("81559Mi", "9.0", 8),
        "nvidia-h200-141gb": ("143771Mi", "9.0", 8),
        "nvidia-b200-192gb": ("183359Mi", "10.0", 8),
    }


def test_a_version_with_an_image_of_its_own_wins_over_the_template() -> None:
    found = AcceleratorProfile(images={"*": "any:v{version}", "0.32.0": "mine:7"})
    assert (found.image("0.32.0"), found.image("0.31.0")) == ("mine:7", "any:v0.31.0")


def test_a_profile_without_the_version_has_no_image() -> None:
    assert AcceleratorProfile(images={"0.32.0": "mine:7"}).image("0.31.0") is None


def test_the_built_in_profiles_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        BUILT_IN["mine"] = AcceleratorProfile()  # type: ignore[index]


def test_a_compute_capability_is_nvidias() -> None:
    assert profile(vendor="nvidia", computeCapability="9.0").compute_capability == "9.0"
    for fields in ({"computeCapability": "9.0"}, {"computeCapability": "9.0", "vendor": "amd"}):
        with pytest.raises(ValidationError, match="set vendor: nvidia"):
            profile(**fields)


@pytest.mark.parametrize("capability", ["90", "9", "sm_90", "9.0a"])
def test_a_compute_capability_has_a_point(capability: str) -> None:
    with pytest.raises(ValidationError, match=r"such as 8.0 or 10.0"):
        profile(vendor="nvidia", computeCapability=capability)


@pytest.mark.parametrize("name", ["cpu", "memory", "gpu", "nvidia.com/", "/gpu", "nvidia.com/gpu "])
def test_a_resource_is_a_device_plugins(name: str) -> None:
    with pytest.raises(ValidationError, match=r"such as nvidia.com/gpu"):
        profile(resourceName=name)


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "amd.com/gpu", "habana.ai/gaudi", "gpu.intel.com/i915"])
def test_common_resources_are_taken(name: str) -> None:
    assert profile(resourceName=name).resource_name == name


def test_a_number_of_devices_needs_a_device() -> None:
    with pytest.raises(ValidationError, match="set resourceName"):
        profile(perNode=8)
    assert profile(perNode=8, resourceName="nvidia.com/gpu").per_node == 8


@pytest.mark.parametrize("version", ["v0.32.0", "latest", "0.32.0 ", ""])
def test_an_image_is_named_by_a_version(version: str) -> None:
    with pytest.raises(ValidationError, match=r"such as 0\.32\.0 without a v"):
        profile(images={version: "mine:1"})
