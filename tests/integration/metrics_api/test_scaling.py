"""From the engines' queues to the number of replicas: the operator's process, the real aggregator, the real HPA and the real Deployment controller."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from e2e.ports import free_port
from e2e.waiting import eventually, throughout
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from tests.integration.kubelet import Kubelet
from tests.integration.metrics_api.conftest import API_SERVICE, InstallApi
from tests.integration.metrics_api.nodes import Nodes, nodes
from tests.integration.operator_process import Operator, condition, service, status_of

SLOTS = 8
AUTOSCALING = {"minReplicas": 1, "maxReplicas": 4, "queueDepth": {"target": 4}, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
HPA_SYNC_SECONDS = 5


class Seen:
    """What the cluster shows of the service `one`."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def replicas(self, wanted: int, within_seconds: float = 3 * HPA_SYNC_SECONDS) -> None:
        async def look() -> None:
            assert await self._replicas() == wanted, await self.decision()

        await eventually(_true(look), within_seconds=within_seconds, what=f"{wanted} replicas")

    async def held(self, wanted: int, seconds: float = 1.2 * HPA_SYNC_SECONDS) -> None:
        async def look() -> None:
            assert await self._replicas() == wanted, await self.decision()

        await throughout(look, seconds=seconds)

    async def decision(self) -> tuple[int | None, str]:
        """Demand and its reason, as status shows them."""
        scaling = (await status_of(self._client, self._namespace, "one")).get("autoscaling", {})
        return scaling.get("demand"), scaling.get("lastDecision", {}).get("reason", "")

    async def decided(self, wanted: int, reason: str) -> None:
        async def look() -> None:
            assert await self.decision() == (wanted, reason)

        await eventually(_true(look), what=reason)

    async def scaling_active(self) -> tuple[str, str]:
        """The HPA's own condition: status and message."""
        autoscaler = await self._client.get(HORIZONTAL_POD_AUTOSCALER, self._namespace, "one-engine")
        assert autoscaler is not None
        found = condition(autoscaler.get("status", {}), "ScalingActive")
        return found["status"], found["message"]

    async def condition(self) -> dict[str, Any]:
        return condition(await status_of(self._client, self._namespace, "one"), "AutoscalingActive")

    async def _replicas(self) -> int:
        deployment = await self._client.get(DEPLOYMENT, self._namespace, "one-engine")
        assert deployment is not None
        return int(deployment["spec"]["replicas"])


@pytest.fixture
def seen(client: Client, namespace: str) -> Seen:
    return Seen(client, namespace)


@pytest.fixture
def operator(installed: Path, control_plane: ControlPlane, install_api: InstallApi, tmp_path: Path) -> Iterator[Operator]:
    port = free_port()
    settings = {"LLMFLEET_METRICS_API": "true", "LLMFLEET_TLS_PORT": str(port), "LLMFLEET_SCRAPE_INTERVAL_SECONDS": "1"}
    running = Operator(installed, control_plane.audit_log, tmp_path / "log", "scaling", settings)
    install_api(port)
    running.start()
    yield running
    running.end_cleanly()


@pytest.fixture
async def running(client: Client, namespace: str, kubelet: Kubelet) -> AsyncIterator[Nodes]:
    async with nodes(client, namespace, slots=SLOTS) as made:
        yield made


def _true(look: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[bool]]:
    """For `eventually`, a look that only asserts."""

    async def looked() -> bool:
        await look()
        return True

    return looked


async def test_replicas_follow_the_queue_and_are_held_while_it_is_unknown(
    operator: Operator, running: Nodes, seen: Seen, kubectl: Kubectl, namespace: str
) -> None:
    # It serves metrics whether it leads or not: in a session where another test's operator does, that one writes.
    await eventually(operator.is_ready, what="the operator is ready")
    kubectl.must("wait", "--for=condition=Available", f"apiservice/{API_SERVICE}", "--timeout=30s")
    kubectl.must("apply", "-f", "-", given=service("one", namespace, autoscaling=AUTOSCALING))

    async def hpa_says(words: str) -> None:
        async def look() -> None:
            status, message = await seen.scaling_active()
            assert status == "False"
            assert words in message

        await eventually(_true(look), within_seconds=30, what=words)

    async def run(wanted: int) -> None:
        async def look() -> bool:
            return await running.run_all() == wanted

        await eventually(look, what=f"{wanted} pods to run")

    # The only replica loads: nothing is known, which is not nothing to do.
    await hpa_says("no replica is ready: nothing is known about the load")
    await run(1)
    await seen.decided(1, f"0 in flight / ({SLOTS} slots + 4 queue) per replica = 0; at least 1 (minReplicas)")

    # The queue grows.
    [first] = running.engines.values()
    first.running, first.waiting, first.in_flight = SLOTS, 10, 28  # ten more are still being tokenised
    await seen.decided(3, f"28 in flight / ({SLOTS} slots + 4 queue) per replica = 3")
    await seen.replicas(3)

    # It grows on while the two others load: they were asked for, so no more are.
    first.waiting = 100
    await seen.held(3)
    assert (await seen.condition())["status"] == "True"

    # They answer, and it was not enough.
    await run(3)
    await seen.decided(4, f"108 in flight / ({SLOTS} slots + 4 queue) per replica = 9; at most 4 (maxReplicas)")
    await seen.replicas(4)

    await run(4)

    # All is done, as far as is known: one engine says nothing any more.
    silent, engine = next((pod, engine) for pod, engine in running.engines.items() if engine is not first)
    await engine.stop()
    first.running = first.waiting = first.in_flight = 0
    sentence = f"1 of 4 ready replicas did not answer for 15 s ({silent}): their load is unknown"
    await hpa_says(sentence)
    await seen.held(4)
    shown = await seen.condition()
    assert (shown["status"], shown["reason"]) == ("False", "NoMetric")
    assert sentence in shown["message"]

    # It answers again: nothing is to be done.
    await engine.start()
    await seen.replicas(1)
    await seen.decided(1, f"0 in flight / ({SLOTS} slots + 4 queue) per replica = 0; at least 1 (minReplicas)")
