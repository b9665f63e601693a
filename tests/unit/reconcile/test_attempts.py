import json
from datetime import UTC, datetime
from typing import Any

import pytest

from llmfleet.names import Reason
from llmfleet.reconcile.attempts import MAX_WORDS, State, Words, attempt

BEGAN, ENDED = "2026-11-21T09:00:00Z", "2026-11-21T09:01:00Z"
FAILURE = json.dumps({"reason": "ModelNotFound", "message": "there is no such model", "exitCode": 1})


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def job(*conditions: str, **annotations: str) -> dict[str, Any]:
    found = [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "too often", "lastTransitionTime": ENDED} for kind in conditions]
    metadata = {
        "name": "j",
        "uid": "u",
        "creationTimestamp": BEGAN,
        "annotations": {f"llmfleet.dev/{name.replace('_', '-')}": text for name, text in annotations.items()},
    }
    return {"metadata": metadata, "status": {"conditions": found}}


def pod(phase: str, created: str = BEGAN, **container: Any) -> dict[str, Any]:
    statuses = [{"name": "inspect", "image": "r:1", "state": container}] if container else []
    return {"metadata": {"name": "p", "creationTimestamp": created}, "status": {"phase": phase, "containerStatuses": statuses}}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def test_a_fresh_job_runs_since_it_was_made() -> None:
    found = attempt(job(), [])
    assert (found.state, found.number, found.since_seconds, found.started, found.failed) == (State.RUNNING, 1, seconds(BEGAN), False, None)


def test_a_running_container_has_started() -> None:
    assert attempt(job(), [pod("Running", running={})]).started
    assert not attempt(job(), [pod("Pending", waiting={"reason": "ContainerCreating"})]).started


def test_the_result_is_the_termination_message_of_a_good_end() -> None:
    found = attempt(job("SuccessCriteriaMet", "Complete"), [pod("Succeeded", **ended(0, '{"source": "x"}', "Completed"))])
    assert (found.state, found.since_seconds, found.result) == (State.COMPLETE, seconds(ENDED), '{"source": "x"}')


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended(1, FAILURE), Words("ModelNotFound", "there is no such model")),
        (ended(137, "", "OOMKilled"), Words("OutOfMemory", "the kernel ended the container at its memory limit")),
        (ended(1, "Traceback ..."), Words("Error", "Traceback ...")),
    ],
)
def test_a_failed_job_ends_in_its_pods_words(end: dict[str, Any], words: Words) -> None:
    assert attempt(job("Failed"), [pod("Failed", **end)]).failed == words


def test_the_last_pods_words_count() -> None:
    pods = [pod("Failed", ENDED, **ended(1, FAILURE)), pod("Failed", BEGAN, **ended(75, "first"))]
    assert attempt(job("Failed"), pods).failed == Words("ModelNotFound", "there is no such model")


def test_an_evicted_pod_says_why() -> None:
    evicted = pod("Failed")
    evicted["status"] |= {"reason": "Evicted", "message": "low on memory"}
    assert attempt(job("Failed"), [evicted]).failed == Words("Evicted", "low on memory")


def test_without_a_pod_the_controllers_words_are_left() -> None:
    assert attempt(job("Failed"), []).failed == Words("BackoffLimitExceeded", "too often")


def test_the_failure_of_a_jobs_pod_is_known_also_while_the_next_one_runs() -> None:
    first = pod("Failed", **ended(75, FAILURE))
    assert attempt(job(), [first]).failing == Words("ModelNotFound", "there is no such model")
    again = attempt(job(), [first, pod("Running", ENDED, running={})])
    assert (again.failing, again.trouble) == (Words("ModelNotFound", "there is no such model"), None)


def test_trouble_is_of_pods_that_have_not_ended() -> None:
    waiting = pod("Pending", waiting={"reason": "ErrImagePull"})
    found = attempt(job(), [waiting])
    assert found.trouble is not None
    assert found.trouble.reason is Reason.IMAGE_PULL_FAILED


def test_an_attempt_remembers_the_one_before() -> None:
    words = Words("ModelNotFound", "x" * 5000)
    found = attempt(job(attempt="3", last_failure=words.to_annotation()), [])
    assert (found.number, found.before) == (3, Words("ModelNotFound", "x" * MAX_WORDS))
    assert len(words.text) == MAX_WORDS
    assert attempt(job(attempt="x", last_failure="{}"), []).before is None


@pytest.mark.parametrize(("written", "number"), [("7", 7), ("0", 1), ("-1", 1), ("x", 1), ("9" * 5000, 1), ("٣", 1)])
def test_an_attempts_number_may_have_been_edited(written: str, number: int) -> None:
    assert attempt(job(attempt=written), []).number == number
