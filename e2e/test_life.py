"""The life of one service on a real node with real vLLM, in the order in which it happens: each test goes on where the one before ended."""

import asyncio
import json
from typing import Any

import pytest

from e2e.fleet import Fleet, answers, example
from e2e.waiting import eventually

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("in_order")]

NAME = "queue"
MANIFEST = "pvc-autoscaling-queue.yaml"


def _apply(fleet: Fleet, namespace: str, *, max_length: int = 2000, down_after_seconds: int = 300, **autoscaling: object) -> None:
    scaling = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": down_after_seconds}}, **autoscaling}
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=example(MANIFEST, model={"maxLength": max_length}, autoscaling=scaling))


def _models(fleet: Fleet, namespace: str) -> list[dict[str, object]]:
    """What vLLM says of its models, asked inside the cluster by the URL that status gives: real DNS, real Service."""
    url = fleet.service(NAME, namespace)["status"]["endpoint"]["url"]
    pod = fleet.ready_engines(NAME, namespace)[0]["metadata"]["name"]
    program = f"import urllib.request as r; print(r.urlopen({url + '/models'!r}, timeout=20).read().decode())"
    return list(json.loads(fleet.kubectl.must("-n", namespace, "exec", pod, "-c", "engine", "--", "python3", "-c", program))["data"])


def _revision(fleet: Fleet, namespace: str) -> int:
    deployment = fleet.kubectl.get("deployment", f"{NAME}-engine", namespace)
    assert deployment is not None
    return int(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def _wanted(fleet: Fleet, namespace: str) -> int:
    deployment = fleet.kubectl.get("deployment", f"{NAME}-engine", namespace)
    assert deployment is not None
    return int(deployment["spec"]["replicas"])


async def test_applied_it_becomes_ready_and_answers(fleet: Fleet, namespace: str) -> None:
    _apply(fleet, namespace, max_length=1024)
    fleet.wait_ready(NAME, namespace)

    (answer,) = answers(fleet.chat(fleet.url(NAME, namespace), NAME, max_tokens=16), within_seconds=120)
    assert answer.complete, answer
    assert answer.tokens > 0
    status = fleet.service(NAME, namespace)["status"]
    assert status["endpoint"] == {"url": f"http://{NAME}.{namespace}.svc/v1", "models": [NAME]}
    assert [model["id"] for model in _models(fleet, namespace)] == [NAME]


async def test_a_changed_field_rolls_out_exactly_once_and_does_what_it_says(fleet: Fleet, namespace: str) -> None:
    before = _revision(fleet, namespace)
    _apply(fleet, namespace, max_length=2000)
    fleet.wait_ready(NAME, namespace)

    assert _revision(fleet, namespace) == before + 1
    assert [model["max_model_len"] for model in _models(fleet, namespace)] == [2000]


async def test_a_queue_brings_a_second_replica_and_it_answers_too(fleet: Fleet, namespace: str) -> None:
    url = fleet.url(NAME, namespace)
    load = fleet.chat(url, NAME, requests=2_000, concurrency=32, max_tokens=256)
    try:
        await eventually(lambda: _wanted(fleet, namespace) == 2, within_seconds=90, what="the HPA asks for a second replica")
        # The HPA may be there before the status is.
        decided = await eventually(lambda: _decision(fleet, namespace), within_seconds=30)
        assert "in flight / (8 slots + 4 queue) per replica" in decided["lastDecision"]["reason"]
    finally:
        # The window keeps the second replica; without the load it has a processor to start on.
        load.terminate()
        load.wait(30)
    await eventually(lambda: len(fleet.ready_engines(NAME, namespace)) == 2, within_seconds=240, what="the second replica answers")
    for pod in fleet.ready_engines(NAME, namespace):
        (answer,) = answers(fleet.chat(f"http://{pod['status']['podIP']}:8000/v1", NAME, max_tokens=4), within_seconds=120)
        assert answer.complete, answer


async def test_a_scale_down_loses_none_of_twenty_streams(fleet: Fleet, namespace: str) -> None:
    assert len(fleet.ready_engines(NAME, namespace)) == 2
    streams = fleet.chat(fleet.url(NAME, namespace), NAME, requests=20, concurrency=20, max_tokens=1900)
    try:
        await eventually(lambda: _in_flight(fleet, namespace) > 0, within_seconds=60, what="the streams run")
        # With a target of 100 one replica bears the twenty; the demand falls while they stream, and the HPA follows at once.
        _apply(fleet, namespace, down_after_seconds=0, queueDepth={"target": 100})

        await eventually(lambda: len(fleet.engines(NAME, namespace)) == 1, within_seconds=90, what="one replica is told to stop")
        assert streams.poll() is None, "the streams go on when a replica is told to stop"
        await eventually(lambda: _in_flight(fleet, namespace, stopping=True) > 0, within_seconds=60, what="the stopping replica still streams")
        found = await asyncio.to_thread(answers, streams, within_seconds=600)
    finally:
        streams.kill()
        streams.wait(30)
    assert [answer for answer in found if not (answer.complete and answer.tokens == 1900)] == []
    assert len(found) == 20


async def test_idle_again_one_replica_is_left_and_the_service_is_ready(fleet: Fleet, namespace: str) -> None:
    _apply(fleet, namespace, down_after_seconds=0)
    await eventually(lambda: _wanted(fleet, namespace) == 1, within_seconds=90)
    fleet.wait_ready(NAME, namespace)
    assert fleet.condition(NAME, namespace, "AutoscalingActive")["status"] == "True"
    assert fleet.service(NAME, namespace)["status"]["replicas"] == 1


async def test_deleted_it_leaves_nothing(fleet: Fleet, namespace: str) -> None:
    fleet.kubectl.must("-n", namespace, "delete", "llm", NAME, "--timeout=60s")

    def gone() -> bool:
        found = fleet.kubectl.must("-n", namespace, "get", "deployments,replicasets,pods,services,hpa,pdb,endpointslices", "-o", "name").split()
        accounts = [account["metadata"]["name"] for account in fleet.kubectl.items("serviceaccounts", namespace)]
        assert (found, accounts) == ([], ["default"])
        return True

    await eventually(gone, within_seconds=120)


def _decision(fleet: Fleet, namespace: str) -> dict[str, Any]:
    """The status of the scaler once it asks for two."""
    decision: dict[str, Any] = fleet.service(NAME, namespace)["status"]["autoscaling"]
    assert decision["demand"] == 2, decision
    return decision


def _in_flight(fleet: Fleet, namespace: str, *, stopping: bool = False) -> float:
    """Requests that run or wait in the engine pods that stay, or in those that stop, by the engines' own metrics.

    Two busy engines on a small machine take turns of seconds: one that has not read its requests yet counts none.
    """
    pods = fleet.kubectl.items("pods", namespace, "-l", f"llmfleet.dev/service={NAME},llmfleet.dev/role=engine")
    total = 0.0
    for pod in pods:
        if ("deletionTimestamp" in pod["metadata"]) == stopping:
            path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:8000/proxy/metrics/"
            text = fleet.kubectl("get", "--raw", f"{path}?name[]=vllm:num_requests_running&name[]=vllm:num_requests_waiting").stdout
            total += sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line and not line.startswith("#"))
    return total
