import json

import pytest

from llmfleet.scrape.report import MalformedReportError, Report, parse


def test_a_full_report() -> None:
    document = {
        "schemaVersion": 1,
        "state": "ready",
        "limits": {"maxSequences": 256},
        "kvCache": {"tokens": 123_456},
        "memory": {"weightsBytes": 1_000, "kvCacheBytes": 2_000, "graphsBytes": 30},
        "engine": {"version": "0.32.0", "arguments": ["--model", "/model"]},
        "model": {"maxLength": 8192},
        "failure": {"reason": "OutOfMemory", "message": "more than there is"},
    }
    assert parse(json.dumps(document).encode()) == Report(max_sequences=256, kv_tokens=123_456, weights_bytes=1_000, kv_cache_bytes=2_000)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"limits": None},
        {"limits": [256]},
        {"limits": {"maxSequences": True}},
        {"limits": {"maxSequences": -1}},
        {"limits": {"maxSequences": "256"}},
        {"kvCache": {"tokens": None}, "memory": {"weightsBytes": 0}},
        {"memory": 1},
        {"somethingNew": {"in": "a later version"}},
    ],
)
def test_what_is_absent_or_ill_typed_is_unknown(document: object) -> None:
    assert parse(json.dumps(document).encode()) == Report()


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedReportError):
        parse(content)
