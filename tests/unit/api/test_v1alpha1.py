"""The models: what five lines mean, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from llmfleet.api.v1alpha1 import Autoscaling, EnvVar, LLMService, LLMServiceSpec, Parallelism, Rollout

MODEL = {"source": "hf://a/b"}


def spec(**fields: Any) -> LLMServiceSpec:
    return LLMServiceSpec.model_validate({"model": MODEL, **fields})


def test_the_model_source_is_enough() -> None:
    service = LLMService.model_validate({"metadata": {"name": "tiny"}, "spec": {"model": MODEL}})
    assert service.spec.replicas is None
    assert service.spec.autoscaling is None
    assert service.spec.parallelism.accelerators_per_pod == 1
    assert service.spec.template.spec == {}
    assert service.spec.rollout.drain_timeout_seconds == 300


def test_what_goes_out_is_what_came_in() -> None:
    wire = {
        "model": {"source": "pvc://models/llama", "maxLength": "16k", "servedNames": ["llama"]},
        "engine": {"extraArgs": [], "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        "template": {"spec": {"volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}]}},
    }
    assert LLMServiceSpec.model_validate(wire).to_wire() == wire


def test_metadata_that_the_operator_does_not_use_is_passed_over() -> None:
    metadata = {"name": "a", "namespace": "b", "uid": "u", "generation": 3, "managedFields": [], "labels": {}}
    assert LLMService.model_validate({"metadata": metadata, "spec": {"model": MODEL}}).metadata.generation == 3


def test_accelerators_per_pod_is_tensor_times_pipeline() -> None:
    assert Parallelism(tensor=4, pipeline=2).accelerators_per_pod == 8


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h1m1s", 3661), ("0s", 0)])
def test_the_drain_timeout_in_seconds(text: str, seconds: int) -> None:
    assert Rollout(drain_timeout=text).drain_timeout_seconds == seconds


@pytest.mark.parametrize("text", ["soon", "5", "1d", "1.5m", "5m\n", "1m1h"])
def test_a_drain_timeout_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must be a duration"):
        Rollout(drain_timeout=text)


@pytest.mark.parametrize("length", [1, 4096, "16k", "16K", "1m", "auto"])
def test_a_length_that_vllm_reads(length: int | str) -> None:
    assert spec(model={**MODEL, "maxLength": length}).model.max_length == length


@pytest.mark.parametrize("length", [0, -1, True, 1.5, "", "lots", "16kk", "1.5k", [1]])
def test_a_length_that_is_none_is_refused(length: object) -> None:
    with pytest.raises(ValidationError, match="must be a number of tokens"):
        spec(model={**MODEL, "maxLength": length})


@pytest.mark.parametrize("amount", ["500m", "2", 2, "16Gi", "1e3", ".5"])
def test_a_quantity_is_kept_as_written(amount: int | str) -> None:
    assert spec(engine={"cpuOffload": amount}).engine.cpu_offload == str(amount)


@pytest.mark.parametrize("amount", ["abc", "-1", -1, "1 Gi", "1GB", True])
def test_a_quantity_that_is_none_is_refused(amount: object) -> None:
    with pytest.raises(ValidationError, match="must be a Kubernetes quantity"):
        spec(engine={"cpuOffload": amount})


def test_replicas_and_autoscaling_exclude_each_other_and_the_message_carries_the_command() -> None:
    with pytest.raises(ValidationError, match="kubectl patch llm NAME --type=json"):
        spec(replicas=1, autoscaling={"maxReplicas": 2})


def test_zero_replicas_stop_a_service() -> None:
    assert spec(replicas=0).replicas == 0


def test_min_above_max_is_refused() -> None:
    with pytest.raises(ValidationError, match="minReplicas must not exceed maxReplicas"):
        Autoscaling(min_replicas=3, max_replicas=2)


def test_two_signals_are_refused() -> None:
    with pytest.raises(ValidationError, match="either queueDepth or inFlight"):
        Autoscaling.model_validate({"maxReplicas": 2, "queueDepth": {}, "inFlight": {"target": 1}})


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 7.5])
def test_a_share_of_memory_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValidationError):
        spec(engine={"memoryUtilization": share})


@pytest.mark.parametrize("variable", [{"name": "A"}, {"name": "A", "value": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
def test_a_variable_has_exactly_one_of_value_and_value_from(variable: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of value and valueFrom"):
        EnvVar.model_validate(variable)


def test_a_variable_has_one_source() -> None:
    both = {"secretKeyRef": {"name": "s", "key": "k"}, "fieldRef": {"fieldPath": "metadata.name"}}
    with pytest.raises(ValidationError, match="names exactly one of"):
        EnvVar.model_validate({"name": "A", "valueFrom": both})


@pytest.mark.parametrize("name", ["a" * 50, "qwen", "a-1"])
def test_a_name_that_a_service_can_have(name: str) -> None:
    assert LLMService.model_validate({"metadata": {"name": name}, "spec": {"model": MODEL}}).metadata.name == name


@pytest.mark.parametrize("name", ["a" * 51, "a.b", "1a", "a-", "A", ""])
def test_a_name_that_no_service_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="must be at most 50 characters"):
        LLMService.model_validate({"metadata": {"name": name}, "spec": {"model": MODEL}})


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        spec(gpus=2)
