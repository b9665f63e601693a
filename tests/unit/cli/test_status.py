"""llmfleet status: which fact has which kind of evidence; asked of a real API server in tests/integration/cli."""

import io
from typing import Any

import pytest
from rich.console import Console

from llmfleet.cli import status
from llmfleet.cli.status import Service, facts

RAW: dict[str, Any] = {
    "metadata": {"name": "qwen", "namespace": "chat", "generation": 3},
    "spec": {
        "model": {"source": "hf://a/b@main", "maxLength": "32k", "cache": {"claimName": "models"}},
        "parallelism": {"tensor": 2},
        "accelerator": {"profile": "nvidia-l4"},
        "autoscaling": {"maxReplicas": 4},
        "engine": {"version": "0.32.0", "startTimeout": "20m"},
        "adapters": {"items": [{"name": "sql", "source": "hf://a/sql"}, {"name": "new", "source": "hf://a/new"}]},
        "rollout": {"strategy": "Auto"},
    },
    "status": {
        "observedGeneration": 3,
        "replicas": 3,
        "readyReplicas": 2,
        "conditions": [{"type": "Ready", "status": "False", "reason": "Loading", "message": "2 of 3 replicas answering"}],
        "endpoint": {"url": "http://qwen.chat.svc/v1"},
        "model": {"facts": {"source": "hf://a/b@main", "revision": "abc123"}, "cache": {"claimName": "models", "path": "x", "complete": True}},
        "engine": {
            "version": "0.32.0",
            "image": "vllm/vllm-openai:v0.32.0",
            "arguments": ["a/b", "--port", "8000"],
            "reportedVersion": "0.32.0+cu129",
            "startup": [{"name": "Imports", "seconds": 6}, {"name": "Weights", "seconds": 42}],
            "lastFailure": {"reason": "OutOfMemory", "message": "no memory; use less", "state": "Warming", "pod": "qwen-engine-x"},
        },
        "rollout": {
            "revision": "0123456789",
            "strategy": "InPlace",
            "message": "no node has room for one more",
            "held": {"state": "Starting", "pod": "qwen-engine-y", "reason": "KVCacheTooSmall", "message": "0.25 GiB are needed; lower model.maxLength"},
        },
        "adapters": [{"name": "fr", "state": "Failed", "message": "its rank is 64"}, {"name": "sql", "state": "Loaded"}],
        "autoscaling": {"demand": 3},
        "plan": {
            "verdict": "Tight",
            "acceleratorsPerReplica": 2,
            "memory": {
                "weights": {"estimated": {"low": 2**33, "high": 2**33 + 2**30}, "measuredBytes": 2**33, "errorPercent": -6},
                "kvCache": {"estimated": {"low": 0, "high": 2**32}},
            },
            "kvTokens": {"estimated": {"low": 1000, "high": 2000}, "measured": 1500, "errorPercent": 0},
            "largestContext": {"low": 20000, "high": 32000},
        },
    },
}

POD = {
    "metadata": {"name": "qwen-engine-x", "namespace": "chat"},
    "spec": {"nodeName": "gpu-1"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"restartCount": 2}]},
}


def shown(raw: dict[str, Any], *pods: dict[str, Any]) -> dict[str, tuple[str | None, ...]]:
    return {fact.fact: (fact.declared, fact.computed, fact.reported, fact.observed) for fact in facts(Service(raw, pods))}


@pytest.mark.parametrize(
    ("fact", "evidence"),
    [
        ("generation", ("3", None, None, "3")),
        ("model", ("hf://a/b@main", None, None, "abc123")),
        ("replicas", ("1 to 4", "3", None, "2 of 3 answering")),
        ("accelerators per replica", ("tensor 2", "2", None, None)),
        ("weights", (None, "8.00 GiB to 9.00 GiB", "8.00 GiB (-6 %)", None)),
        ("KV cache", (None, "0.00 GiB to 4.00 GiB", None, None)),
        ("tokens in the KV cache", (None, "1,000 to 2,000", "1,500 (+0 %)", None)),
        ("context", ("32k", "20,000 to 32,000", None, None)),
        ("cache", ("models", None, None, "complete")),
        ("arguments", (None, "a/b --port 8000", None, None)),
        ("engine", ("0.32.0", "0.32.0", "0.32.0+cu129", None)),
        ("start", ("at most 20m", None, "Imports 6 s, Weights 42 s", None)),
        ("last failure", (None, None, None, "OutOfMemory (Warming, pod qwen-engine-x): no memory; use less")),
        (
            "rollout",
            (
                "Auto",
                "InPlace: no node has room for one more",
                None,
                "held: KVCacheTooSmall (Starting, pod qwen-engine-y): 0.25 GiB are needed; lower model.maxLength",
            ),
        ),
        ("adapter sql", ("hf://a/sql", None, "Loaded", None)),
        ("adapter fr", (None, None, "Failed: its rank is 64", None)),
        ("adapter new", ("hf://a/new", None, None, None)),
        ("fits", (None, "Tight", None, None)),
        ("Ready", (None, None, None, "False Loading: 2 of 3 replicas answering")),
        ("pod qwen-engine-x", (None, None, None, "Running, ready, restarted 2 times, on gpu-1")),
    ],
)
def test_each_fact_has_its_evidence(fact: str, evidence: tuple[str | None, ...]) -> None:
    assert shown(RAW, POD)[fact] == evidence


def test_what_a_rollout_waits_for_is_told() -> None:
    status = {**RAW["status"], "rollout": {"strategy": "Surge", "message": "one more first", "waitingFor": "1 of 3 replicas answering"}}
    assert shown({**RAW, "status": status})["rollout"] == ("Auto", "Surge: one more first", None, "waiting: 1 of 3 replicas answering")


def test_of_a_new_object_there_is_only_what_is_declared() -> None:
    new = {"metadata": {"name": "qwen", "namespace": "chat", "generation": 1}, "spec": {"model": {"source": "hf://a/b"}}}
    assert {evidence[1:] for evidence in shown(new).values()} == {(None, None, None)}
    assert shown(new)["replicas"][0] == "1 (default)"


@pytest.mark.parametrize(
    "damaged",
    [
        {"spec": None},
        {"status": {"plan": "none", "model": []}},
        {"spec": {"model": 7, "adapters": {"items": ["sql", 7]}}},
        {"status": {"engine": {"startup": "long", "lastFailure": 7}, "adapters": {"sql": 1}, "rollout": {"held": "yes"}}},
    ],
)
def test_what_somebody_may_have_stored_ends_nothing(damaged: dict[str, Any]) -> None:
    assert shown({**RAW, **damaged})


def printed(service: Service) -> str:
    out = io.StringIO()
    status.show(Console(file=out, width=200, markup=False, highlight=False), service)
    return out.getvalue()


def test_a_generation_that_was_not_looked_at_is_told() -> None:
    assert "has not looked" not in printed(Service(RAW))
    newer = {**RAW, "metadata": {**RAW["metadata"], "generation": 4}}
    assert "The operator has not looked at generation 4 yet: what is not declared is about 3." in printed(Service(newer))


def test_the_fleet_is_one_line_for_each() -> None:
    out = io.StringIO()
    status.show_fleet(Console(file=out, width=200, markup=False), [Service(RAW)])
    assert out.getvalue().splitlines()[1].split() == ["chat", "qwen", "False", "Loading", "2/3", "Tight", "0.32.0", "hf://a/b@main"]


def test_what_a_pod_said_is_shown_and_not_obeyed_by_the_terminal() -> None:
    condition = {"type": "Ready", "status": "False", "reason": "CrashLoop", "message": "\x1b]0;owned\x07 \x9b31m über"}
    raw = {**RAW, "status": {**RAW["status"], "conditions": [condition]}}
    console = Console(file=io.StringIO(), width=200)
    status.show(console, Service(raw))
    status.show_fleet(console, [Service(raw)])
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert r"\x1b]0;owned\x07 \x9b31m über" in printed
    assert "\x1b" not in printed
