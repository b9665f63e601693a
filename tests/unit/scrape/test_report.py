import json
import re
from pathlib import Path
from typing import Any

import pytest

from llmfleet.scrape.report import (
    MAX_ADAPTER_WORDS,
    MAX_ADAPTERS,
    MAX_ARGUMENT,
    MAX_ARGUMENTS,
    MAX_FAILURE_WORDS,
    MAX_PHASES,
    MAX_WORD,
    AdapterReport,
    AdapterState,
    FailureReport,
    MalformedReportError,
    Report,
    parse,
)


def read(document: object) -> Report:
    return parse(json.dumps(document).encode())


def test_a_full_report() -> None:
    document = {
        "schemaVersion": 1,
        "state": "Serving",
        "states": [{"name": "Starting", "seconds": 28.9}],
        "phases": [{"name": "Imports", "seconds": 6.2}, {"name": "Weights", "seconds": 41.7}],
        "limits": {"maxSequences": 256},
        "kvCache": {"tokens": 123_456},
        "memory": {"weightsBytes": 1_000, "kvCacheBytes": 2_000, "graphsBytes": 30},
        "engine": {"version": "0.32.0", "arguments": ["vllm", "serve", "/models/tiny", "--api-key", "***"]},
        "model": {"maxLength": 8192},
        "requests": {"running": 1, "waiting": 0, "inFlight": 2},
        "adapters": [{"name": "sql", "state": "Loaded", "message": None, "path": "/adapters/1"}, {"name": "fr", "state": "Failed", "message": "no rank"}],
        "failure": None,
        "previousFailure": {"reason": "OutOfMemory", "message": "more than there is", "remedy": "use less", "state": "Starting", "exitCode": 1},
    }
    assert read(document) == Report(
        max_sequences=256,
        kv_tokens=123_456,
        weights_bytes=1_000,
        kv_cache_bytes=2_000,
        version="0.32.0",
        arguments=("/models/tiny", "--api-key", "***"),
        startup=(("Imports", 6), ("Weights", 42)),
        adapters=(AdapterReport("fr", AdapterState.FAILED, "no rank"), AdapterReport("sql", AdapterState.LOADED, path="/adapters/1")),
        previous_failure=FailureReport("OutOfMemory", "more than there is", "use less", "Starting"),
    )


def test_the_documented_example_is_understood() -> None:
    """Both sides' tests read the same page: the runtime's that it writes so, this one that the operator reads it."""
    page = (Path(__file__).parents[3] / "docs/engine-pod.md").read_text()
    [example] = [block for block in re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL) if "schemaVersion" in block]
    report = parse(example.encode())
    assert report.version == "0.32.0"
    assert report.arguments is not None
    assert report.arguments[0] == "/models/tiny"
    assert report.startup is not None
    assert [name for name, _ in report.startup][:2] == ["Preflight", "Imports"]
    assert report.adapters is not None
    assert [(adapter.name, adapter.state, adapter.path is not None) for adapter in report.adapters] == [("fr", "Failed", True), ("sql", "Loaded", True)]
    assert report.previous_failure is not None
    assert all((report.previous_failure.message, report.previous_failure.remedy, report.previous_failure.state))


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
        {"engine": {"version": 32, "arguments": "vllm serve m"}},
        {"engine": {"version": " \x00 ", "arguments": ["python", "-m", "http.server"]}},
        {"engine": {"version": None, "arguments": ["vllm", "serve", 7]}},
        {"engine": {"arguments": ["vllm", "serve", *["--x"] * MAX_ARGUMENTS]}},
        {"state": "Serving", "phases": {"Imports": 3}},
        {"state": "Serving", "phases": []},
        {"state": ["Serving"], "phases": [{"name": "Imports", "seconds": 3}]},
        {"state": "Serving", "phases": ["Imports", {"name": "Imports"}, {"name": "", "seconds": 1}, {"name": 3, "seconds": 1}]},
        {"state": "Serving", "phases": [{"name": "Imports", "seconds": seconds} for seconds in (-1, True, "3", None, 10**400, float("inf"), float("nan"))]},
        {"adapters": {"sql": "Loaded"}},
        {"previousFailure": "OutOfMemory"},
        {"previousFailure": {"reason": None, "message": "m"}},
        {"previousFailure": {"reason": " "}},
    ],
)
def test_what_is_absent_or_ill_typed_is_unknown(document: object) -> None:
    assert read(document) == Report()


def test_an_adapter_of_another_shape_is_passed_over() -> None:
    adapters: list[Any] = ["sql", {"name": 1, "state": "Loaded"}, {"name": "x", "state": "Perhaps"}, {"name": "y", "state": ["Loaded"]}, {"state": "Loaded"}]
    assert read({"adapters": adapters}).adapters == ()
    assert read({"adapters": [*adapters, {"name": "sql", "state": "Loading", "message": 5, "path": 6}]}).adapters == (
        AdapterReport("sql", AdapterState.LOADING),
    )


@pytest.mark.parametrize("state", ["Preflight", "Starting", "Warming", "Stopped", "Failed"])
def test_a_start_that_is_not_over_has_no_figures(state: str) -> None:
    """Its phases grow at every look, and each would be a write."""
    assert read({"state": state, "phases": [{"name": "Imports", "seconds": 3}]}).startup is None


def test_sizes_are_bounded_whatever_a_pod_says() -> None:
    long = "x" * 100_000
    report = read(
        {
            "state": "Serving",
            "phases": [{"name": long, "seconds": 1}] * 100,
            "engine": {"version": long, "arguments": ["vllm", "serve", long]},
            "adapters": [{"name": f"{number}{long}", "state": "Failed", "message": long} for number in range(1000)],
            "previousFailure": {"reason": long, "message": long, "remedy": long, "state": long},
        }
    )
    assert report.version is not None
    assert report.arguments is not None
    assert report.startup is not None
    assert report.adapters is not None
    assert report.previous_failure is not None
    assert len(report.version) == MAX_WORD
    assert [len(argument) for argument in report.arguments] == [MAX_ARGUMENT]
    assert (len(report.startup), len(report.startup[0][0])) == (MAX_PHASES, MAX_WORD)
    assert len(report.adapters) == MAX_ADAPTERS
    assert {len(adapter.message) for adapter in report.adapters} == {MAX_ADAPTER_WORDS}
    assert (len(report.previous_failure.reason), len(report.previous_failure.message)) == (MAX_WORD, MAX_FAILURE_WORDS)


def test_texts_are_made_legible() -> None:
    report = read({"engine": {"version": "0.32\ud800\x1b[31m\n"}, "previousFailure": {"reason": "R", "message": "\u202eevil\x00 \x9b31m über"}})
    assert report.version == "0.32? [31m"
    assert report.previous_failure is not None
    assert report.previous_failure.message == "evil   31m über"


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b"\xff", b"[" * 100_000, b'{"adapters": ' + b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedReportError):
        parse(content)


@pytest.mark.parametrize("number", [2**53, 10**400])
def test_a_number_that_no_status_can_hold_is_none(number: int) -> None:
    report = read({"limits": {"maxSequences": number}, "kvCache": {"tokens": number}, "memory": {"weightsBytes": number, "kvCacheBytes": number}})
    assert report == Report()
    assert read({"kvCache": {"tokens": 2**53 - 1}}) == Report(kv_tokens=2**53 - 1)
