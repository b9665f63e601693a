"""Labels, annotations and taints as the API server takes them: it would refuse the pod, long after the service was accepted."""

from typing import Any

import pytest

from llmfleet.planning.parse import parse, parse_profile


def refusals(**metadata: Any) -> list[str]:
    spec = {"model": {"source": "hf://a/b"}, "template": {"metadata": metadata}}
    found = parse({"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": {"name": "x"}, "spec": spec})
    return [violation.message for violation in found] if isinstance(found, tuple) else []


def profile_refusals(**spec: Any) -> list[str]:
    found = parse_profile({"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": "x"}, "spec": spec})
    return [violation.message for violation in found] if isinstance(found, tuple) else []


@pytest.mark.parametrize("key", ["a b", "a/b/c", "/a", "example.com/", "-a", "x" * 64, "a..b/c"])
def test_a_key_that_kubernetes_refuses_is_refused(key: str) -> None:
    for found in (refusals(labels={key: "x"}), refusals(annotations={key: "x"}), profile_refusals(nodeSelector={key: "x"})):
        assert len(found) == 1
        assert "such as team or example.com/team" in found[0]


def test_only_the_domain_of_an_annotation_may_have_capitals() -> None:
    assert len(refusals(labels={"Example.com/a": "x"})) == 1
    assert refusals(annotations={"Example.com/a": "x"}) == []


@pytest.mark.parametrize("value", ["a b", "-a", "a.", "ä", "x" * 64])
def test_a_value_that_kubernetes_refuses_is_refused(value: str) -> None:
    assert len(refusals(labels={"team": value})) == len(profile_refusals(nodeSelector={"team": value})) == 1
    assert len(profile_refusals(tolerations=[{"key": "team", "value": value}])) == 1
    assert refusals(annotations={"team": value}) == []


@pytest.mark.parametrize("key", ["a", "A_b.c-d", "example.com/team", "a.b-c.d/X"])
@pytest.mark.parametrize("value", ["", "a", "A_b.c-d"])
def test_keys_and_values_that_kubernetes_takes_are_taken(key: str, value: str) -> None:
    assert refusals(labels={key: value}, annotations={key: value}) == profile_refusals(nodeSelector={key: value}) == []
