"""Objects of any shape become models or violations, never an exception."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.api.v1alpha1 import LLMService
from llmfleet.planning.parse import parse
from llmfleet.planning.violation import Violation


def stored(spec: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """An object as the API server gives it."""
    metadata = {"name": "qwen", "namespace": "chat", "uid": "u", "generation": 2, "resourceVersion": "7", "managedFields": []}
    return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": spec, **parts}


def refused(spec: dict[str, Any]) -> tuple[Violation, ...]:
    parsed = parse(stored({"model": {"source": "hf://a/b"}} | spec))
    assert not isinstance(parsed, LLMService)
    return parsed


def test_a_stored_object_is_read() -> None:
    service = parse(stored({"model": {"source": "hf://a/b"}}, status={"observedGeneration": 2, "replicas": 1}))
    assert isinstance(service, LLMService)
    assert (service.metadata.namespace, service.metadata.generation) == ("chat", 2)
    assert service.status is not None
    assert service.status.replicas == 1


def test_a_status_of_another_version_is_dropped() -> None:
    service = parse(stored({"model": {"source": "hf://a/b"}}, status={"phase": "Running"}))
    assert isinstance(service, LLMService)
    assert service.status is None


def test_a_missing_field_is_named() -> None:
    assert [violation.message for violation in refused({"model": {}})] == ["spec.model.source: is required; add it"]


def test_an_unknown_field_is_named_with_the_way_to_look_it_up() -> None:
    (violation,) = refused({"engine": {"env": [{"name": "A", "value": "b", "gpus": 2}]}})
    assert violation.field == "spec.engine.env[0].gpus"
    assert violation.remedy == "remove it, or look up its name: kubectl explain llm.spec.engine.env"


def test_a_field_in_pythons_spelling_is_unknown() -> None:
    assert {violation.field for violation in refused({"autoscaling": {"max_replicas": 2}})} == {
        "spec.autoscaling.maxReplicas",
        "spec.autoscaling.max_replicas",
    }


def test_a_wrong_value_is_shown() -> None:
    (violation,) = refused({"engine": {"memoryUtilization": 7.5}})
    assert (violation.field, violation.value, violation.rule) == ("spec.engine.memoryUtilization", "7.5", "must be at most 1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"autoscaling": 3}, "spec.autoscaling '3': must be an object"),
        ({"quantization": "fp8"}, "spec.quantization 'fp8': must be an object"),
        ({"model": {"source": "hf://a/b", "servedNames": "chat"}}, "spec.model.servedNames 'chat': must be a list"),
        ({"model": {"source": "hf://a/b", "dtype": True}}, "spec.model.dtype 'true': must be a string"),
        ({"model": {"source": "hf://a/b", "trustRemoteCode": "yes"}}, "spec.model.trustRemoteCode 'yes': must be true or false"),
        ({"model": {"source": "hf://a/b", "configOverrides": []}}, "spec.model.configOverrides: must be an object"),
        ({"replicas": "2"}, "spec.replicas '2': must be a whole number"),
        ({"replicas": -1}, "spec.replicas '-1': must be at least 0"),
        ({"engine": {"memoryUtilization": "much"}}, "spec.engine.memoryUtilization 'much': must be a number"),
        ({"engine": {"memoryUtilization": 0}}, "spec.engine.memoryUtilization '0': must be greater than 0"),
        ({"engine": {"kvOffload": {"memory": "1Gi", "backend": "disk"}}}, "spec.engine.kvOffload.backend 'disk': must be native or lmcache"),
        ({"engine": {"extraArgs": [""]}}, "spec.engine.extraArgs[0]: must not be empty"),
        ({"model": {"source": "hf://a/b", "loadFormat": "x" * 33}}, f"spec.model.loadFormat {'x' * 33!r}: must not be longer than 32 characters"),
        ({"engine": {"version": "1.0"}}, "spec.engine.version '1.0': must be a version of vLLM in three numbers, without a v, such as 0.32.0"),
        (
            {"engine": {"image": "a b"}},
            "spec.engine.image 'a b': must be the name of an image, without blanks, such as vllm/vllm-openai:v0.32.0",
        ),
        (
            {"engine": {"env": [{"name": "1A", "value": ""}]}},
            "spec.engine.env[0].name '1A': must be the name of a variable: letters, digits and _, no digit first",
        ),
        (
            {"model": {"source": "hf://a/b", "servedNames": ["-a"]}},
            "spec.model.servedNames[0] '-a': must begin and end with a letter or digit, with letters, digits and - . _ : / @ between",
        ),
        (
            {"accelerator": {"profile": "H100"}},
            "spec.accelerator.profile 'H100': must be the name of an object: small letters, digits, - and ., with a letter or digit at both ends",
        ),
    ],
)
def test_what_a_value_must_be_is_said_in_plain_words(spec: dict[str, Any], message: str) -> None:
    assert [violation.message for violation in refused(spec)] == [message]


def test_a_number_as_text_is_not_taken_for_a_number() -> None:
    (violation,) = refused({"parallelism": {"tensor": "2"}})
    assert violation.field == "spec.parallelism.tensor"


def test_rules_over_several_fields_give_the_message_of_admission() -> None:
    (violation,) = refused({"replicas": 1, "autoscaling": {"maxReplicas": 2}})
    assert violation.field == "spec"
    assert "kubectl patch llm NAME --type=json" in violation.message


def test_a_long_value_is_cut() -> None:
    (violation,) = refused({"model": {"source": "x" * 1000}})
    assert len(violation.message) < 400


def test_everything_wrong_is_told_at_once() -> None:
    assert len(refused({"replicas": -1, "engine": {"maxSequences": 0}, "bogus": True})) == 3


def test_an_object_without_anything_is_refused() -> None:
    parsed = parse({})
    assert not isinstance(parsed, LLMService)
    assert {violation.field for violation in parsed} == {"metadata", "spec"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "source", "engine", "env", "name", "template", "spec"]), inner),
    max_leaves=10,
)


@given(JSON)
def test_no_object_makes_it_crash(anything: Any) -> None:
    parse(stored(anything, status=anything))


def test_the_value_of_a_variable_is_never_repeated() -> None:
    (violation,) = refused({"model": {"source": "hf://a/b"}, "engine": {"env": [{"name": "KEY", "value": 1234567}]}})
    assert violation.field == "spec.engine.env[0].value"
    assert "1234567" not in violation.message
