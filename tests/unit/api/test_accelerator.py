"""Accelerator profiles, and those that come with the operator."""

import pytest

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles


def test_the_cpu_profile_asks_for_no_device_and_fixes_the_kv_cache() -> None:
    cpu = built_in_profiles()["cpu"]
    assert cpu.resource_name is None
    assert cpu.image("0.32.0") == "vllm/vllm-openai-cpu:v0.32.0"
    assert cpu.env == {"VLLM_CPU_KVCACHE_SPACE": "4"}


def test_the_nvidia_profile_asks_for_gpus() -> None:
    nvidia = built_in_profiles()["nvidia"]
    assert nvidia.resource_name == "nvidia.com/gpu"
    assert nvidia.image("0.32.0") == "vllm/vllm-openai:v0.32.0"


def test_a_version_with_an_image_of_its_own_wins_over_the_template() -> None:
    profile = AcceleratorProfile(images={"*": "any:v{version}", "0.32.0": "mine:7"})
    assert (profile.image("0.32.0"), profile.image("0.31.0")) == ("mine:7", "any:v0.31.0")


def test_a_profile_without_the_version_has_no_image() -> None:
    assert AcceleratorProfile(images={"0.32.0": "mine:7"}).image("0.31.0") is None


def test_the_built_in_profiles_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        built_in_profiles()["mine"] = AcceleratorProfile()  # type: ignore[index]
