"""How a new specification comes to the replicas of a real node: with room and without, and when it is bad; each test goes on where the one before ended."""

import json
from typing import Any

import pytest

from e2e.cluster.images import VLLM_CPU
from e2e.fleet import Fleet
from e2e.waiting import eventually
from llmfleet import names
from llmfleet.api.accelerator import built_in_profiles

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("in_order")]

NAME = "rolled"
SLOT = "e2e.llmfleet.dev/slot"
"""A device that each replica takes one of: what makes room scarce."""
PROFILE = "slots"
BAD: dict[str, Any] = {"version": "0.99.0", "extraArgs": ["--no-such-flag"]}
"""Of a version without a catalogue nothing is known: that it is bad is only found by starting it."""


@pytest.fixture(scope="module")
def profile(fleet: Fleet) -> None:
    """Slots of one node; there may be others."""
    spec = {**built_in_profiles()["cpu"].to_wire(), "resourceName": SLOT, "nodeSelector": {"kubernetes.io/hostname": "node0"}}
    fleet.kubectl.must(
        "apply", "-f", "-", given={"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": PROFILE}, "spec": spec}
    )


def _apply(fleet: Fleet, namespace: str, *, name: str = NAME, max_sequences: int = 4, **engine: Any) -> None:
    spec = {
        "model": {"source": "pvc://models/tiny", "maxLength": 512},
        "accelerator": {"profile": PROFILE},
        "engine": {"image": VLLM_CPU, "enforceEager": True, "kvCacheMemory": "64Mi", "maxSequences": max_sequences, **engine},
    }
    manifest = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": {"name": name}, "spec": spec}
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=manifest)


def _rollout(fleet: Fleet, namespace: str, name: str = NAME) -> dict[str, Any]:
    return dict(fleet.service(name, namespace)["status"]["rollout"])


async def _replaced(fleet: Fleet, namespace: str) -> tuple[set[str], int]:
    """Wait until the replica is of the present revision and alone; return the strategies that the status named and the fewest that answered on the way."""
    (before,) = fleet.ready_engines(NAME, namespace)
    strategies: set[str] = set()
    fewest = 1

    def over() -> bool:
        nonlocal fewest
        rollout = _rollout(fleet, namespace)
        revision = before["metadata"]["labels"][names.LABEL_REVISION]
        if rollout["revision"] != revision and rollout["strategy"] not in strategies:
            strategies.add(rollout["strategy"])
            print(f"status.rollout: {json.dumps(rollout)}")
        ready = fleet.ready_engines(NAME, namespace)
        fewest = min(fewest, len(ready))
        uids = {pod["metadata"]["uid"] for pod in fleet.engines(NAME, namespace)}
        assert uids == {pod["metadata"]["uid"] for pod in ready}
        return len(uids) == 1 and before["metadata"]["uid"] not in uids

    await eventually(over, within_seconds=300, every_seconds=1)
    fleet.wait_ready(NAME, namespace)
    return strategies, fewest


@pytest.mark.usefixtures("profile")
async def test_where_there_is_room_the_new_replica_answers_before_the_old_one_goes(fleet: Fleet, namespace: str) -> None:
    fleet.cluster.add_accelerators(SLOT, 2)
    _apply(fleet, namespace)
    fleet.wait_ready(NAME, namespace)
    _apply(fleet, namespace, max_sequences=5)
    assert await _replaced(fleet, namespace) == ({"Surge"}, 1)


async def test_where_there_is_none_the_old_one_makes_room_and_the_status_says_why(fleet: Fleet, namespace: str) -> None:
    fleet.cluster.add_accelerators(SLOT, 1)
    _apply(fleet, namespace, max_sequences=6)
    strategies, fewest = await _replaced(fleet, namespace)
    assert strategies == {"Surge", "InPlace"}
    assert fewest == 0
    assert SLOT in _rollout(fleet, namespace)["message"]


async def test_a_quota_that_has_no_place_for_another_replica_is_no_room_either(fleet: Fleet, namespace: str) -> None:
    fleet.cluster.add_accelerators(SLOT, 2)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "exact"}, "spec": {"hard": {"pods": "1"}}}
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=quota)

    def counted() -> bool:
        found = fleet.kubectl.get("resourcequota", "exact", namespace)
        return found is not None and found.get("status", {}).get("used") == {"pods": "1"}

    try:
        await eventually(counted, what="the quota counts the replica")
        _apply(fleet, namespace, max_sequences=8)
        strategies, fewest = await _replaced(fleet, namespace)
        assert strategies == {"Surge", "InPlace"}
        assert fewest == 0
        assert "exact" in _rollout(fleet, namespace)["message"]
    finally:
        fleet.kubectl.must("-n", namespace, "delete", "resourcequota", "exact")


async def test_a_bad_specification_stops_at_its_first_pod_and_the_old_replica_serves_on(fleet: Fleet, namespace: str) -> None:
    fleet.cluster.add_accelerators(SLOT, 2)
    (before,) = fleet.ready_engines(NAME, namespace)
    _apply(fleet, namespace, **BAD)

    def told(reason: str) -> dict[str, Any]:
        assert [pod["metadata"]["uid"] for pod in fleet.ready_engines(NAME, namespace)] == [before["metadata"]["uid"]]
        ready = fleet.condition(NAME, namespace, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", reason), ready
        assert "--no-such-flag" in ready["message"], ready
        return ready

    print(f"Ready: {json.dumps(await eventually(lambda: told(names.Reason.DEGRADED), within_seconds=120))}")
    assert len(fleet.engines(NAME, namespace)) == 2
    assert fleet.condition(NAME, namespace, "Available")["status"] == "True"
    print(f"Ready: {json.dumps(await eventually(lambda: told(names.Reason.HELD), within_seconds=240, every_seconds=1))}")
    held = _rollout(fleet, namespace)["held"]
    assert held["paused"], held
    assert "--no-such-flag" in held["message"], held
    await eventually(lambda: len(fleet.engines(NAME, namespace)) == 1, what="nothing more is tried")


async def test_a_mended_specification_goes_on(fleet: Fleet, namespace: str) -> None:
    _apply(fleet, namespace, max_sequences=7)
    fleet.wait_ready(NAME, namespace)
    assert "held" not in _rollout(fleet, namespace)
    assert fleet.service(NAME, namespace)["status"]["replicas"] == 1


async def test_a_service_that_never_answered_is_given_up_after_three_failures(fleet: Fleet, namespace: str) -> None:
    _apply(fleet, namespace, name="never", **BAD)

    def held() -> dict[str, Any]:
        ready = fleet.condition("never", namespace, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", names.Reason.HELD), ready
        return ready

    print(f"Ready: {json.dumps(await eventually(held, within_seconds=240, every_seconds=1))}")
    await eventually(lambda: fleet.engines("never", namespace) == [], what="nothing more is tried")
    assert not _rollout(fleet, namespace, "never")["held"].get("paused", False)
    fleet.kubectl.must("-n", namespace, "delete", "llm", "never", "--cascade=foreground", "--timeout=60s")
