"""Each check by itself, and their order."""

from typing import Any

import pytest

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.checks import Subject, violations
from llmfleet.planning.violation import Violation


def found(profiles: dict[str, AcceleratorProfile] | None = None, **fields: Any) -> tuple[Violation, ...]:
    spec = LLMServiceSpec.model_validate({**fields, "model": {"source": "hf://a/b", **fields.get("model", {})}})
    return violations(Subject(name="qwen", spec=spec, profiles=profiles or built_in_profiles()))


def only(**fields: Any) -> Violation:
    (violation,) = found(**fields)
    return violation


def test_five_lines_pass() -> None:
    assert found() == ()


def test_a_message_names_field_value_rule_and_remedy() -> None:
    assert only(engine={"extraArgs": ["--port", "80"]}).message == (
        "spec.engine.extraArgs[0] '--port': belongs to the operator; "
        "remove it: the Service and the probes expect vLLM's own HTTP server on port 8000 of every interface"
    )


def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    violation = only(accelerator={"profile": "tpu-v7"})
    assert (violation.field, violation.value, violation.remedy) == ("spec.accelerator.profile", "tpu-v7", "choose one of cpu, nvidia")


def test_the_default_profile_is_checked_too() -> None:
    assert [violation.value for violation in found(profiles={"cpu": built_in_profiles()["cpu"]})] == ["nvidia"]


def test_an_unsupported_version_is_refused_with_those_that_are_supported() -> None:
    violation = only(engine={"version": "0.19.0"})
    assert violation.field == "spec.engine.version"
    assert violation.remedy == "choose one of 0.32.0, or set spec.engine.image to an image of that version"


def test_an_unsupported_version_with_an_image_of_ones_own_is_taken() -> None:
    assert found(engine={"version": "0.19.0", "image": "mine:1"}) == ()


def test_a_profile_without_an_image_for_the_version_is_refused() -> None:
    violation, *_ = found(profiles={"nvidia": AcceleratorProfile()})
    assert violation.rule == "has no image for vLLM 0.32.0"


def test_an_unknown_dtype_is_refused_with_the_nearest() -> None:
    assert only(model={"dtype": "bf16"}).field == "spec.model.dtype"


def test_a_served_name_twice_is_refused() -> None:
    assert only(model={"servedNames": ["a", "b", "a"]}).message == "spec.model.servedNames 'a': stands there 2 times; keep it once"


def test_credentials_for_a_claim_would_be_ignored() -> None:
    credentials = {"secretKeyRef": {"name": "hf", "key": "token"}}
    assert only(model={"source": "pvc://models/a", "credentials": credentials}).field == "spec.model.credentials"
    assert found(model={"credentials": credentials}) == ()


def test_a_misspelt_quantization_method_is_refused_with_the_nearest() -> None:
    violation = only(quantization={"method": "fp8_per_tensr"})
    assert violation.rule == "is no quantization method of vLLM 0.32.0"
    assert "did you mean fp8_per_tensor" in violation.remedy


@pytest.mark.parametrize(("method", "plugin"), [("gguf", "vllm-gguf-plugin"), ("bitsandbytes", "vllm-bnb-plugin")])
def test_a_method_that_left_the_tree_is_refused_with_its_plugin(method: str, plugin: str) -> None:
    assert plugin in only(quantization={"method": method}).rule
    assert found(quantization={"method": method}, engine={"image": "with-plugin:1"}) == ()


def test_a_deprecated_method_needs_the_flag_that_says_so() -> None:
    assert "is deprecated" in only(quantization={"method": "fp_quant"}).rule
    assert found(quantization={"method": "fp_quant"}, engine={"extraArgs": ["--allow-deprecated-quantization"]}) == ()


def test_an_unknown_kv_cache_type_is_refused_with_the_nearest() -> None:
    assert "fp8_e4m3" in only(quantization={"kvCache": "fp8_e4m4"}).remedy


def test_a_utilisation_that_vllm_would_override_is_refused() -> None:
    engine = {"memoryUtilization": 0.5, "extraArgs": ["--kv-cache-memory-bytes=1G"]}
    assert only(engine=engine).field == "spec.engine.memoryUtilization"


@pytest.mark.parametrize(
    ("profile", "env"), [("cpu", []), ("cpu", [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"}]), ("bare", [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"}])]
)
def test_a_kv_cache_size_that_the_cpus_variable_would_override_is_refused(profile: str, env: list[dict[str, str]]) -> None:
    profiles = {"cpu": built_in_profiles()["cpu"], "bare": AcceleratorProfile(images={"*": "mine"})}
    violation = only(profiles=profiles, accelerator={"profile": profile}, engine={"env": env, "extraArgs": ["--enforce-eager", "--kv_cache_memory_bytes=1G"]})
    assert violation.field == "spec.engine.extraArgs[1]"
    assert "VLLM_CPU_KVCACHE_SPACE in spec.engine.env" in violation.remedy


def test_a_kv_cache_size_that_nothing_overrides_is_taken() -> None:
    assert found(engine={"extraArgs": ["--kv-cache-memory-bytes=1G"]}) == ()


@pytest.mark.parametrize("switch", ["--enforce-eager", "--enforce_eager", "--trust-remote-code", "--enable-lora", "--no-enable-prefix-caching", "--seed=1"])
def test_a_value_behind_a_flag_that_takes_none_would_be_a_second_model(switch: str) -> None:
    violation = only(engine={"extraArgs": [switch, "other/model"]})
    assert (violation.field, violation.value) == ("spec.engine.extraArgs[1]", "")
    assert "second model" in violation.rule
    assert "other/model" not in violation.message


def test_the_end_of_the_flags_is_refused() -> None:
    assert only(engine={"extraArgs": ["--seed", "1", "--", "other/model"]}).field == "spec.engine.extraArgs[2]"


@pytest.mark.parametrize(
    "extra_args", [["--seed", "-1"], ["--lora-modules", "a=b", "c=d"], ["--enforce-eager", "--seed", "1"], ["--hf-overrides", '{"a": 1}', "--enable-lora"]]
)
def test_values_behind_their_flags_are_taken(extra_args: list[str]) -> None:
    assert found(engine={"extraArgs": extra_args}) == ()


def test_everything_wrong_is_told_at_once_in_the_order_of_a_manifest() -> None:
    fields = [
        violation.field
        for violation in found(
            template={"spec": {"volumes": [{"name": "llmfleet-tmp", "emptyDir": {}}]}},
            engine={"extraArgs": ["-tp", "4"], "version": "0.1.0"},
            model={"servedNames": ["a", "a"]},
        )
    ]
    assert fields == ["spec.engine.version", "spec.model.servedNames", "spec.engine.extraArgs[0]", "spec.template.spec.volumes[0].name"]


def test_the_subject_knows_the_image_that_counts() -> None:
    spec = LLMServiceSpec.model_validate({"model": {"source": "hf://a/b"}})
    assert Subject("a", spec, built_in_profiles()).image == "vllm/vllm-openai:v0.32.0"
    assert Subject("a", spec, built_in_profiles(), default_profile="cpu").image == "vllm/vllm-openai-cpu:v0.32.0"
