"""Rollouts in the loop: what is said first and done then, and with how many writes."""

from typing import Any

import pytest

from llmfleet.kube.kinds import DEPLOYMENT, LLMSERVICE, POD
from llmfleet.reconcile.reconciler import SETTLE_SECONDS, Again
from llmfleet.reconcile.rollout import PATIENCE_SECONDS
from llmfleet.reconcile.stuck import LATEST_SECONDS
from tests.unit.reconcile.pods import NOW, pod
from tests.unit.reconcile.test_reconciler import BEGAN, KEY, SOURCE, WORKLOAD, House, house

__all__ = ["house"]

SERVICE = LLMSERVICE.path(*KEY)
BUDGET = "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/x-engine"
FAILED = {"reason": "KVCacheTooSmall", "message": "m", "remedy": "r", "state": "Starting"}


def sees(house: House, *pods: dict[str, Any], **status: Any) -> None:
    """Have these engine pods exist, and no others; the workload's controller has seen everything, and counts as `status` says."""
    assert NOW == BEGAN
    for known in list(house.store.objects(POD)):
        house.store.remove(POD, known)
    for number, one in enumerate(pods):
        one["metadata"]["resourceVersion"] = str(10_000 + house.api.revision * 100 + number)
        house.store.upsert(POD, {"apiVersion": "v1", "kind": "Pod", **one})
    generation = house.api.objects[WORKLOAD]["metadata"].get("generation", 1)
    house.store.upsert(DEPLOYMENT, house.api.changed(WORKLOAD, status={"observedGeneration": generation, **status}))


async def settled(house: House) -> Again | None:
    """Look until nothing is to be done at once; the writes of all looks stay."""
    writes: list[str] = []
    for _ in range(10):
        house.now += SETTLE_SECONDS
        again = await house.look()
        writes += house.api.writes
        if again is None or again.after_seconds > SETTLE_SECONDS:
            house.api.writes[:] = writes
            return again
    raise AssertionError(writes)


async def revision(house: House) -> str:
    """The revision that is applied now."""
    await settled(house)
    return str(house.api.objects[SERVICE]["status"]["rollout"]["revision"])


def rollout(house: House) -> dict[str, Any]:
    return dict(house.api.objects[SERVICE]["status"]["rollout"])


async def test_that_there_is_no_room_is_said_before_a_replica_is_taken_for_it(house: House) -> None:
    new = await revision(house)
    sees(house, pod("old", "old", ready=True), pod("a", new, no_room="0/1", since=NOW + house.now), replicas=2, updatedReplicas=1, readyReplicas=1)
    assert await settled(house) is not None
    assert house.api.writes == ["PATCH llmservices/x/status"]
    assert (rollout(house)["strategy"], rollout(house)["waitingFor"]) == ("Surge", "looking for room for one more replica: 0/1")

    house.now += PATIENCE_SECONDS
    assert await house.look() == Again(0.0, failed=False)
    assert house.api.writes == ["PATCH llmservices/x/status"]
    assert rollout(house)["strategy"] == "InPlace"
    await house.look()
    assert house.api.writes == ["PATCH deployments/x-engine"]
    assert house.api.bodies[0]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


async def test_a_quota_that_refuses_one_pod_after_the_other_is_told_once_and_with_what_to_do(house: House) -> None:
    await revision(house)

    def refused(name: str) -> None:
        words = f'pods "{name}" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=1, limited: 1'
        failure = {"type": "ReplicaFailure", "status": "True", "message": words}
        sees(house, pod("old", "old", ready=True), replicas=1, updatedReplicas=0, readyReplicas=1, conditions=[failure])

    refused("x-engine-5d7f-aaaaa")
    await settled(house)
    waiting = rollout(house)["waitingFor"]
    assert waiting.startswith("looking for room for one more replica: a pod is forbidden: exceeded quota: gpus, ")
    assert "; raise the ResourceQuota of the namespace" in waiting
    house.api.writes.clear()
    refused("x-engine-5d7f-bbbbb")
    await settled(house)
    assert house.api.writes == []


async def held(house: House) -> str:
    """A revision that failed three times beside one that serves."""
    new = await revision(house)
    sees(house, pod("old", "old", ready=True), pod("a", new, ended=FAILED, restarts=2), replicas=2, updatedReplicas=1, readyReplicas=1)
    await settled(house)
    return new


async def test_held_is_said_then_the_workload_is_paused_and_then_the_bad_pods_go(house: House) -> None:
    new = await held(house)
    assert house.api.writes[:2] == ["PATCH llmservices/x/status", "PATCH deployments/x-engine"]
    assert "PATCH replicasets/x-engine-new/scale" not in house.api.writes, "the controller has not said that it knows"
    assert house.api.objects[WORKLOAD]["spec"]["paused"] is True

    house.api.objects[f"/apis/apps/v1/namespaces/ns/replicasets/x-engine-{new}"] = {"spec": {}}
    sees(house, pod("old", "old", ready=True), pod("a", new, ended=FAILED, restarts=2), replicas=2, updatedReplicas=1, readyReplicas=1)
    await settled(house)
    await settled(house)
    assert f"PATCH replicasets/x-engine-{new}/scale" not in house.api.writes, "once is enough"
    sees(house, pod("old", "old", ready=True), replicas=1, updatedReplicas=0, readyReplicas=1)
    await settled(house)
    ready = next(item for item in house.api.objects[SERVICE]["status"]["conditions"] if item["type"] == "Ready")
    assert (ready["reason"], ready["message"].split("; ")[-1]) == ("Held", "1 of 1 replica of the revision before serves on")
    assert "waitingFor" not in rollout(house), "for nothing that comes by itself"


async def test_a_bad_replica_set_is_scaled_once(house: House) -> None:
    new = await held(house)
    house.api.objects[f"/apis/apps/v1/namespaces/ns/replicasets/x-engine-{new}"] = {"spec": {}}
    pods = (pod("old", "old", ready=True), pod("a", new, ended=FAILED, restarts=2))
    sees(house, *pods, replicas=2, updatedReplicas=1, readyReplicas=1)
    await house.look()
    assert f"PATCH replicasets/x-engine-{new}/scale" in house.api.writes
    house.now += SETTLE_SECONDS
    await house.look()
    assert f"PATCH replicasets/x-engine-{new}/scale" not in house.api.writes
    sees(house, *pods, pod("b", new, ended=FAILED, restarts=2), replicas=3, updatedReplicas=2, readyReplicas=1)
    await house.look()
    assert f"PATCH replicasets/x-engine-{new}/scale" in house.api.writes, "somebody scaled it up by hand"


async def test_a_replica_set_that_is_gone_is_no_problem(house: House) -> None:
    new = await held(house)
    house.api.refuse(f"replicasets/x-engine-{new}/scale", 404, "not found", reason="NotFound")
    sees(house, pod("old", "old", ready=True), pod("a", new, ended=FAILED, restarts=2), replicas=2, updatedReplicas=1, readyReplicas=1)
    again = await house.look()
    assert again is None or not again.failed


async def test_a_held_revision_that_is_alone_is_scaled_to_zero_and_not_up_again_while_the_next_one_is_held_back(house: House) -> None:
    new = await revision(house)
    sees(house, pod("a", new, ended=FAILED, restarts=2), replicas=1, updatedReplicas=1, readyReplicas=0)
    await settled(house)
    assert "PATCH deployments/x-engine/scale" in house.api.writes
    assert house.api.objects[WORKLOAD]["spec"]["replicas"] == 0
    status = house.api.objects[SERVICE]["status"]
    sees(house)
    await settled(house)
    assert house.api.objects[WORKLOAD]["spec"]["replicas"] == 0

    house.wants(status=status, model={"source": "pvc://models/other"})
    await house.look()
    assert house.api.writes[0].startswith("POST jobs/llmfleet-inspect-")
    assert house.api.objects[WORKLOAD]["spec"]["replicas"] == 0, "the workload is still that of the revision that was given up"
    house.wants(status=status, model={"source": SOURCE, "maxLength": 1024})
    await settled(house)
    writes = [write for write in house.api.writes if "deployments" in write]
    assert writes == ["PATCH deployments/x-engine", "PATCH deployments/x-engine/scale"]
    assert (house.api.objects[WORKLOAD]["spec"]["replicas"], house.api.objects[WORKLOAD]["spec"]["paused"]) == (1, False)


async def test_the_next_specification_unpauses_in_the_write_that_brings_it(house: House) -> None:
    await held(house)
    status = house.api.objects[SERVICE]["status"]
    house.wants(status=status, model={"source": SOURCE, "maxLength": 1024})
    await settled(house)
    assert house.api.writes.count("PATCH deployments/x-engine") == 1
    assert house.api.objects[WORKLOAD]["spec"]["paused"] is False
    assert "held" not in rollout(house)


async def test_a_refused_specification_keeps_the_rollout_as_it_was_said(house: House) -> None:
    await held(house)
    before = rollout(house)
    house.wants(status=house.api.objects[SERVICE]["status"], engine={"extraArgs": ["--port=1"]})
    await settled(house)
    assert rollout(house) == before


async def test_the_budget_follows_a_replica_that_is_lost_by_time_alone(house: House) -> None:
    house.wants(replicas=2)
    new = await revision(house)
    sees(house, pod("a", new, ready=True), pod("b", new, no_room="0/1", since=NOW + house.now), replicas=2, updatedReplicas=2, readyReplicas=1)
    again = await settled(house)
    assert again is not None
    assert again.after_seconds == pytest.approx(LATEST_SECONDS, abs=10)
    house.now += LATEST_SECONDS
    await settled(house)
    assert house.api.writes == ["PATCH poddisruptionbudgets/x-engine"]
    assert house.api.objects[BUDGET]["spec"]["maxUnavailable"] == 2
    sees(house, pod("a", new, ready=True), pod("b", new, ready=True), replicas=2, updatedReplicas=2, readyReplicas=2)
    await settled(house)
    assert house.api.writes == ["PATCH poddisruptionbudgets/x-engine", "PATCH llmservices/x/status"]
    assert house.api.objects[BUDGET]["spec"]["maxUnavailable"] == 1
    assert await settled(house) is None
    assert house.api.writes == []
