"""For which replicas the drain of a node does not wait."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.reconcile.engine_pods import engine_pods
from llmfleet.reconcile.stuck import LATEST_SECONDS, Stuck, stuck
from tests.unit.reconcile.pods import NOW, pod

FAILED = {"reason": "X", "message": "m"}
LATE = NOW - LATEST_SECONDS - 1


def found(pods: list[dict[str, Any]], wanted: int, *, refused: bool = False, start: float = 60, now: float = NOW) -> Stuck:
    return stuck(engine_pods(pods), wanted, refused=refused, start_seconds=start, now_seconds=now)


GOOD = pod("good", ready=True)


@pytest.mark.parametrize(
    ("case", "pods", "wanted", "replicas"),
    [
        ("all answer", [GOOD, pod("b", ready=True)], 2, 0),
        ("one loads", [GOOD, pod("b")], 2, 0),
        ("one loads for long", [GOOD, pod("b", since=LATE)], 2, 1),
        ("one crashes", [GOOD, pod("b", ended=FAILED, restarts=2)], 2, 1),
        ("one crashed once", [GOOD, pod("b", ended=FAILED)], 2, 0),
        ("its image cannot be pulled", [GOOD, pod("b", state={"waiting": {"reason": "ErrImagePull"}})], 2, 1),
        ("no room since a moment ago", [GOOD, pod("b", no_room="0/1")], 2, 0),
        ("no room for long", [GOOD, pod("b", no_room="0/1", since=LATE)], 2, 1),
        ("no room for several", [GOOD, *(pod(f"b{n}", no_room="0/1", since=LATE) for n in range(3))], 4, 3),
        ("the one too many of a rollout crashes", [GOOD, pod("b", ready=True), pod("c", ended=FAILED, restarts=2)], 2, 0),
        ("the only one", [pod("b", ended=FAILED, restarts=2)], 1, 0),
        ("none answers", [pod(f"b{n}", ended=FAILED, restarts=2) for n in range(3)], 3, 2),
        ("one is on its way out", [GOOD, pod("b", leaves_until=NOW + 60), pod("c")], 2, 0),
        ("one is not made yet", [GOOD], 2, 0),
        ("nothing is wanted", [], 0, 0),
    ],
)
def test_a_replica_counts_as_lost_when_waiting_does_not_help(case: str, pods: list[dict[str, Any]], wanted: int, replicas: int) -> None:
    assert found(pods, wanted).replicas == replicas


def test_pods_that_cannot_be_made_are_lost() -> None:
    assert found([GOOD], 3, refused=True).replicas == 2


def test_an_engine_that_runs_has_as_long_as_a_start_may_take() -> None:
    loading = [GOOD, pod("b", since=NOW - 3000)]
    assert found(loading, 2, start=3600) == Stuck(0, NOW + 600)
    assert found(loading, 2, start=3600, now=NOW + 600) == Stuck(1, None)


def test_it_is_looked_at_again_when_the_next_one_may_be_lost() -> None:
    pods = [GOOD, pod("b", no_room="0/1", since=NOW - 100), pod("c", no_room="0/1", since=NOW - 10)]
    assert found(pods, 3).again_seconds == NOW - 100 + LATEST_SECONDS
    assert found([GOOD], 1).again_seconds is None


def _some_pod(name: str, ready: bool, late: bool, crashing: bool, leaves: bool) -> dict[str, Any]:
    about: dict[str, Any] = {"ended": FAILED, "restarts": 2} if crashing and not ready else {}
    return pod(name, ready=ready, since=LATE if late else NOW, leaves_until=NOW if leaves else None, **about)


POD = st.builds(_some_pod, st.uuids().map(str), *[st.booleans()] * 4)


@given(pods=st.lists(POD, max_size=6), wanted=st.integers(0, 6))
def test_once_nothing_more_comes_a_healthy_replica_can_be_evicted(pods: list[dict[str, Any]], wanted: int) -> None:
    """The disruption controller's arithmetic: what is healthy, less what is wanted less maxUnavailable, may go."""
    later = NOW + 10 * LATEST_SECONDS
    healthy = sum(p.ready and p.stays for p in engine_pods(pods))
    lost = found(pods, wanted, refused=True, now=later).replicas
    assert 0 <= lost <= max(0, wanted - 1)
    assert healthy == 0 or healthy - max(0, wanted - (1 + lost)) >= 1
    assert found(pods, wanted, refused=True, now=later).again_seconds is None
    assert healthy < wanted or lost == 0, "one more than wanted is nobody's loss"
