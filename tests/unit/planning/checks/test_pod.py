"""The environment of the engine, and the hub that it asks."""

from typing import Any

import pytest

from llmfleet.planning.checks.pod import repeated_environment, reserved_environment, two_hubs
from tests.unit.planning.checks.answers import fields_found, found, only

TOKEN = {"secretKeyRef": {"name": "hub", "key": "token"}}


def env(*names: str, value: str = "x") -> dict[str, Any]:
    return {"env": [{"name": name, "value": value} for name in names]}


@pytest.mark.parametrize(
    "name",
    ["HOME", "USER", "VLLM_PORT", "PYTHONPATH", "VLLM_USE_MODELSCOPE", "VLLM_API_KEY", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "LLMFLEET_X", "LLMFLEET_API_KEY_0"],
)
def test_a_reserved_variable_is_refused(name: str) -> None:
    violation = only(reserved_environment, engine=env(name))
    assert (violation.field, violation.value) == ("spec.engine.env[0]", name)


def test_other_variables_are_the_users() -> None:
    assert found(reserved_environment, engine=env("VLLM_LOGGING_LEVEL", "HF_TOKEN", "NCCL_DEBUG", "HF_HUB_OFFLINE")) == []


@pytest.mark.parametrize(
    ("source", "variable"),
    [("hf://a/b", "HF_TOKEN"), ("modelscope://a/b", "MODELSCOPE_API_TOKEN"), ("gs://bucket/a", "GOOGLE_APPLICATION_CREDENTIALS")],
)
def test_a_credential_has_one_owner(source: str, variable: str) -> None:
    assert found(reserved_environment, engine=env(variable), model={"source": source}) == []
    violation = only(reserved_environment, engine=env(variable), model={"source": source, "credentials": TOKEN})
    assert (violation.value, violation.rule) == (variable, "is already set by spec.model.credentials")


def test_a_secret_that_is_taken_whole_owns_no_single_variable() -> None:
    assert found(reserved_environment, engine=env("HF_TOKEN"), model={"credentials": {"secretRef": {"name": "hub"}}}) == []


def test_the_size_of_the_cpus_kv_cache_is_said_once() -> None:
    engine = {**env("VLLM_CPU_KVCACHE_SPACE", value="1"), "kvCacheMemory": "2Gi"}
    assert "override spec.engine.kvCacheMemory" in only(reserved_environment, engine=engine).rule
    assert found(reserved_environment, engine=env("VLLM_CPU_KVCACHE_SPACE", value="1")) == []


def test_an_empty_value_of_a_vllm_variable_is_refused() -> None:
    assert "is empty" in only(reserved_environment, engine=env("VLLM_CPU_KVCACHE_SPACE", value="")).rule
    assert found(reserved_environment, engine=env("LD_PRELOAD", value="")) == []


def test_an_api_key_from_a_secret_may_be_a_variable() -> None:
    assert found(reserved_environment, engine={"env": [{"name": "SEARCH_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "qwen"}}}]}) == []


def test_a_variable_twice_is_refused() -> None:
    assert only(repeated_environment, engine=env("A", "B", "A")).message == "spec.engine.env 'A': stands there 2 times; keep it once"
    assert found(repeated_environment, engine=env("A", "B")) == []


def test_an_engine_asks_one_hub() -> None:
    draft = {"speculative": {"method": "eagle3", "model": "modelscope://a/draft", "tokens": 2}}
    assert fields_found(two_hubs, model={"tokenizer": "modelscope://a/t"}) == ["spec.model.tokenizer"]
    assert fields_found(two_hubs, engine=draft) == ["spec.engine.speculative.model"]
    assert "spec.model.cache" in only(two_hubs, engine=draft).remedy
    assert found(two_hubs, model={"source": "modelscope://a/b", "tokenizer": "modelscope://a/t"}, engine=draft) == []


@pytest.mark.parametrize("model", [{"source": "s3://bucket/a"}, {"source": "pvc://models"}, {"cache": {"claimName": "models"}}])
def test_a_model_that_is_asked_of_no_hub_goes_with_either(model: dict[str, Any]) -> None:
    for tokenizer in ("hf://a/t", "modelscope://a/t"):
        assert found(two_hubs, model={**model, "tokenizer": tokenizer}) == []
