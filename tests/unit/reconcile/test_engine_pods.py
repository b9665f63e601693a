"""What a pod tells of its replica."""

from typing import Any

import pytest

from llmfleet.reconcile.engine_pods import EnginePod, engine_pods
from tests.unit.reconcile.pods import NOW, at, pod

FAILED = {"reason": "KVCacheTooSmall", "message": "m", "remedy": "r", "state": "Starting"}


def read(**about: Any) -> EnginePod:
    [found] = engine_pods([pod("a", **about)])
    return found


def test_one_that_answers() -> None:
    found = read(ready=True, since=NOW - 5)
    assert (found.revision, found.replica_set, found.placed, found.ready, found.stays) == ("new", "x-engine-new", True, True, True)
    assert (found.since_seconds, found.ends, found.answered, found.broken) == (NOW - 5, 0, True, False)


def test_one_that_the_scheduler_finds_no_room_for() -> None:
    found = read(no_room="0/1 nodes", since=NOW - 40)
    assert (found.placed, found.no_room, found.no_room_since_seconds, found.since_seconds) == (False, "0/1 nodes", NOW - 40, NOW - 40)


def test_one_that_the_scheduler_has_not_looked_at_yet_has_no_room_refused() -> None:
    assert read(placed=False).no_room is None


@pytest.mark.parametrize(
    ("about", "ends"),
    [
        ({}, 0),
        ({"ended": FAILED}, 1),
        ({"ended": FAILED, "restarts": 2}, 3),
        ({"ended": FAILED, "restarts": 2, "state": {"running": {}}}, 2),
        ({"restarts": 0, "state": {"terminated": {"exitCode": 0}}}, 0),
        ({"restarts": 0, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}, 1),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, 0),
        ({"state": {"waiting": {"reason": "CreateContainerConfigError"}}}, 0),
    ],
)
def test_an_engine_has_ended_as_often_as_it_was_started_again_and_once_more_while_it_waits(about: dict[str, Any], ends: int) -> None:
    assert read(**about).ends == ends


def test_how_it_ended_is_the_launchers_word() -> None:
    end = read(ended=FAILED).last_end
    assert end is not None
    assert (end.reason, end.message, end.remedy, end.state) == ("KVCacheTooSmall", "m", "r", "Starting")


@pytest.mark.parametrize(("state", "answered"), [("Serving", True), ("Draining", False), ("Starting", False), ("", False)])
def test_an_engine_that_failed_while_it_served_has_answered(state: str, answered: bool) -> None:
    assert read(ended={**FAILED, "state": state}).answered is answered


def test_one_that_was_ready_has_answered_whatever_ended_its_engine_without_a_word() -> None:
    """The kernel ends the launcher with its engine, and so does a node that starts again."""
    killed = {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "running": {}}
    assert read(restarts=5, state=killed, was_ready=True).answered
    assert not read(restarts=5, state=killed).answered
    assert not read(placed=False).answered
    one_step = pod("a")
    one_step["status"]["conditions"][1]["lastTransitionTime"] = at(NOW + 1)
    assert not engine_pods([one_step])[0].answered


@pytest.mark.parametrize(
    ("about", "broken"),
    [
        ({"ended": FAILED}, False),
        ({"ended": FAILED, "restarts": 1}, False),
        ({"ended": FAILED, "restarts": 2}, True),
        ({"ended": FAILED, "restarts": 2, "state": {"running": {}}}, True),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, True),
        ({"no_room": "0/1 nodes"}, False),
    ],
)
def test_what_keeps_it_from_answering_for_good_holds_still(about: dict[str, Any], broken: bool) -> None:
    assert read(**about).broken is broken


def test_records_of_pods_that_ended_as_a_whole_are_none() -> None:
    assert engine_pods([pod("a", phase="Failed"), pod("b", phase="Succeeded")]) == ()


def test_one_on_its_way_out_keeps_its_place_until_it_is_gone() -> None:
    found = read(ready=True, leaves_until=NOW + 60)
    assert (found.stays, found.placed, found.leaves_until_seconds) == (False, True, NOW + 60)
