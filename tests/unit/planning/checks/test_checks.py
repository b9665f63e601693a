"""The checks together: their order, what each is about, and what passes all of them."""

from typing import Any

import pytest
from pydantic.alias_generators import to_snake

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.checks import CHECKS, Check, Subject, checks_of, findings, violations
from llmfleet.vllm.arguments import TYPED
from tests.unit.planning.checks.subjects import DEEPSEEK, MIXTRAL, QWEN, device, facts, subject

FREE: frozenset[str] = frozenset(
    {
        "engine.seed",
        "engine.performanceMode",
        "engine.optimizationLevel",
        "engine.enforceEager",
        "engine.schedulingPolicy",
        "engine.maxQueuedTokens",
        "model.generationConfig",
        "model.generationDefaults",
        "model.chatTemplate",
        "engine.structuredOutputs.enableInReasoning",
        "access.apiKeys",
    }
)
"""Fields whose every value that the schema takes works."""


def test_five_lines_pass() -> None:
    assert findings(subject()) == ()


@pytest.mark.parametrize("config", [QWEN, MIXTRAL, DEEPSEEK], ids=lambda config: config["model_type"])
def test_well_known_models_pass_on_an_accelerator_that_holds_them(config: dict[str, Any]) -> None:
    assert violations(subject(device("9.0"), facts(config), parallelism={"tensor": 4})) == ()


def test_a_message_names_field_value_rule_and_remedy() -> None:
    (violation,) = violations(subject(model={"servedNames": ["a", "a"]}))
    assert violation.message == "spec.model.servedNames 'a': stands there 2 times; keep it once"


def test_everything_wrong_is_told_at_once_in_the_order_of_a_manifest() -> None:
    wrong = subject(
        engine={"extraArgs": ["-tp", "4"], "version": "0.1.0", "env": [{"name": "HOME", "value": "/"}]},
        model={"servedNames": ["a", "a"]},
        parallelism={"nodes": 2},
        quantization={"method": "online"},
    )
    assert [violation.field for violation in violations(wrong)] == [
        "spec.engine.version",
        "spec.model.servedNames",
        "spec.quantization.config",
        "spec.parallelism.nodes",
        "spec.engine.extraArgs[0]",
        "spec.engine.env[0]",
    ]


def test_warnings_are_said_and_refuse_nothing() -> None:
    only_warned = subject(model={"loadFormat": "dummy"})
    assert [violation.warning for violation in findings(only_warned)] == [True]
    assert violations(only_warned) == ()


@pytest.mark.parametrize("each", CHECKS, ids=lambda each: each.name)
def test_a_check_says_what_it_is_about(each: Check) -> None:
    assert each.rule
    for path in each.fields:
        model: Any = LLMServiceSpec
        for name in path.split("."):
            if model is None or not hasattr(model, "model_fields"):
                break
            assert to_snake(name) in model.model_fields, path
            annotation = model.model_fields[to_snake(name)].annotation
            model = next((option for option in (annotation, *getattr(annotation, "__args__", ())) if hasattr(option, "model_fields")), None)


def test_no_check_stands_there_twice() -> None:
    names = [each.name for each in CHECKS]
    assert len(names) == len(set(names))


def test_every_field_that_vllm_is_told_is_checked_or_free() -> None:
    unchecked = {typed.field for typed in TYPED if not checks_of(typed.field)}
    assert unchecked == FREE


def test_the_checks_of_a_field_are_those_that_it_decides() -> None:
    assert [each.name for each in checks_of("parallelism.decodeContext")] == ["copied_kv_heads", "decode_context"]
    assert [each.name for each in checks_of("engine.kvOffload.memory")] == ["offload_from_the_cpu", "offload_to_lmcache"]
    assert [each.name for each in checks_of("engine.blockSize")] == ["block_size"]


def test_the_subject_knows_the_image_that_counts() -> None:
    spec = LLMServiceSpec.model_validate({"model": {"source": "hf://a/b"}})
    assert Subject("a", spec, built_in_profiles()).image == "vllm/vllm-openai:v0.32.0"
    assert Subject("a", spec, built_in_profiles(), default_profile="cpu").image == "vllm/vllm-openai-cpu:v0.32.0"


def test_the_services_own_variables_go_before_the_profiles() -> None:
    env = [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "7"}]
    assert subject(accelerator={"profile": "cpu"}, engine={"env": env}).environment["VLLM_CPU_KVCACHE_SPACE"] == "7"
    assert subject(accelerator={"profile": "cpu"}).environment["VLLM_CPU_KVCACHE_SPACE"] == "4"


def test_a_model_of_which_nothing_is_known_is_neither_dense_nor_a_mixture() -> None:
    assert subject().is_dense is False
    assert subject(known=facts()).is_dense is True
    assert subject(known=facts(MIXTRAL)).is_dense is False
