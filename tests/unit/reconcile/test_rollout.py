"""How a rollout goes on, and when a revision is given up."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.api.v1alpha1.status import EngineStatus, Held, Phase, RolloutStatus
from llmfleet.names import Reason
from llmfleet.reconcile.engine_pods import engine_pods
from llmfleet.reconcile.failures import Failure
from llmfleet.reconcile.rollout import PATIENCE_SECONDS, Scene, current, followed, given_up, measured_seconds, plan, stopped
from llmfleet.reconcile.waits import wait
from llmfleet.resources.rollout_plan import RolloutPlan
from tests.unit.reconcile.pods import NOW, at, pod

FAILED = {"reason": "KVCacheTooSmall", "message": "(1024) needs 0.25 GiB", "remedy": "lower model.maxLength", "state": "Starting"}
NO_ROOM = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu"
QUOTA = 'pods "one-engine-5d" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=1, limited: 1'
OLD = pod("old", "old", ready=True)
LATE = NOW - PATIENCE_SECONDS


def spec(strategy: str = "Auto") -> LLMServiceSpec:
    return LLMServiceSpec.model_validate({"model": {"source": "hf://a/b"}, "rollout": {"strategy": strategy}}, by_alias=True, by_name=False)


def scene(*pods: dict[str, Any], wanted: int = 1, freed: float = 0.0, now: float = NOW, quota: str | None = None, since: float = 0.0) -> Scene:
    return Scene(engine_pods(pods), wanted, freed, now, quota, since)


def surging(**changes: Any) -> RolloutStatus:
    return current(None, spec(), "new", None).model_copy(update=changes)


def test_a_new_revision_begins_with_a_surge_whatever_was_learned_of_the_one_before() -> None:
    before = RolloutStatus(revision="old", strategy="InPlace", message="no room", without_room=2, progress_deadline_seconds=1200, served=True)
    begun = current(before, spec(), "new", None)
    assert (begun.strategy, begun.without_room, begun.served, begun.held) == ("Surge", 0, False, None)
    assert plan(begun) == RolloutPlan("Surge", 7200)


def test_the_rollout_of_a_revision_goes_on_as_it_was_said() -> None:
    before = surging(strategy="InPlace", without_room=1, served=True)
    assert current(before, spec(), "new", 5) is before
    assert plan(before) == RolloutPlan("InPlace", 7200, without_room=1)


def test_recreate_is_asked_for_and_taken_back_without_another_revision() -> None:
    asked = current(surging(), spec("Recreate"), "new", None)
    assert plan(asked).strategy == "Recreate"
    assert plan(current(asked, spec(), "new", None)).strategy == "Surge"
    assert plan(current(surging(strategy="InPlace"), spec("Recreate"), "new", None)).strategy == "Recreate"


def test_the_deadline_is_that_of_the_start_measured_when_the_rollout_begins() -> None:
    assert current(None, spec(), "new", 100).progress_deadline_seconds == 1200
    assert current(surging(), spec(), "new", 100).progress_deadline_seconds == 7200


def test_the_start_of_another_model_or_image_says_nothing() -> None:
    engine = EngineStatus(
        version="1", image="vllm:1", arguments=["org/model", "--port"], startup=[Phase(name="Weights", seconds=7), Phase(name="Warming", seconds=2)]
    )
    assert measured_seconds(engine, "vllm:1", ["org/model", "--other"]) == 9
    assert measured_seconds(engine, "vllm:2", ["org/model"]) is None
    assert measured_seconds(engine, "vllm:1", ["org/larger"]) is None
    assert measured_seconds(engine.model_copy(update={"startup": []}), "vllm:1", ["org/model"]) is None
    assert measured_seconds(None, "vllm:1", ["org/model"]) is None


def test_no_room_for_one_more_is_believed_after_some_patience_and_said() -> None:
    pods = (OLD, pod("a", no_room=NO_ROOM, since=NOW))
    waiting, again = followed(surging(), scene(*pods))
    assert (waiting.strategy, again) == ("Surge", NOW + PATIENCE_SECONDS)
    chosen, again = followed(waiting, scene(*pods, now=NOW + PATIENCE_SECONDS))
    assert (chosen.strategy, chosen.without_room, again) == ("InPlace", 0, None)
    assert chosen.message == f"no room for one more replica: {NO_ROOM}; replaced one at a time; with one replica nothing answers meanwhile"


def test_a_quota_that_has_no_room_for_one_more_is_no_room() -> None:
    waiting, again = followed(surging(), scene(OLD, quota=QUOTA, since=NOW))
    assert (waiting.strategy, again) == ("Surge", NOW + PATIENCE_SECONDS)
    told = wait(waiting, scene(OLD, quota=QUOTA, since=NOW), None)
    assert told is not None
    assert (told.reason, told.final, told.message) == (Reason.ROLLING_OUT, False, f"looking for room for one more replica: {QUOTA}")
    chosen, _ = followed(waiting, scene(OLD, quota=QUOTA, since=LATE))
    assert (chosen.strategy, chosen.without_room) == ("InPlace", 0)
    assert chosen.message == f"no room for one more replica: {QUOTA}; replaced one at a time; with one replica nothing answers meanwhile"


def test_a_quota_that_refuses_a_replica_more_of_the_same_revision_is_no_rollout() -> None:
    seen = scene(pod("a", ready=True), wanted=2, quota=QUOTA, since=LATE)
    assert followed(surging(), seen)[0].strategy == "Surge"
    assert wait(surging(), seen, None) is None


def test_with_several_replicas_the_others_answer_meanwhile() -> None:
    chosen, _ = followed(surging(), scene(OLD, pod("old2", "old", ready=True), pod("a", no_room=NO_ROOM, since=LATE), wanted=2))
    assert chosen.message.endswith("; replaced one at a time")


def test_the_schedulers_words_may_be_longer_than_the_status_holds() -> None:
    chosen, _ = followed(surging(), scene(OLD, pod("a", no_room="x" * 5000, since=LATE)))
    assert len(chosen.message) == 1024
    assert chosen.message.endswith("meanwhile")
    RolloutStatus.model_validate(chosen.model_dump())


@pytest.mark.parametrize(
    ("case", "seen"),
    [
        ("the new one has room", scene(OLD, pod("a"))),
        ("the scheduler has not looked yet", scene(OLD, pod("a", placed=False))),
        ("a first rollout has nothing to surge beside", scene(pod("a", no_room=NO_ROOM, since=LATE))),
        ("an old replica without room says nothing of the new one", scene(pod("old", "old", no_room=NO_ROOM, since=LATE), pod("a"))),
        ("a place was given back just now", scene(OLD, pod("a", no_room=NO_ROOM, since=LATE), freed=NOW)),
        ("one of ours is about to give its place back", scene(OLD, pod("b", "old", leaves_until=NOW + 300), pod("a", no_room=NO_ROOM, since=LATE))),
    ],
)
def test_nothing_is_taken_from_what_serves_before_it_is_certain(case: str, seen: Scene) -> None:
    assert followed(surging(), seen)[0].strategy == "Surge"


def test_a_pod_that_should_be_gone_long_ago_has_lost_its_node_and_is_waited_for_no_more() -> None:
    gone = pod("b", "old", leaves_until=NOW - PATIENCE_SECONDS)
    assert followed(surging(), scene(OLD, gone, pod("a", no_room=NO_ROOM, since=LATE)))[0].strategy == "InPlace"


def test_what_is_wanted_beyond_the_room_counts_as_unavailable_from_the_start() -> None:
    """8 wanted, room for 4: 4 answer, 4 wait, and the surge pod makes nine."""
    old = [pod(f"old{n}", "old", ready=True) for n in range(4)]
    waiting = [pod(f"waiting{n}", "old", no_room=NO_ROOM, since=LATE) for n in range(4)]
    surge = pod("a", no_room=NO_ROOM, since=LATE)
    chosen, _ = followed(surging(), scene(*old, *waiting, surge, wanted=8))
    assert (chosen.strategy, chosen.without_room) == ("InPlace", 4)
    # One goes; while it does, it still has its place, and after that the scheduler needs a moment.
    going = [*old[1:], pod("old0", "old", ready=True, leaves_until=NOW + 300), *(pod(f"a{n}", no_room=NO_ROOM, since=LATE) for n in range(5))]
    assert followed(chosen, scene(*going, wanted=8))[0] == chosen
    gone = [*old[1:], *(pod(f"a{n}", no_room=NO_ROOM, since=LATE) for n in range(5))]
    assert followed(chosen, scene(*gone, wanted=8, freed=NOW - 5))[0] == chosen
    # Room comes: no more than one at a time goes from then on.
    more = [*old[1:], *(pod(f"a{n}") for n in range(3)), *(pod(f"b{n}", no_room=NO_ROOM) for n in range(2))]
    assert followed(chosen, scene(*more, wanted=8))[0].without_room == 2
    # The HPA asks for less, and for more again.
    less, _ = followed(chosen, scene(*gone[:5], wanted=5, freed=NOW - 5))
    assert less.without_room == 2
    again, _ = followed(less, scene(*gone, wanted=8, freed=LATE))
    assert again.without_room == 5


def test_of_several_the_last_one_that_answers_is_not_taken_for_room() -> None:
    chosen, _ = followed(surging(strategy="InPlace"), scene(OLD, pod("a", no_room=NO_ROOM, since=LATE), wanted=2))
    assert chosen.without_room == 0


def crashing(name: str, revision: str = "new", restarts: int = 2, **about: Any) -> dict[str, Any]:
    return pod(name, revision, ended=FAILED, restarts=restarts, **about)


def test_a_revision_that_failed_three_times_is_held_and_those_before_serve_on() -> None:
    held, _ = followed(surging(), scene(OLD, crashing("a")))
    assert held.held == Held(state="Starting", pod="a", reason="KVCacheTooSmall", message="(1024) needs 0.25 GiB; lower model.maxLength", paused=True)
    assert plan(held).paused
    assert not stopped(held)
    assert given_up(held, scene(OLD, crashing("a"))) == {"x-engine-new": frozenset({"uid-a"})}


def test_with_no_revision_before_there_the_workload_is_scaled_to_zero() -> None:
    held, _ = followed(surging(), scene(crashing("a")))
    assert stopped(held)
    assert not plan(held).paused
    assert given_up(held, scene(crashing("a"))) == {}


def test_a_revision_before_that_never_served_either_is_not_kept() -> None:
    assert stopped(followed(surging(), scene(crashing("old", "old"), crashing("a")))[0])
    restarting = pod("old", "old", ended={**FAILED, "state": "Serving"}, restarts=7)
    assert not stopped(followed(surging(), scene(restarting, crashing("a")))[0]), "it served, and will again"


@pytest.mark.parametrize(
    ("case", "pods"),
    [
        ("twice", [crashing("a", restarts=1)]),
        ("no engine ended", [pod("a", state={"waiting": {"reason": "ImagePullBackOff"}})]),
        ("no room", [pod("a", no_room=NO_ROOM)]),
        ("another one starts for the first time and may answer", [crashing("a"), pod("b")]),
        ("one answers", [crashing("a"), pod("b", ready=True)]),
        ("one has answered", [pod("a", ended={**FAILED, "state": "Serving"}, restarts=5)]),
        ("it answered while nobody looked, and its node started again", [pod("a", restarts=5, was_ready=True, ended={**FAILED, "state": ""})]),
        ("only old ones fail", [crashing("old", "old")]),
        ("it is on its way out", [crashing("a", leaves_until=NOW + 5)]),
    ],
)
def test_nothing_else_holds_a_revision(case: str, pods: list[dict[str, Any]]) -> None:
    assert followed(surging(), scene(*pods, wanted=2))[0].held is None


def test_several_pods_that_fail_at_once_are_one_chance_and_not_three() -> None:
    """The hub did not answer for a minute, or the devices of nodes that start were not there yet."""
    assert followed(surging(), scene(*(crashing(name, restarts=1) for name in "abc"), wanted=3))[0].held is None
    held = followed(surging(), scene(*(crashing(name, restarts=restarts) for name, restarts in (("a", 1), ("b", 2), ("c", 1))), wanted=3))[0].held
    assert held is not None
    assert held.pod == "b"


def test_what_a_person_starts_again_is_replaced_in_place_where_there_is_no_room() -> None:
    old, new = pod("a", ready=True), pod("b", no_room=NO_ROOM, since=LATE, replica_set="x-engine-again")
    assert followed(surging(served=True), scene(old, new))[0].strategy == "InPlace"
    assert followed(surging(served=True), scene(old, pod("b", no_room=NO_ROOM, since=LATE), wanted=2))[0].strategy == "Surge", "one more is wanted"


def test_a_revision_that_has_served_is_never_held() -> None:
    served, _ = followed(surging(), scene(pod("a", ready=True)))
    assert served.served
    assert followed(served, scene(crashing("a", restarts=9)))[0].held is None


def test_held_lasts_as_long_as_the_revision_whatever_becomes_of_its_pods() -> None:
    held, _ = followed(surging(), scene(OLD, crashing("a")))
    assert followed(held, scene(OLD))[0] == held
    assert followed(held, scene())[0] == held, "the old ones are being replaced"
    assert current(held, spec(), "new", None) is held
    assert current(held, spec(), "newer", None).held is None


def test_the_controller_would_start_a_held_revision_that_is_alone_so_then_nothing_is_wanted() -> None:
    held, _ = followed(surging(), scene(OLD, crashing("a")))
    assert stopped(followed(held, scene(wanted=0))[0]), "scaled to 0 by its user"
    assert stopped(followed(held, scene(crashing("a")))[0]), "the old ones went before the bad ones did"
    drained = pod("old", "old", ready=True, leaves_until=NOW + 300)
    assert not stopped(followed(held, scene(drained, crashing("a")))[0]), "its replacement is made in this moment"


def test_words_longer_than_the_status_holds_are_cut() -> None:
    words = {"reason": "R" * 500, "message": "m" * 5000, "remedy": "r" * 5000, "state": "s" * 500}
    held = followed(surging(), scene(pod("a", ended=words, restarts=2)))[0]
    RolloutStatus.model_validate(held.model_dump())
    assert held.held is not None
    assert held.held.message.endswith("; " + "r" * 1022), "never the remedy"
    hostile = followed(surging(), scene(pod("a", ended={"reason": "R\x1b[2J", "message": "", "state": "\x00"}, restarts=2)))[0]
    assert hostile.held == Held(state="Unknown", pod="a", reason="R [2J", paused=False)


def told(rollout: RolloutStatus, seen: Scene, failure: Failure | None = None) -> tuple[Reason, str, bool] | None:
    found = wait(rollout, seen, failure)
    return (found.reason, found.message, found.final) if found is not None else None


def test_a_pod_whose_node_is_lost_answers_nothing_any_more_and_is_told_as_that() -> None:
    lost = pod("gone", "old", leaves_until=NOW - PATIENCE_SECONDS)
    message = (
        f"waiting for the end of gone, due at {at(NOW - PATIENCE_SECONDS)}: the node does not say that it came; if the node is lost for good, delete its Node"
    )
    assert told(surging(strategy="Recreate"), scene(lost)) == (Reason.ROLLING_OUT, message, False)
    looking = (Reason.ROLLING_OUT, f"looking for room for the next replica: {NO_ROOM}", False)
    assert told(surging(strategy="InPlace"), scene(OLD, lost, pod("a", no_room=NO_ROOM))) == looking


@pytest.mark.parametrize("strategy", ["Surge", "InPlace", "Recreate"])
def test_that_a_pod_which_should_be_gone_is_lost_is_told_by_time_alone(strategy: str) -> None:
    leaving = pod("gone", "old", leaves_until=NOW + 5)
    assert followed(surging(strategy=strategy), scene(leaving))[1] == NOW + 5 + PATIENCE_SECONDS
    assert followed(surging(strategy=strategy), scene(leaving, now=NOW + 5 + PATIENCE_SECONDS))[1] is None


CRASH = Failure(0, Reason.CRASH_LOOP, "container engine: KVCacheTooSmall: m", final=False)


def test_what_is_waited_for_is_said() -> None:
    old2 = pod("old2", "old", ready=True)
    assert told(surging(), scene(OLD, pod("a"))) is None, "the counts say it"
    assert told(surging(), scene(OLD, pod("a", no_room=NO_ROOM))) == (Reason.ROLLING_OUT, f"looking for room for one more replica: {NO_ROOM}", False)
    in_place = surging(strategy="InPlace")
    assert told(in_place, scene(OLD, pod("a", no_room=NO_ROOM))) == (Reason.ROLLING_OUT, f"looking for room for the next replica: {NO_ROOM}", False)
    leaving = pod("gone", "old", leaves_until=NOW + 300)
    message = f"waiting until gone has answered the requests in hand, at the latest {at(NOW + 300)}"
    assert told(in_place, scene(OLD, leaving, pod("a", no_room=NO_ROOM))) == (Reason.ROLLING_OUT, message, False)
    assert told(surging(strategy="Recreate"), scene(leaving)) == (Reason.ROLLING_OUT, message, False)
    assert told(surging(), scene(pod("a", no_room=NO_ROOM))) is None, "a first rollout: the scheduler's words stand for themselves"
    degraded = (Reason.DEGRADED, f"{CRASH.message}; 2 of 2 replicas of the revision before serve on", False)
    assert told(surging(), scene(OLD, old2, crashing("a"), wanted=2), CRASH) == degraded
    assert told(surging(), scene(crashing("a")), CRASH) is None, "nothing serves: the failure stands for itself"


def test_held_names_where_who_why_and_what_to_do() -> None:
    held, _ = followed(surging(), scene(OLD, crashing("a")))
    assert told(held, scene(OLD)) == (
        Reason.HELD,
        "the engine ended 3 times or more without a single answer, last in pod a (Starting): KVCacheTooSmall: (1024) needs 0.25 GiB; lower model.maxLength; "
        "nothing more is tried until the specification changes; 1 of 1 replica of the revision before serves on",
        True,
    )
    alone, _ = followed(surging(), scene(crashing("a")))
    assert "the workload is scaled to 0" in (told(alone, scene()) or ("", "", False))[1]


def _some_pod(name: str, revision: str, kind: str, since: float) -> dict[str, Any]:
    about: dict[str, dict[str, Any]] = {
        "ready": {"ready": True},
        "loading": {},
        "no room": {"no_room": NO_ROOM},
        "unseen": {"placed": False},
        "crashing": {"ended": FAILED, "restarts": 2},
        "leaving": {"ready": True, "leaves_until": NOW + 30},
    }
    return pod(name, revision, since=NOW + since, **about[kind])


PODS = st.lists(
    st.builds(
        _some_pod,
        st.uuids().map(str),
        st.sampled_from(["new", "old"]),
        st.sampled_from(["ready", "loading", "no room", "unseen", "crashing", "leaving"]),
        st.floats(-120, 0),
    ),
    max_size=7,
)
SCENES = st.lists(st.tuples(PODS, st.integers(0, 5), st.floats(-60, 0)), max_size=8)


@settings(max_examples=300, deadline=None)
@given(scenes=SCENES)
def test_within_a_revision_nothing_flaps(scenes: list[tuple[list[dict[str, Any]], int, float]]) -> None:
    rollout, inplace, served, held = surging(), False, False, False
    for step, (pods, wanted, freed) in enumerate(scenes):
        seen = scene(*pods, wanted=wanted, freed=NOW + freed, now=NOW + 10.0 * step)
        rollout, again = followed(rollout, seen)
        assert followed(rollout, seen)[0] == rollout, "a second look at the same pods says nothing new"
        assert again is None or again > seen.now_seconds
        assert not (inplace and rollout.strategy == "Surge")
        assert not (served and not rollout.served)
        assert not (rollout.served and rollout.held is not None)
        assert not (held and rollout.held is None and not rollout.served), "only an answer takes it back"
        assert rollout.without_room <= max(0, wanted - 2) or rollout.held is not None
        assert rollout.strategy == "InPlace" or rollout.without_room == 0
        assert not given_up(rollout, seen) or plan(rollout).paused
        RolloutStatus.model_validate(rollout.model_dump())
        inplace, served, held = rollout.strategy == "InPlace", rollout.served, rollout.held is not None
