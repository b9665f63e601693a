"""What is known of a model from its status, its Jobs and their pods, and what is done next: every state of both Jobs."""

import json
from typing import Any

import pytest

from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1.status import CacheStatus, ModelStatus
from llmfleet.names import Reason
from llmfleet.reconcile.attempts import Attempt, State, Words
from llmfleet.reconcile.failures import Failure
from llmfleet.reconcile.knowledge import (
    DEFINITE,
    DEFINITE_SECONDS,
    PASSING,
    QUICK_ATTEMPTS,
    QUICK_SECONDS,
    RESULT_SECONDS,
    SILENT_SECONDS,
    START_SECONDS,
    Download,
    Inspection,
    Knowledge,
    Refusal,
    Waiting,
    learn,
)
from llmfleet.resources.model_jobs import KEPT_SECONDS
from llmfleet.scrape.download import Progress

SOURCE = "hf://owner/model"
INSPECT = {"metadata": {"name": "llmfleet-inspect-1"}}
FETCH = {"metadata": {"name": "llmfleet-download-1"}}
KNOWN = ModelStatus(facts=ModelFacts(source=SOURCE))
NOW = 1_000_000.0


def attempt(state: State = State.RUNNING, ago_seconds: float = 0.0, **changes: Any) -> Attempt:
    given: dict[str, Any] = {"uid": "u", "number": 1, "state": state, "since_seconds": NOW - ago_seconds} | changes
    return Attempt(**given)


def failed(reason: str, ago_seconds: float = 0.0, number: int = 1) -> Attempt:
    return attempt(State.FAILED, ago_seconds, number=number, failed=Words(reason, "words"))


def inspected(found: Attempt | None, before: ModelStatus | None = None, **changes: Any) -> Knowledge:
    return learn(before, Inspection(SOURCE, INSPECT, found, **changes), None, NOW)


def downloaded(found: Attempt | None, cache: CacheStatus | None = None, progress: Progress | None = None) -> Knowledge:
    before = KNOWN.model_copy(update={"cache": cache})
    return learn(before, Inspection(SOURCE, INSPECT, None), Download("models", "llmfleet/x", FETCH, found, progress), NOW)


def shown(known: Knowledge) -> tuple[Reason, bool] | str | None:
    """Reason and finality of what is waited for; else why nothing is known; else None."""
    return known.unknown if known.waiting is None else (known.waiting.reason, known.waiting.final)


def test_what_the_status_knows_is_not_looked_up_again() -> None:
    known = inspected(None, KNOWN)
    assert (known.facts, known.waiting, known.starts) == (KNOWN.facts, None, ())


def test_facts_of_another_source_are_none() -> None:
    known = inspected(None, ModelStatus(facts=ModelFacts(source=f"{SOURCE}@v2")))
    assert known.facts is None
    assert [start.manifest for start in known.starts] == [INSPECT]
    assert shown(known) == (Reason.INSPECTING, False)


def test_facts_are_taken_over_in_the_specifications_words() -> None:
    result = json.dumps({"schemaVersion": 1, "source": "/models/x", "config": {"a": 1, "b": None, "c": {"d": None}}, "somethingNew": 1})
    known = inspected(attempt(State.COMPLETE, result=result))
    assert known.facts is not None
    assert (known.facts.source, known.facts.config) == (SOURCE, {"a": 1, "c": {}})
    assert (known.waiting, known.unknown, known.starts) == (None, None, ())


IMAGE = Failure(1, Reason.IMAGE_PULL_FAILED, "image x cannot be pulled", final=True)
SECRET = Failure(1, Reason.CONFIG_ERROR, 'container inspect: secret "hf" not found', final=True)
NO_NODE = Failure(3, Reason.UNSCHEDULABLE, "0/3 nodes", final=False)
DENIED = Words("ModelAccessDenied", "gated")
AWAY = Words("SourceUnreachable", "no route")
ODD = Words("OOMKilled", "exit code 137")

INSPECTING = (Reason.INSPECTING, False)
STUCK = (Reason.MODEL_UNAVAILABLE, True)
LATE = START_SECONDS + 1

# What the attempt is like, what is shown, in how many seconds it is looked at again, whether a Job is made now.
STATES: list[tuple[str, Attempt, tuple[Reason, bool] | str | None, float | None, bool]] = [
    ("just made", attempt(), INSPECTING, START_SECONDS, False),
    ("under way", attempt(started=True), INSPECTING, None, False),
    ("under way for long", attempt(ago_seconds=LATE, started=True), INSPECTING, None, False),
    ("no image", attempt(trouble=IMAGE), "the model was not looked at: image x cannot be pulled", None, False),
    ("no Secret", attempt(trouble=SECRET), (Reason.CONFIG_ERROR, True), None, False),
    ("no node yet", attempt(trouble=NO_NODE), INSPECTING, START_SECONDS, False),
    ("no node", attempt(ago_seconds=LATE, trouble=NO_NODE), "the model was not looked at: the inspection has not begun after 120 s: 0/3 nodes", None, False),
    (
        "no pod",
        attempt(ago_seconds=LATE),
        "the model was not looked at: the inspection has not begun after 120 s: no pod was made for it, which a quota",
        None,
        False,
    ),
    ("complete before its pod", attempt(State.COMPLETE, 1), INSPECTING, RESULT_SECONDS - 1, False),
    ("complete and its pod gone", attempt(State.COMPLETE, 11), "Lost: the inspection's pod was gone before its result was read", 289, False),
    ("unreadable", attempt(State.COMPLETE, 0, result="[]"), "Unreadable: ", 300, False),
    ("denied", failed("ModelAccessDenied"), STUCK, 300, False),
    ("denied for a while", failed("ModelAccessDenied", 301), STUCK, None, True),
    ("denied often", failed("ModelAccessDenied", 0, 9), STUCK, DEFINITE_SECONDS[1], False),
    ("denied, looked at again", attempt(started=True, number=2, before=DENIED), STUCK, None, False),
    ("unreachable", failed("SourceUnreachable"), INSPECTING, QUICK_SECONDS, False),
    ("unreachable twice", failed("SourceUnreachable", 0, 2), INSPECTING, 2 * QUICK_SECONDS, False),
    ("unreachable for long", failed("SourceUnreachable", 0, QUICK_ATTEMPTS), "SourceUnreachable: words", 1200, False),
    ("unreachable, third attempt", attempt(number=3, before=AWAY), INSPECTING, None, False),
    ("unreachable, fourth attempt", attempt(number=4, before=AWAY), "SourceUnreachable: no route", None, False),
    ("killed", failed("OOMKilled"), "OOMKilled: words", 300, False),
    ("killed, looked at again", attempt(number=2, before=ODD), "OOMKilled: exit code 137", None, False),
    ("killed often", failed("DeadlineExceeded", 0, 60), "DeadlineExceeded: words", SILENT_SECONDS[1], False),
]


@pytest.mark.parametrize(("case", "found", "expected", "again", "starts"), STATES, ids=[row[0] for row in STATES])
def test_an_inspection(case: str, found: Attempt, expected: tuple[Reason, bool] | str | None, again: float | None, starts: bool) -> None:
    known = inspected(found)
    if isinstance(expected, str):
        assert known.waiting is None, "what says nothing blocks nobody"
        assert known.unknown is not None
        assert known.unknown.startswith(expected)
    else:
        assert shown(known) == expected
    assert (None if known.again_seconds is None else known.again_seconds - NOW) == again
    assert [start.replaces for start in known.starts] == ([found] if starts else [])


@pytest.mark.parametrize("reason", sorted(DEFINITE | PASSING | {"Anything"}))
def test_what_is_shown_holds_still_while_it_is_tried_again(reason: str) -> None:
    for number in range(1, 6):
        ended = inspected(failed(reason, 0, number))
        running = inspected(attempt(started=True, number=number + 1, before=Words(reason, "words")))
        assert (ended.waiting, ended.unknown) == (running.waiting, running.unknown)


def test_a_failed_job_is_replaced_before_it_is_forgotten() -> None:
    assert max(*SILENT_SECONDS, *DEFINITE_SECONDS) < KEPT_SECONDS


def test_a_job_that_is_not_allowed_blocks_nobody_and_is_asked_for_again_seldom() -> None:
    first = inspected(None, refusal=Refusal("quota", NOW))
    assert shown(first) == "the model was not looked at: the API server refuses the Job for it: quota"
    assert (first.starts, first.again_seconds) == ((), NOW + SILENT_SECONDS[0])
    assert len(inspected(None, refusal=Refusal("quota", NOW - SILENT_SECONDS[0])).starts) == 1


def test_nothing_is_fetched_before_the_model_was_looked_at() -> None:
    known = learn(None, Inspection(SOURCE, INSPECT, None), Download("models", "llmfleet/x", FETCH, None), NOW)
    assert [start.manifest for start in known.starts] == [INSPECT]
    assert known.cache == CacheStatus(claim_name="models", path="llmfleet/x")
    assert known.model_ready == known.waiting


def test_what_cannot_be_looked_at_is_fetched_all_the_same() -> None:
    known = learn(None, Inspection(SOURCE, INSPECT, failed("OOMKilled")), Download("models", "llmfleet/x", FETCH, None), NOW)
    assert known.unknown is not None
    assert [start.manifest for start in known.starts] == [FETCH]
    assert shown(known) == (Reason.DOWNLOADING, False)


HALF = Progress(bytes_done=5 * 1024**3, bytes_total=10 * 1024**3, bytes_per_second=300 * 1024**2, seconds_left=17)
NO_CLAIM = Failure(3, Reason.UNSCHEDULABLE, 'persistentvolumeclaim "models" not found', final=False)
FULL = Words("NoSpaceLeft", "the claim is full")

FILLED = Waiting(Reason.DOWNLOADING, "the cache is being filled")
HALF_FILLED = Waiting(Reason.DOWNLOADING, "the cache is being filled: 50% of 10.0 GiB, 300 MiB/s")
OVERFLOWING = Waiting(Reason.MODEL_UNAVAILABLE, "NoSpaceLeft: the claim is full; trying again", final=True)

DOWNLOADS: list[tuple[str, Attempt | None, Progress | None, Waiting | None, float | None, bool]] = [
    ("not begun", None, None, FILLED, None, True),
    ("just made", attempt(), None, FILLED, START_SECONDS, False),
    ("no claim", attempt(trouble=NO_CLAIM), None, Waiting(Reason.UNSCHEDULABLE, 'persistentvolumeclaim "models" not found'), None, False),
    (
        "no pod",
        attempt(ago_seconds=LATE),
        None,
        Waiting(Reason.DOWNLOADING, "the cache is being filled: it has not begun yet; kubectl describe job llmfleet-download-1 says why"),
        None,
        False,
    ),
    ("listing", attempt(started=True), Progress(0, 0), FILLED, None, False),
    ("half", attempt(started=True), HALF, HALF_FILLED, None, False),
    (
        "a pod failed",
        attempt(failing=FULL),
        None,
        OVERFLOWING,
        None,
        False,
    ),
    ("a pod was cut off", attempt(failing=AWAY), None, Waiting(Reason.MODEL_UNAVAILABLE, "SourceUnreachable: no route; trying again"), None, False),
    ("failed", failed("NoSpaceLeft"), None, Waiting(Reason.MODEL_UNAVAILABLE, "NoSpaceLeft: words; trying again", final=True), 300, False),
    ("failed a while ago", failed("NoSpaceLeft", 301), None, Waiting(Reason.MODEL_UNAVAILABLE, "NoSpaceLeft: words; trying again", final=True), None, True),
    ("again", attempt(number=2, before=FULL), None, OVERFLOWING, None, False),
    (
        "again, and it works",
        attempt(number=2, before=FULL, started=True),
        HALF,
        HALF_FILLED,
        None,
        False,
    ),
    ("complete", attempt(State.COMPLETE), None, None, None, False),
]


@pytest.mark.parametrize(("case", "found", "progress", "waiting", "again", "starts"), DOWNLOADS, ids=[row[0] for row in DOWNLOADS])
def test_a_download(case: str, found: Attempt | None, progress: Progress | None, waiting: Waiting | None, again: float | None, starts: bool) -> None:
    known = downloaded(found, progress=progress)
    assert known.waiting == waiting
    assert known.model_ready == waiting
    assert known.cache is not None
    assert known.cache.complete is (waiting is None)
    assert (None if known.again_seconds is None else known.again_seconds - NOW) == again
    assert bool(known.starts) is starts


def test_progress_is_shown_while_it_lasts() -> None:
    known = downloaded(attempt(started=True), progress=HALF)
    assert known.cache is not None
    assert known.cache.to_wire() == {
        "claimName": "models",
        "path": "llmfleet/x",
        "complete": False,
        "bytesDone": 5 * 1024**3,
        "bytesTotal": 10 * 1024**3,
        "secondsLeft": 17,
        "progress": "50% of 10.0 GiB, 300 MiB/s",
    }


def test_a_cache_that_is_complete_needs_no_job() -> None:
    known = downloaded(None, CacheStatus(claim_name="models", path="llmfleet/x", complete=True))
    assert (known.waiting, known.model_ready, known.starts) == (None, None, ())


@pytest.mark.parametrize("other", [{"claim_name": "others"}, {"path": "llmfleet/y"}])
def test_another_claim_or_revision_is_filled_anew(other: dict[str, str]) -> None:
    known = downloaded(None, CacheStatus(**{"claim_name": "models", "path": "llmfleet/x", "complete": True, **other}))
    assert [start.manifest for start in known.starts] == [FETCH]


def test_a_refusal_of_any_length_fits_the_status() -> None:
    known = inspected(None, refusal=Refusal("x" * 9000, NOW))
    assert known.unknown is not None
    ModelStatus(unknown=known.unknown)


def test_words_of_any_length_fit_the_status() -> None:
    known = inspected(attempt(State.FAILED, failed=Words("R" * 4096, "")))
    assert known.unknown is not None
    ModelStatus(unknown=known.unknown)


def test_sizes_that_the_api_server_cannot_store_are_no_facts() -> None:
    known = inspected(attempt(State.COMPLETE, result=json.dumps({"source": SOURCE, "weights": {"bytes": 2**63}})))
    assert known.facts is None
    assert known.unknown is not None
    assert known.unknown.startswith("Unreadable")


@pytest.mark.parametrize(("uid", "complete"), [("first", True), ("second", False), ("", False)], ids=["there", "made anew", "gone"])
def test_a_claim_in_the_place_of_the_one_that_was_filled_holds_nothing(uid: str, complete: bool) -> None:
    before = KNOWN.model_copy(update={"cache": CacheStatus(claim_name="models", claim_uid="first", path="llmfleet/x", complete=True)})
    known = learn(before, Inspection(SOURCE, INSPECT, None), Download("models", "llmfleet/x", FETCH, None, claim_uid=uid), NOW)
    assert known.cache is not None
    assert known.cache.complete is complete
    assert bool(known.starts) is not complete


def test_a_download_that_is_tried_again_is_shown_as_failing_until_it_gets_somewhere() -> None:
    again = attempt(failing=Words("SourceUnreachable", "no answer"), started=True)
    assert shown(downloaded(again)) == (Reason.MODEL_UNAVAILABLE, False)
    assert shown(downloaded(again, progress=Progress(0, 0))) == (Reason.DOWNLOADING, False)
    assert shown(downloaded(again, progress=Progress(1, 2))) == (Reason.DOWNLOADING, False)


def test_a_pod_that_its_node_gave_up_is_no_fault_of_the_model() -> None:
    assert shown(downloaded(attempt(failing=Words("Evicted", "the node was low on memory")))) == (Reason.MODEL_UNAVAILABLE, False)
    assert shown(inspected(failed("Evicted"))) == (Reason.INSPECTING, False)
