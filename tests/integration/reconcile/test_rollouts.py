"""Rollouts that nobody watches: the operator on a real API server with its Deployment, HPA and disruption controllers; scheduler and kubelet are played."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from e2e.waiting import eventually, throughout
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, POD
from llmfleet.kube.objects import Object
from tests.integration.engines import NO_ROOM, Engines, Fails, Fate, revision_of
from tests.integration.kubelet import at_work
from tests.integration.operator_process import Operator, condition, quiet, service, status_of

OUT_OF_MEMORY = {"reason": "KVCacheTooSmall", "message": "(1024) needs 0.25 GiB", "remedy": "lower model.maxLength to 384", "state": "Starting", "exitCode": 1}
SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
IN_PLACE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


@pytest.fixture
async def engines(client: Client, session: aiohttp.ClientSession, control_plane: ControlPlane, namespace: str) -> AsyncIterator[Engines]:
    async with at_work(Engines(client, session, control_plane.server, namespace)) as running:
        yield running


def wanted(namespace: str, length: int, **spec: Any) -> dict[str, Any]:
    """A service; another length is another revision."""
    return service("one", namespace, **{"model": {"source": "pvc://models/tiny", "maxLength": length}, **spec})


async def deployment(client: Client, namespace: str) -> Object:
    found = await client.get(DEPLOYMENT, namespace, "one-engine")
    assert found is not None
    return found


async def ready(client: Client, namespace: str, generation: int | None = None, reason: str = "Serving") -> dict[str, Any]:
    """The status, once Ready has that reason."""

    async def reached() -> dict[str, Any] | None:
        status = await status_of(client, namespace, "one")
        told = condition(status, "Ready")
        assert told["reason"] == reason, told
        return status if generation is None or status["observedGeneration"] == generation else None

    found: dict[str, Any] = await eventually(reached, within_seconds=60, what=f"Ready is {reason}")
    return found


async def serving(kubectl: Kubectl, client: Client, namespace: str, **spec: Any) -> str:
    """Have a first revision serve; return it."""
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 1024, **spec))
    status = await ready(client, namespace)
    return str(status["rollout"]["revision"])


def failing_but(revision: str) -> Any:
    """Every other revision fails."""

    def fate(pod: Object) -> Fate:
        return "answers" if revision_of(pod) == revision else Fails(OUT_OF_MEMORY)

    return fate


def told(writes: list[Any], before: list[Any]) -> list[str]:
    return [str(write) for write in writes[len(before) :]]


async def test_with_room_a_replica_is_added_before_one_goes(operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str) -> None:
    first = await serving(kubectl, client, namespace)
    before = await quiet(operator, namespace)
    assert (await deployment(client, namespace))["spec"]["strategy"] == SURGE
    engines.least_ready = 1000
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048))
    status = await ready(client, namespace, generation=2)

    assert engines.least_ready == 1
    assert status["rollout"]["revision"] != first
    assert (status["rollout"]["strategy"], status["rollout"]["served"]) == ("Surge", True)
    assert "waitingFor" not in status["rollout"]
    writes = told(await quiet(operator, namespace), before)
    assert writes.count("patch deployments one-engine 200") == 1
    assert set(writes) == {"patch deployments one-engine 200", "patch llmservices/status one 200"}
    assert len(writes) <= 4, writes


async def test_without_room_the_only_replica_makes_it_and_the_next_revision_tries_again(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room = 1
    await serving(kubectl, client, namespace)
    before = await quiet(operator, namespace)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048))
    status = await ready(client, namespace, generation=2)

    message = f"no room for one more replica: {NO_ROOM}; replaced one at a time; with one replica nothing answers meanwhile"
    assert (status["rollout"]["strategy"], status["rollout"]["message"]) == ("InPlace", message)
    assert (await deployment(client, namespace))["spec"]["strategy"] == IN_PLACE
    writes = told(await quiet(operator, namespace), before)
    assert writes.count("patch deployments one-engine 200") == 2, "the template, and how it is rolled out"
    assert set(writes) == {"patch deployments one-engine 200", "patch llmservices/status one 200"}
    assert len(writes) <= 7, writes

    engines.room = 2
    before = await quiet(operator, namespace)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 4096))
    status = await ready(client, namespace, generation=3)
    assert status["rollout"]["strategy"] == "Surge"
    assert told(await quiet(operator, namespace), before).count("patch deployments one-engine 200") == 1, "strategy and template in one write"


async def test_a_quota_without_room_for_one_more_is_no_room(operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str) -> None:
    await serving(kubectl, client, namespace)
    pods = len(kubectl.items("pods", namespace))
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "exact", "namespace": namespace}, "spec": {"hard": {"pods": str(pods)}}}
    kubectl.must("apply", "-f", "-", given=quota)
    await eventually(lambda: kubectl.must("-n", namespace, "get", "resourcequota", "exact", "-o", "jsonpath={.status.used.pods}") == str(pods))
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048))

    async def said() -> bool:
        told = condition(await status_of(client, namespace, "one"), "Ready")
        assert told["reason"] == "RollingOut", told
        return bool(told["message"].startswith("looking for room for one more replica: ") and "exceeded quota: exact" in told["message"])

    await eventually(said)
    status = await ready(client, namespace, generation=2)
    assert status["rollout"]["strategy"] == "InPlace"
    assert "exceeded quota: exact" in status["rollout"]["message"]


async def test_a_replica_that_finishes_its_requests_is_waited_for_and_named(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room = 1
    await serving(kubectl, client, namespace)
    [old] = [pod["metadata"]["name"] for pod in engines.ready]
    engines.lets_go = False
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048))

    async def waits() -> bool:
        status = await status_of(client, namespace, "one")
        message = condition(status, "Ready")["message"]
        assert message.startswith(f"waiting until {old} has answered the requests in hand, at the latest 20"), message
        assert condition(status, "Reconciling")["status"] == "True"
        return bool(status["rollout"]["waitingFor"] == message)

    await eventually(waits)
    before = await quiet(operator, namespace, seconds=3)
    await throughout(lambda: operator.writes(namespace) == before or pytest.fail("it holds still"), seconds=3)
    engines.lets_go = True
    await ready(client, namespace, generation=2)


async def test_more_wanted_than_there_is_room_for_rolls_out_all_the_same(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room = 2
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 1024, replicas=4))
    await eventually(lambda: len(engines.ready) == 2)
    first = revision_of(engines.ready[0])
    engines.least_ready = 1000
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=4))
    await eventually(lambda: len(engines.ready) == 2 and all(revision_of(pod) != first for pod in engines.ready), within_seconds=60)
    assert engines.least_ready >= 1
    status = await ready(client, namespace, reason="Unschedulable")
    assert (status["rollout"]["strategy"], status["rollout"]["withoutRoom"]) == ("InPlace", 2)
    engines.room = 4
    status = await ready(client, namespace)
    assert "withoutRoom" not in status["rollout"] or status["rollout"]["withoutRoom"] == 0


@pytest.mark.parametrize(("replicas", "room"), [(1, 1), (2, 2), (3, 2), (1, 3)])
async def test_scaling_while_the_new_replica_waits_for_room(
    replicas: int, room: int, operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room, engines.waiting_since_seconds = 2, 0
    first = await serving(kubectl, client, namespace, replicas=2)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=2))
    await eventually(lambda: len(engines.pods) == 3, what="one more looks for room")
    engines.waiting_since_seconds = 300
    kubectl.must("-n", namespace, "scale", "llm/one", f"--replicas={replicas}")
    await eventually(lambda: len(engines.pods) != 3 or replicas == 2)
    # The pod that waits has waited long enough now.
    for pod in engines.pods:
        if "nodeName" not in pod["spec"]:
            kubectl("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--wait=false")
    engines.room = room
    await eventually(lambda: bool(engines.ready) and all(revision_of(pod) != first for pod in engines.ready), within_seconds=60)
    if replicas <= room:
        await ready(client, namespace)


async def test_a_bad_revision_stops_at_its_first_pod_and_is_held(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    good = await serving(kubectl, client, namespace, replicas=2)
    engines.fate = lambda pod: "answers" if revision_of(pod) == good else Fails(OUT_OF_MEMORY, times=1)
    engines.least_ready = 1000
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=2))
    status = await ready(client, namespace, reason="Degraded")
    message = condition(status, "Ready")["message"]
    assert message.startswith("container engine: KVCacheTooSmall: (1024) needs 0.25 GiB"), message
    assert message.endswith("; 2 of 2 replicas of the revision before serve on")
    assert condition(status, "Available")["status"] == "True"
    before = await quiet(operator, namespace)

    engines.fate = failing_but(good)
    status = await ready(client, namespace, reason="Held")
    held = status["rollout"]["held"]
    assert (held["state"], held["reason"], held["paused"]) == ("Starting", "KVCacheTooSmall", True)
    message = condition(status, "Ready")["message"]
    assert held["pod"] in message
    assert "lower model.maxLength to 384" in message
    assert message.endswith("nothing more is tried until the specification changes; 2 of 2 replicas of the revision before serve on")
    assert (condition(status, "Stalled")["status"], condition(status, "Available")["status"]) == ("True", "True")

    async def alone() -> bool:
        assert (await deployment(client, namespace))["spec"].get("paused") is True
        return {revision_of(pod) for pod in engines.pods} == {good}

    await eventually(alone, what="nothing of the bad revision is left")
    writes = told(await quiet(operator, namespace), before)
    [replica_set] = [write for write in writes if "replicasets" in write]
    assert replica_set.startswith("patch replicasets/scale one-engine-")
    assert writes.count("patch deployments one-engine 200") == 1
    assert engines.least_ready == 2

    # What the operator knows is in the status; a user's other edits are carried out.
    operator.end(signal.SIGKILL)
    operator.start()
    await operator.leading()
    before = await quiet(operator, namespace)
    assert told(before, before) == []
    kubectl.must("-n", namespace, "scale", "llm/one", "--replicas=3")
    await eventually(lambda: len(engines.ready) == 3 and {revision_of(pod) for pod in engines.pods} == {good})
    kubectl.must("-n", namespace, "delete", "pod", "--wait=false", engines.ready[0]["metadata"]["name"])
    await eventually(lambda: len(engines.ready) == 3)
    assert condition(await status_of(client, namespace, "one"), "Ready")["reason"] == "Held"

    engines.fate = lambda _: "answers"
    before = await quiet(operator, namespace)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 4096, replicas=3))
    status = await ready(client, namespace)
    assert "held" not in status["rollout"]
    assert told(await quiet(operator, namespace), before).count("patch deployments one-engine 200") == 1, "unpaused with the new template"


async def test_in_place_a_bad_revision_takes_one_replica_and_the_old_ones_come_back_in_full(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room = 2
    good = await serving(kubectl, client, namespace, replicas=2)
    engines.fate = failing_but(good)
    engines.least_ready = 1000
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=2))
    status = await ready(client, namespace, reason="Held")
    assert status["rollout"]["strategy"] == "InPlace"
    await eventually(lambda: [revision_of(pod) for pod in engines.ready] == [good, good])
    assert engines.least_ready == 1

    # Back to what served: nothing is started anew.
    names_before = {pod["metadata"]["name"] for pod in engines.ready}
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 1024, replicas=2))
    await ready(client, namespace)
    assert {pod["metadata"]["name"] for pod in engines.ready} == names_before


async def test_a_first_revision_that_fails_three_times_takes_no_accelerator_any_more(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.fate = lambda _: Fails(OUT_OF_MEMORY)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 1024, replicas=2))
    status = await ready(client, namespace, reason="Held")
    assert "paused" not in status["rollout"]["held"] or status["rollout"]["held"]["paused"] is False
    assert "the workload is scaled to 0" in condition(status, "Ready")["message"]
    await eventually(lambda: not engines.pods)
    before = await quiet(operator, namespace)
    operator.end(signal.SIGKILL)
    operator.start()
    await operator.leading()
    assert told(await quiet(operator, namespace), before) == []

    # To try once more without another change.
    engines.fate = lambda _: "answers"
    again = {"metadata": {"annotations": {"tried-again": "1"}}}
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 1024, replicas=2, template=again))
    await ready(client, namespace)
    writes = told(await quiet(operator, namespace), before)
    assert [write for write in writes if "status" not in write] == ["patch deployments one-engine 200", "patch deployments/scale one-engine 200"]


async def test_held_under_autoscaling_stands_still_at_zero_and_begins_again(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.fate = lambda _: Fails(OUT_OF_MEMORY)
    scaled = {"autoscaling": {"minReplicas": 2, "maxReplicas": 3}}
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 1024, **scaled))
    await ready(client, namespace, reason="Held")
    await eventually(lambda: not engines.pods)
    before = [write for write in await quiet(operator, namespace, seconds=7) if write.resource != "llmservices/status"]
    assert (await deployment(client, namespace))["spec"]["replicas"] == 0
    engines.fate = lambda _: "answers"
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, **scaled))
    await ready(client, namespace)
    assert len(engines.ready) >= 1
    after = [write for write in await quiet(operator, namespace, seconds=7) if write.resource != "llmservices/status"]
    assert told(after, before) == ["patch deployments one-engine 200", "patch deployments/scale one-engine 200"]


async def test_a_revision_that_has_served_is_never_held(operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str) -> None:
    await serving(kubectl, client, namespace)
    engines.fate = lambda _: Fails({**OUT_OF_MEMORY, "state": "Serving"}, times=4)
    status = await ready(client, namespace, reason="CrashLoop")
    await quiet(operator, namespace)
    status = await status_of(client, namespace, "one")
    assert "held" not in status["rollout"]
    assert condition(status, "Stalled")["status"] == "True"


async def test_recreate_ends_all_before_the_first_starts(operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str) -> None:
    await serving(kubectl, client, namespace, replicas=2)
    engines.lets_go, engines.least_ready = False, 1000
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=2, rollout={"strategy": "Recreate"}))

    async def waits() -> bool:
        return str(condition(await status_of(client, namespace, "one"), "Ready")["message"]).startswith("waiting until one-engine-")

    await eventually(waits)
    assert (await deployment(client, namespace))["spec"]["strategy"] == {"type": "Recreate"}
    engines.lets_go = True
    await ready(client, namespace, generation=2)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=2))
    await ready(client, namespace, generation=3)
    assert (await deployment(client, namespace))["spec"]["strategy"] == SURGE


async def test_a_service_that_is_deleted_in_the_middle_of_a_rollout_leaves_nothing(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room, engines.waiting_since_seconds = 1, 0
    await serving(kubectl, client, namespace)
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048))
    await eventually(lambda: len(engines.pods) == 2)
    await asyncio.to_thread(kubectl.must, "-n", namespace, "delete", "llm", "one", "--cascade=foreground", "--timeout=60s")
    assert await client.list(POD, namespace=namespace) == []


async def test_an_operator_that_is_killed_in_the_middle_goes_on_where_it_was(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    engines.room = 2
    first = await serving(kubectl, client, namespace, replicas=2)
    before = await quiet(operator, namespace)
    engines.fate = lambda pod: "answers" if revision_of(pod) == first else "loads"
    kubectl.must("apply", "-f", "-", given=wanted(namespace, 2048, replicas=2))
    await eventually(lambda: sum(revision_of(pod) != first and "nodeName" in pod["spec"] for pod in engines.pods) == 1, what="the first one is replaced")
    in_the_middle = await quiet(operator, namespace)
    operator.end(signal.SIGKILL)
    operator.start()
    await operator.leading()
    assert await quiet(operator, namespace) == in_the_middle
    engines.fate = lambda _: "answers"
    await ready(client, namespace, generation=2)
    assert told(await quiet(operator, namespace), before).count("patch deployments one-engine 200") == 2


async def _evict(client: Client, session: aiohttp.ClientSession, server: str, pod: Object) -> int:
    path = POD.path(pod["metadata"]["namespace"], pod["metadata"]["name"])
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}}
    async with session.post(f"{server}{path}/eviction", json=body) as answer:
        return answer.status


async def test_a_drain_is_not_refused_for_ever_because_of_a_replica_that_will_not_answer(
    operator: Operator, engines: Engines, kubectl: Kubectl, client: Client, session: aiohttp.ClientSession, control_plane: ControlPlane, namespace: str
) -> None:
    await serving(kubectl, client, namespace, replicas=2)
    bad = engines.ready[0]["metadata"]["name"]
    engines.fate = lambda pod: "loads" if pod["metadata"]["name"] == bad else "answers"
    await eventually(lambda: len(engines.ready) == 1)
    [good] = engines.ready
    evict = partial(_evict, client, session, control_plane.server)

    async def refused() -> bool:
        budget = kubectl.get("pdb", "one-engine", namespace)
        return budget is not None and budget["status"]["disruptionsAllowed"] == 0

    await eventually(refused)
    assert await evict(good) == 429, "it loads: the other one stays until it answers"

    engines.fate = lambda pod: Fails({**OUT_OF_MEMORY, "state": "Serving"}) if pod["metadata"]["name"] == bad else "answers"

    async def allowed() -> bool:
        return await evict(good) == 201

    await eventually(allowed, what="nobody waits for one that will not answer")
    engines.fate = lambda _: "answers"
    await ready(client, namespace)
    # The workload may be complete a moment before the operator hears of its last pod.
    await eventually(lambda: kubectl.must("-n", namespace, "get", "pdb", "one-engine", "-o", "jsonpath={.spec.maxUnavailable}") == "1")
