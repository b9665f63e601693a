import json

import pytest

from llmfleet.scrape.report import Failure, MalformedReportError, Report, parse


def test_a_full_report() -> None:
    document = {
        "schemaVersion": 1,
        "state": "ready",
        "limits": {"maxSequences": 256},
        "kvCache": {"tokens": 123_456},
        "engine": {"version": "0.32.0", "arguments": ["--model", "/model"]},
        "model": {"maxLength": 8192},
        "failure": {"reason": "OutOfMemory", "message": "more than there is"},
    }
    assert parse(json.dumps(document).encode()) == Report(
        state="ready",
        max_sequences=256,
        kv_cache_tokens=123_456,
        max_model_length=8192,
        engine_version="0.32.0",
        engine_arguments=("--model", "/model"),
        failure=Failure("OutOfMemory", "more than there is"),
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"limits": None, "kvCache": [], "engine": "0.32", "model": {"maxLength": "8192"}, "failure": None, "state": 7},
        {"limits": {"maxSequences": True}, "kvCache": {"tokens": -1}, "engine": {"arguments": "--model"}, "failure": {"message": "no reason"}},
        {"somethingNew": {"in": "a later version"}},
    ],
)
def test_what_is_absent_or_ill_typed_is_unknown(document: object) -> None:
    assert parse(json.dumps(document).encode()) == Report()


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedReportError):
        parse(content)


def test_texts_are_bounded() -> None:
    report = parse(json.dumps({"state": "x" * 10_000, "engine": {"arguments": ["y" * 10_000] * 1000}}).encode())
    assert report.state is not None
    assert len(report.state) == 4096
    assert len(report.engine_arguments) == 512
    assert {len(argument) for argument in report.engine_arguments} == {4096}
