from typing import Any

import pytest

from llmfleet.kube.errors import ApiError, from_status


def answer(code: int, reason: str, message: str, **details: Any) -> ApiError:
    return from_status(code, {"kind": "Status", "reason": reason, "message": message, "code": code, "details": details}, None)


@pytest.mark.parametrize(
    "message",
    [
        "failed to create typed patch object (default/x; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema",
        'failed to convert new object (default/x; apps/v1, Kind=Deployment) to smd typed: unable to parse quantity "abc"',
    ],
)
def test_a_500_about_an_ill_typed_apply_is_invalid_and_not_retried(message: str) -> None:
    error = answer(500, "", message)
    assert error.invalid
    assert not error.retryable


def test_other_500s_are_retried() -> None:
    error = answer(500, "InternalError", "etcdserver: leader changed")
    assert error.retryable
    assert not error.invalid


@pytest.mark.parametrize("status", [400, 422])
def test_refused_content_is_invalid(status: int) -> None:
    assert answer(status, "Invalid", "spec.replicas: must not be negative").invalid


def test_another_object_of_the_same_name_is_a_conflict_and_not_invalid() -> None:
    error = answer(422, "Invalid", "metadata.uid: field is immutable", causes=[{"reason": "FieldValueInvalid", "field": "metadata.uid"}])
    assert error.conflict
    assert error.retryable
    assert not error.invalid


def test_a_terminating_namespace_is_known_by_its_cause() -> None:
    error = answer(403, "Forbidden", "x is forbidden", causes=[{"reason": "NamespaceTerminating"}])
    assert error.namespace_terminating
    assert error.forbidden


def test_a_namespace_that_is_gone_is_not_an_absent_object() -> None:
    assert answer(404, "NotFound", 'namespaces "x" not found', kind="namespaces").namespace_terminating
    assert not answer(404, "NotFound", 'deployments.apps "x" not found', kind="deployments").namespace_terminating


def test_retry_after_is_read_from_the_header_or_from_the_details() -> None:
    assert from_status(429, {"reason": "TooManyRequests"}, "7").retry_after == 7
    assert answer(429, "TooManyRequests", "", retryAfterSeconds=3).retry_after == 3
    assert from_status(429, "slow down", None).retry_after == 0


def test_an_answer_that_is_no_status_object_keeps_its_words() -> None:
    error = from_status(502, "bad gateway", None)
    assert (error.reason, error.message) == ("HTTP502", "bad gateway")
    assert error.retryable
