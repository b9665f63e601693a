from typing import Any

import pytest

from llmfleet.api.v1alpha1.status import CacheStatus
from llmfleet.names import Reason
from llmfleet.reconcile.apply import Problem
from llmfleet.reconcile.conditions import Observation, facts, waiting_for
from llmfleet.reconcile.failures import Failure
from llmfleet.reconcile.knowledge import Waiting
from llmfleet.reconcile.waits import Wait
from llmfleet.resources.workload import Progress


def progress(
    wanted: int = 1, existing: int = 1, updated: int = 1, ready: int = 1, *, observed: bool = True, overdue: bool = False, refused: str | None = None
) -> Progress:
    return Progress(observed, wanted, existing, updated, ready, overdue, refused)


def seen(**changes: Any) -> Observation:
    return Observation(**{"refusal": None, "problems": (), "waiting": None, "progress": progress(), "failure": None, "autoscaler": None} | changes)


# Ready's reason; then Ready, Reconciling, Stalled, Accepted, Available (T or F).
TABLE = [
    ("serving", seen(), Reason.SERVING, "TFFTT"),
    ("stopped", seen(progress=progress(0, 0, 0, 0)), Reason.STOPPED, "TFFTF"),
    ("not made yet", seen(progress=None), Reason.ROLLING_OUT, "FTFTF"),
    ("not seen by its controller", seen(progress=progress(observed=False)), Reason.ROLLING_OUT, "FTFTT"),
    (
        "the pods of the specification before",
        seen(progress=progress(observed=False, ready=0), failure=Failure(0, Reason.CRASH_LOOP, "x", final=True)),
        Reason.ROLLING_OUT,
        "FTFTF",
    ),
    ("nothing moves any more", seen(progress=progress(ready=0, overdue=True)), Reason.LOADING, "FFTTF"),
    ("a configuration is missing", seen(problems=[Problem(Reason.CONFIG_ERROR, "x")]), Reason.CONFIG_ERROR, "FFTTT"),
    ("old replicas", seen(progress=progress(2, 2, 1, 2)), Reason.ROLLING_OUT, "FTFTT"),
    ("scaling down", seen(progress=progress(1, 2, 2, 2)), Reason.ROLLING_OUT, "FTFTT"),
    ("loading", seen(progress=progress(ready=0)), Reason.LOADING, "FTFTF"),
    ("refused by the checks", seen(refusal=Waiting(Reason.INVALID, "no")), Reason.INVALID, "FFTFT"),
    ("refused by the server", seen(problems=[Problem(Reason.INVALID, "no")]), Reason.INVALID, "FFTFT"),
    ("a sibling refused", seen(problems=[Problem(Reason.CHILD_REFUSED, "quota")]), Reason.CHILD_REFUSED, "FFTTT"),
    ("a foreign object", seen(problems=[Problem(Reason.FOREIGN_OBJECT, "x")]), Reason.FOREIGN_OBJECT, "FFTTT"),
    ("the server fails to take a child", seen(problems=[Problem(Reason.API_ERROR, "x")]), Reason.API_ERROR, "FTFTT"),
    ("one crash may be chance", seen(progress=progress(ready=0), failure=Failure(0, Reason.CRASH_LOOP, "x", final=False)), Reason.CRASH_LOOP, "FTFTF"),
    ("an evicted pod is replaced", seen(progress=progress(ready=0), failure=Failure(4, Reason.POD_REFUSED, "x", final=False)), Reason.POD_REFUSED, "FTFTF"),
    ("no pods allowed", seen(progress=progress(1, 0, 0, 0, refused="quota")), Reason.POD_REFUSED, "FFTTF"),
    ("no node", seen(progress=progress(ready=0), failure=Failure(3, Reason.UNSCHEDULABLE, "x", final=False)), Reason.UNSCHEDULABLE, "FTFTF"),
    ("image", seen(progress=progress(ready=0), failure=Failure(1, Reason.IMAGE_PULL_FAILED, "x", final=True)), Reason.IMAGE_PULL_FAILED, "FFTTF"),
    ("config", seen(progress=progress(ready=0), failure=Failure(1, Reason.CONFIG_ERROR, "x", final=True)), Reason.CONFIG_ERROR, "FFTTF"),
    ("waits for requests", seen(progress=progress(1, 1, 0, 0), wait=Wait(Reason.ROLLING_OUT, "x")), Reason.ROLLING_OUT, "FTFTF"),
    ("a bad revision", seen(progress=progress(2, 3, 1, 2), wait=Wait(Reason.DEGRADED, "x")), Reason.DEGRADED, "FTFTT"),
    ("a bad revision, again", seen(progress=progress(2, 3, 1, 2), wait=Wait(Reason.DEGRADED, "x", final=True)), Reason.DEGRADED, "FFTTT"),
    ("held beside the one before", seen(progress=progress(2, 2, 0, 2), wait=Wait(Reason.HELD, "x", final=True)), Reason.HELD, "FFTTT"),
    ("held alone", seen(progress=progress(1, 0, 0, 0), wait=Wait(Reason.HELD, "x", final=True)), Reason.HELD, "FFTTF"),
    ("held, and not seen by its controller", seen(progress=progress(observed=False), wait=Wait(Reason.HELD, "x", final=True)), Reason.HELD, "FFTTT"),
    ("held, and stopped by its user", seen(progress=progress(0, 0, 0, 0), wait=Wait(Reason.HELD, "x", final=True)), Reason.STOPPED, "TFFTF"),
    ("waits too long", seen(progress=progress(2, 3, 1, 2, overdue=True), wait=Wait(Reason.ROLLING_OUT, "x")), Reason.ROLLING_OUT, "FFTTT"),
    ("new template crashes", seen(progress=progress(2, 2, 1, 1), failure=Failure(0, Reason.CRASH_LOOP, "x", final=True)), Reason.CRASH_LOOP, "FFTTT"),
]


@pytest.mark.parametrize(("case", "observation", "reason", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_conditions(case: str, observation: Observation, reason: Reason, expected: str) -> None:
    found = list(facts(observation))
    assert [fact.type for fact in found] == ["Ready", "Reconciling", "Stalled", "Accepted", "Available"]
    assert found[0].reason is reason
    assert "".join("T" if fact.status else "F" for fact in found) == expected


WAITING = [
    ("inspecting", Waiting(Reason.INSPECTING, "x"), "FTFTT"),
    ("downloading", Waiting(Reason.DOWNLOADING, "x"), "FTFTT"),
    ("no such model", Waiting(Reason.MODEL_UNAVAILABLE, "x", final=True), "FFTTT"),
    ("no node for the download", Waiting(Reason.UNSCHEDULABLE, "x"), "FTFTT"),
]


@pytest.mark.parametrize(("case", "waiting", "expected"), WAITING, ids=[row[0] for row in WAITING])
def test_what_is_waited_for_is_told_and_what_serves_goes_on(case: str, waiting: Waiting, expected: str) -> None:
    found = list(facts(seen(waiting=waiting, progress=progress(overdue=True))))
    assert (found[0].reason, found[0].message) == (waiting.reason, "x")
    assert "".join("T" if fact.status else "F" for fact in found) == expected


def test_a_refusal_is_told_before_what_is_waited_for() -> None:
    found = list(facts(seen(refusal=Waiting(Reason.DOES_NOT_FIT, "too large"), waiting=Waiting(Reason.DOWNLOADING, "x"))))
    assert found[0].reason is Reason.DOES_NOT_FIT
    assert next(fact.reason for fact in found if fact.type == "Accepted") is Reason.DOES_NOT_FIT


def test_warnings_are_said_of_what_is_accepted() -> None:
    accepted = next(fact for fact in facts(seen(warnings="a; b")) if fact.type == "Accepted")
    assert (accepted.status, accepted.reason, accepted.message) == (True, Reason.VALID, "Valid; warning: a; b")


@pytest.mark.parametrize(
    ("cache", "why", "status", "reason"),
    [
        (CacheStatus(claim_name="c", path="p", complete=True), None, True, Reason.CACHED),
        (CacheStatus(claim_name="c", path="p"), Waiting(Reason.DOWNLOADING, "x"), False, Reason.DOWNLOADING),
        (CacheStatus(claim_name="c", path="p"), Waiting(Reason.MODEL_UNAVAILABLE, "x", final=True), False, Reason.MODEL_UNAVAILABLE),
    ],
)
def test_a_cache_has_a_condition_of_its_own(cache: CacheStatus, why: Waiting | None, status: bool, reason: Reason) -> None:
    found = [fact for fact in facts(seen(cache=cache, model_ready=why)) if fact.type == "ModelReady"]
    assert [(fact.status, fact.reason) for fact in found] == [(status, reason)]


@pytest.mark.parametrize(
    ("active", "status", "reason"),
    [
        (None, False, Reason.NO_METRIC),
        ({"status": "True"}, True, Reason.SCALING),
        ({"status": "False", "reason": "FailedGetObjectMetric"}, False, Reason.NO_METRIC),
        ({"status": "False", "reason": "ScalingDisabled"}, False, Reason.SCALING_DISABLED),
    ],
)
def test_autoscaling_says_what_the_hpa_says(active: dict[str, str] | None, status: bool, reason: Reason) -> None:
    conditions = [] if active is None else [{"type": "ScalingActive", **active}]
    last = list(facts(seen(autoscaler={"status": {"conditions": conditions}})))[-1]
    assert (last.type, last.status, last.reason) == ("AutoscalingActive", status, reason)


def test_a_rollout_waits_for_what_ready_tells_unless_something_else_is_in_the_way() -> None:
    assert waiting_for(seen(), "told") is None
    assert waiting_for(seen(progress=progress(2, 2, 1, 2)), "told") == "told"
    assert waiting_for(seen(progress=progress(1, 1, 0, 0), wait=Wait(Reason.ROLLING_OUT, "x")), "x" * 2000) == "x" * 1024
    assert waiting_for(seen(refusal=Waiting(Reason.INVALID, "no")), "told") is None
    assert waiting_for(seen(problems=[Problem(Reason.INVALID, "no")]), "told") is None
    assert waiting_for(seen(waiting=Waiting(Reason.DOWNLOADING, "x")), "told") is None
