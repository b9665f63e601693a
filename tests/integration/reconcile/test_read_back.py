"""What the engines report comes into the status, and once it is there nothing is written: counted in the API server's audit log."""

import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.kubectl import Kubectl
from e2e.waiting import eventually, throughout
from llmfleet.kube.client import Client
from tests.integration.kubelet import Kubelet
from tests.integration.metrics_api.nodes import Engine, Nodes, nodes
from tests.integration.operator_process import Operator, condition, quiet, service, status_of

ADAPTERS = {"items": [{"name": "sql", "source": "pvc://models/sql"}, {"name": "fr", "source": "pvc://models/fr"}]}
TOOK = {"Preflight": 0.2, "Imports": 6.2, "Weights": 41.7}


def phases(took: dict[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "seconds": seconds} for name, seconds in took.items()]


def loaded(*names: str, state: str = "Loaded", message: str | None = None) -> list[dict[str, Any]]:
    return [{"name": name, "state": state, "message": message} for name in names]


REPORT = {
    "engine": {"version": "0.32.0+cpu", "arguments": ["vllm", "serve", "/models/tiny", "--middleware", "m"]},
    "phases": phases(TOOK),
    "adapters": loaded("sql", "fr"),
    "previousFailure": None,
}


@pytest.fixture
async def running(client: Client, namespace: str, kubelet: Kubelet) -> AsyncIterator[Nodes]:
    async with nodes(client, namespace, slots=8) as made:
        made.report = REPORT
        yield made


class Shown:
    """The status of the service `one`."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def status(self) -> dict[str, Any]:
        return await status_of(self._client, self._namespace, "one")

    async def adapters(self) -> dict[str, str]:
        return {adapter["name"]: adapter["state"] for adapter in (await self.status()).get("adapters", ())}

    async def reason(self, kind: str) -> str:
        found = {item["type"]: item["reason"] for item in (await self.status()).get("conditions", ())}
        return str(found.get(kind))


@pytest.fixture
def shown(client: Client, namespace: str) -> Shown:
    return Shown(client, namespace)


async def start(running: Nodes, shown: Shown, wanted: int) -> list[Engine]:
    """Let every replica run, and wait until status has what it reports."""

    async def all_run() -> bool:
        return await running.run_all() == wanted

    await eventually(all_run, what=f"{wanted} pods")

    async def read() -> None:
        status = await shown.status()
        assert status.get("readyReplicas") == wanted, status
        assert "startup" in status["engine"], status

    await eventually(_true(read), within_seconds=30, what="the reports are read")
    return list(running.engines.values())


def _true(look: Any) -> Any:
    async def looked() -> bool:
        await look()
        return True

    return looked


async def becomes(shown: Shown, kind: str, reason: str) -> None:
    async def look() -> None:
        assert await shown.reason(kind) == reason, await shown.status()

    await eventually(_true(look), within_seconds=30, what=f"{kind} {reason}")


async def test_what_the_engines_report_stands_in_the_status_and_an_idle_fleet_is_never_written(
    operator: Operator, running: Nodes, shown: Shown, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=2, adapters=ADAPTERS))
    engines = await start(running, shown, 2)
    await becomes(shown, "AdaptersReady", "AdaptersLoaded")
    before = await quiet(operator, namespace, seconds=12)
    status = await shown.status()
    assert status["engine"]["reportedVersion"] == "0.32.0+cpu"
    assert status["engine"]["arguments"] == ["/models/tiny", "--middleware", "m"]
    assert status["engine"]["startup"] == phases({"Preflight": 0, "Imports": 6, "Weights": 42})
    assert "lastFailure" not in status["engine"]
    assert condition(status, "Ready")["status"] == "True"

    # Load comes and goes, a start is a little slower, the words of no failure move: none of it is news.
    for number, engine in enumerate(engines):
        engine.running, engine.in_flight = 3 + number, 20
        engine.report = {**REPORT, "phases": phases({**TOOK, "Weights": 44.0 + number}), "requests": {"inFlight": number}}

    def nothing_new() -> None:
        assert operator.writes(namespace) == before

    await throughout(nothing_new, seconds=15)  # three scrapes

    operator.end(signal.SIGKILL)
    operator.identity = "second"
    operator.start()
    await operator.leading()
    assert await quiet(operator, namespace, seconds=12) == before


async def test_the_writes_of_a_start_and_of_a_rollout(operator: Operator, running: Nodes, shown: Shown, kubectl: Kubectl, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=2))
    await quiet(operator, namespace)
    before = operator.writes(namespace)
    await start(running, shown, 2)
    after = await quiet(operator, namespace, seconds=8)
    assert {str(write) for write in after[len(before) :]} == {"patch llmservices/status one 200"}
    assert len(after) - len(before) <= 3, "each replica that answers, and what they report"

    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=2, model={"source": "pvc://models/tiny", "maxLength": 1024}))

    async def done() -> bool:
        await running.run_all()
        status = await shown.status()
        return bool(status["observedGeneration"] == 2 and condition(status, "Ready")["status"] == "True")

    await eventually(done, within_seconds=60, what="the rollout")
    written = [str(write) for write in (await quiet(operator, namespace, seconds=8))[len(after) :]]
    assert set(written) == {"patch deployments one-engine 200", "patch llmservices/status one 200"}
    assert written.count("patch deployments one-engine 200") == 1
    assert len(written) <= 1 + 2 * 2, "the workload once; of each replica that it is there and that it answers"


async def test_an_adapter_that_fails_is_told_and_the_service_stays_ready(
    operator: Operator, running: Nodes, shown: Shown, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=1, adapters=ADAPTERS))
    [engine] = await start(running, shown, 1)
    await becomes(shown, "AdaptersReady", "AdaptersLoaded")

    # One more is listed: the kubelet brings the list, and the launcher begins.
    more = {"items": [*ADAPTERS["items"], {"name": "de", "source": "pvc://models/de"}]}
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=1, adapters=more))
    await becomes(shown, "AdaptersReady", "AdaptersLoading")
    engine.report = {**REPORT, "adapters": [*loaded("sql", "fr"), *loaded("de", state="Failed", message="its rank is 64: raise adapters.maxRank")]}
    await becomes(shown, "AdaptersReady", "AdapterFailed")
    status = await shown.status()
    assert condition(status, "AdaptersReady")["message"] == "de: its rank is 64: raise adapters.maxRank; the model and every other adapter answer"
    assert condition(status, "Ready")["status"] == "True"
    assert await shown.adapters() == {"de": "Failed", "fr": "Loaded", "sql": "Loaded"}
    assert status["endpoint"]["models"] == ["one", "sql", "fr", "de"]
    before = await quiet(operator, namespace, seconds=7)

    # And it is taken out again.
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=1, adapters=ADAPTERS))
    engine.report = REPORT
    await becomes(shown, "AdaptersReady", "AdaptersLoaded")
    after = await quiet(operator, namespace, seconds=7)
    written = [str(write) for write in after[len(before) :]]
    assert written.count("patch configmaps one-adapters 200") == 1
    assert not any("deployments" in write for write in written), "no pod is touched"
    assert await shown.adapters() == {"fr": "Loaded", "sql": "Loaded"}


HOSTILE: dict[str, dict[str, Any]] = {
    "huge": {"engine": {"version": "x" * 300_000}},
    "ill-typed": {"engine": ["0.32.0"], "phases": {"Imports": 3}, "adapters": [None, 7, {"name": []}], "previousFailure": 9, "state": {}},
    "unprintable": {"engine": {"version": "\x1b]0;owned\x07\ud800"}, "previousFailure": {"reason": "\u202e", "message": "\x00" * 5000}},
    "long": {"phases": [{"name": "P" * 5000, "seconds": 10**30}] * 500, "adapters": loaded(*(f"a{number}" for number in range(3000)))},
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_whatever_a_pod_reports_the_service_is_ready_and_not_written_for_ever(
    operator: Operator, running: Nodes, shown: Shown, kubectl: Kubectl, namespace: str, case: str
) -> None:
    running.report = HOSTILE[case]
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=1, adapters=ADAPTERS))

    async def run() -> bool:
        return await running.run_all() == 1

    await eventually(run, what="a pod")
    await becomes(shown, "Ready", "Serving")
    before = await quiet(operator, namespace, seconds=8)
    kubectl.must("-n", namespace, "label", "llm", "one", "looked=again")
    assert await quiet(operator, namespace, seconds=7) == before
    assert await shown.adapters() == {"fr": "Loading", "sql": "Loading"}
