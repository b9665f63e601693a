"""What happens to a service while clients use it, and costs none of them an answer; and what does, and costs only what it must.

The load goes on from the first test to the last, over two nodes; each test adds one disruption, and waits until it is over and enough requests have met it.
On two processors it takes longer than the rest of this folder, as engines start under load: `make no-request-lost` runs it, `make e2e` does not.
"""

import asyncio
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.processes import Process
from e2e.fleet import RELEASE, REPOSITORY, SYSTEM, Fleet, answers, example, merged
from e2e.under_load import Load
from e2e.waiting import eventually
from llmfleet.kube.objects import is_ready

REQUESTS = int(os.environ.get("LLMFLEET_REQUESTS", "0"))
"""Over all disruptions that may cost nothing."""

pytestmark = [
    pytest.mark.skipif(not REQUESTS, reason="make no-request-lost runs it"),
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("in_order", "second_node"),
]

NAME = "fixed"
MODEL = "tiny"
DISRUPTIONS = 6
CLIENTS = 24
TOKENS = 5
PAUSE_SECONDS = 1.5
"""Between an answer and the client's next request: two processors also have to start engines."""
SERVICE: dict[str, Any] = {"engine": {"maxSequences": 16}}
OVER_SECONDS = 600
SELDOM_SECONDS = 2
"""Between two looks at the cluster, which cost the processors of the engines."""


@pytest.fixture(scope="module")
def load(fleet: Fleet, namespace: str, second_node: str, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Two replicas, one on each node, and the load on them."""
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=example("pvc-replicas.yaml", **SERVICE))
    fleet.wait_ready(NAME, namespace, seconds=OVER_SECONDS)
    url = fleet.url(NAME, namespace)
    with Load(fleet, url, MODEL, clients=CLIENTS, max_tokens=TOKENS, pause_seconds=PAUSE_SECONDS) as running:
        yield running
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{running.table()}")


async def _costs_nothing(load: Load, name: str, disrupt: Callable[[], object], over: Callable[[], object]) -> None:
    with load.during(name) as phase:
        await asyncio.to_thread(disrupt)
        await eventually(over, within_seconds=OVER_SECONDS, what=f"{name}: it is over", every_seconds=SELDOM_SECONDS)
        await load.met(phase, math.ceil(REQUESTS / DISRUPTIONS))
    await load.settled(phase)
    assert load.lost(phase) == []


def _replicas_are(fleet: Fleet, namespace: str, number: int, *, without: frozenset[str] = frozenset()) -> bool:
    """So many replicas answer, none of these is among them, and no other is left."""
    pods = fleet.kubectl.items("pods", namespace, "-l", f"llmfleet.dev/service={NAME},llmfleet.dev/role=engine")
    ready = [pod for pod in pods if is_ready(pod)]
    assert (len(pods), len(ready)) == (number, number), [(pod["metadata"]["name"], pod["status"]["phase"]) for pod in pods]
    return without.isdisjoint(_uids(pods))


def _uids(pods: list[dict[str, Any]]) -> frozenset[str]:
    return frozenset(pod["metadata"]["uid"] for pod in pods)


async def test_a_rolling_update(fleet: Fleet, namespace: str, load: Load) -> None:
    before = _uids(fleet.engines(NAME, namespace))
    manifest = example("pvc-replicas.yaml", **merged(SERVICE, {"engine": {"maxSequences": 12}}))
    await _costs_nothing(
        load, "rolling update",
        lambda: fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=manifest),
        lambda: _replicas_are(fleet, namespace, 2, without=before),
    )  # fmt: skip


async def test_a_deleted_pod(fleet: Fleet, namespace: str, load: Load) -> None:
    pod = fleet.ready_engines(NAME, namespace)[0]
    await _costs_nothing(
        load, "pod deleted",
        lambda: fleet.kubectl.must("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--wait=false"),
        lambda: _replicas_are(fleet, namespace, 2, without=_uids([pod])),
    )  # fmt: skip


async def test_a_drained_node(fleet: Fleet, namespace: str, load: Load) -> None:
    nodes = {pod["spec"]["nodeName"]: pod for pod in fleet.ready_engines(NAME, namespace)}
    node = max(nodes)  # node1 where a replica is there: the clients reach the Service by node0
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={OVER_SECONDS}s")

    def moved() -> bool:
        return _replicas_are(fleet, namespace, 2) and all(pod["spec"]["nodeName"] != node for pod in fleet.engines(NAME, namespace))

    try:
        await _costs_nothing(load, f"kubectl drain {node}", lambda: fleet.kubectl.must(*drain), moved)
    finally:
        fleet.kubectl.must("uncordon", node)


async def test_a_killed_operator(fleet: Fleet, load: Load) -> None:
    pods = _operators(fleet)
    processes = [process for pod in pods for process in _processes(fleet, pod, pod["spec"]["containers"][0]["name"])]
    assert len(processes) >= len(pods) == 2

    def back() -> bool:
        restarts = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0] for pod in _operators(fleet)}
        assert restarts.keys() == _uids(pods)
        return all(container["restartCount"] > 0 and container["ready"] for container in restarts.values())

    await _costs_nothing(load, "operator killed (SIGKILL)", lambda: _kill(*processes), back)


async def test_an_upgraded_operator(fleet: Fleet, load: Load) -> None:
    before = _uids(_operators(fleet))
    chart = str(REPOSITORY / "charts" / "llmfleet")
    upgrade = (
        "upgrade",
        RELEASE,
        chart,
        "--namespace",
        SYSTEM,
        "--reuse-values",
        "--set",
        "operator.resyncSeconds=299",
        "--wait",
        f"--timeout={OVER_SECONDS}s",
    )
    await _costs_nothing(load, "operator upgraded by Helm", lambda: fleet.helm(*upgrade), lambda: before.isdisjoint(_uids(_operators(fleet))))


async def test_a_killed_engine_costs_only_what_it_was_working_on(fleet: Fleet, namespace: str, load: Load) -> None:
    victim = fleet.ready_engines(NAME, namespace)[0]
    (core,) = [process for process in _processes(fleet, victim, "engine") if _title(process).startswith("VLLM::EngineCore")]

    def back() -> bool:
        ready = {pod["metadata"]["uid"]: pod for pod in fleet.ready_engines(NAME, namespace)}
        assert victim["metadata"]["uid"] in ready
        (container,) = [status for status in ready[victim["metadata"]["uid"]]["status"]["containerStatuses"] if status["name"] == "engine"]
        return bool(container["restartCount"] > 0) and _replicas_are(fleet, namespace, 2)

    with load.during("engine killed (SIGKILL)", harmless=False) as phase:
        await load.met(phase, CLIENTS)
        killed = time.time()
        _kill(core)
        await eventually(back, within_seconds=OVER_SECONDS, every_seconds=SELDOM_SECONDS)
        await load.met(phase, math.ceil(REQUESTS / DISRUPTIONS))
    await load.settled(phase)

    lost = load.lost(phase)
    assert {answer.pod for answer in lost if answer.pod} <= {victim["status"]["podIP"]}
    # No answer looks whole and is not: each tells its client that it may ask again.
    assert [answer for answer in lost if answer.error is None] == []
    assert [answer for answer in lost if answer.ended < killed] == []
    assert len(lost) <= CLIENTS, "no client lost more than the one request that it had"
    pod = f"http://{victim['status']['podIP']}:8000/v1"
    (answer,) = await asyncio.to_thread(answers, fleet.chat(pod, MODEL, max_tokens=TOKENS), within_seconds=60)
    assert answer.complete, answer


async def test_a_scale_down(fleet: Fleet, namespace: str, load: Load) -> None:
    await _costs_nothing(
        load, "scale 2 -> 1",
        lambda: fleet.kubectl.must("-n", namespace, "scale", f"llm/{NAME}", "--replicas=1"),
        lambda: _replicas_are(fleet, namespace, 1),
    )  # fmt: skip


def _operators(fleet: Fleet) -> list[dict[str, Any]]:
    """The operator's pods that are there to stay."""
    pods = fleet.kubectl.items("pods", SYSTEM, "-l", "app.kubernetes.io/name=llmfleet")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _processes(fleet: Fleet, pod: dict[str, Any], container: str) -> list[Process]:
    (status,) = [status for status in pod["status"]["containerStatuses"] if status["name"] == container]
    return list(fleet.cluster.processes_of(status["containerID"]))


def _title(process: Process) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text()


def _kill(*processes: Process) -> None:
    """As the kernel does when memory runs out."""
    for process in processes:
        if process.alive:
            os.kill(process.pid, signal.SIGKILL)
