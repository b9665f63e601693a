"""What runs, as status shows it: it follows what the replicas say, and holds still while they say the same."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from llmfleet.names import LABEL_REVISION
from llmfleet.reconcile.engine_status import engine_status
from llmfleet.reconcile.replicas import replicas
from llmfleet.scrape.report import FailureReport, Report

NEW, OLD = "aaaaaaaaaa", "bbbbbbbbbb"
KV = {"reason": "KVCacheTooSmall", "message": "(1024) needs 0.25 GiB, 0.09 GiB are free", "remedy": "lower model.maxLength to 384", "state": "Starting"}
TAKEN = {"reason": "AcceleratorBusy", "message": "another process has 3.04 GiB", "remedy": "free it", "state": "Preflight"}


def pod(name: str, *, ready: bool = True, revision: str = NEW, ended: dict[str, Any] | str | None = None, at: str = "09:00", **last: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"name": "engine", "ready": ready, "restartCount": int(ended is not None), "state": {"running": {}}}
    if ended is not None:
        message = ended if isinstance(ended, str) else json.dumps({**ended, "exitCode": 1})
        status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "message": message, "finishedAt": f"2026-11-21T{at}:00Z", **last}}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name, "labels": {LABEL_REVISION: revision}}, "status": {"conditions": conditions, "containerStatuses": [status]}}


def shown(pods: Sequence[dict[str, Any]] = (), before: dict[str, Any] | None = None, *, same_revision: bool = True, **reports: Report) -> dict[str, Any]:
    found = replicas(pods, reports)
    return engine_status("0.32.0", "vllm:1", ["/models/tiny"], found, revision=NEW, before=before or {}, same_revision=same_revision).to_wire()


def started(*seconds: int) -> Report:
    names = ("Imports", "Weights", "KVCache")
    return Report(startup=tuple(zip(names, seconds, strict=False)))


def phases(status: dict[str, Any]) -> list[int]:
    return [phase["seconds"] for phase in status.get("startup", ())]


def test_before_anybody_says_anything_it_is_what_was_applied() -> None:
    assert shown() == {"version": "0.32.0", "image": "vllm:1", "arguments": ["/models/tiny"]}


def test_what_a_replica_says_is_lifted() -> None:
    report = Report(version="0.32.0+cpu", arguments=("/models/tiny", "--api-key", "***"), startup=(("Imports", 6), ("Weights", 42)))
    assert shown([pod("a")], a=report) == {
        "version": "0.32.0",
        "image": "vllm:1",
        "arguments": ["/models/tiny", "--api-key", "***"],
        "reportedVersion": "0.32.0+cpu",
        "startup": [{"name": "Imports", "seconds": 6}, {"name": "Weights", "seconds": 42}],
    }


def test_what_is_known_stays_while_nobody_answers() -> None:
    """As after a restart of the operator, which knows of no report."""
    report = Report(version="0.32.0+cpu", arguments=("/models/tiny", "--x"), startup=(("Imports", 6),))
    before = shown([pod("a")], a=report)
    assert shown([pod("a")], before) == before
    assert shown([], before) == before


def test_replicas_of_the_specification_before_say_nothing_of_this_one() -> None:
    old = Report(version="0.31.0", arguments=("--old",), startup=(("Imports", 900),))
    assert shown([pod("a", revision=OLD)], a=old) == shown()
    assert shown([pod("a", ready=False)], a=old) == shown(), "nor those that are not ready"


def test_a_new_revision_shows_its_own_arguments_at_once_and_the_start_that_is_known_until_it_has_one() -> None:
    """From the start-up before the time is reckoned that the next one may take."""
    before = shown([pod("a")], a=Report(version="0.31.0", arguments=("/models/tiny", "--old"), startup=(("Imports", 100),)))
    after = shown([pod("a", revision=OLD)], before, same_revision=False)
    assert (after["arguments"], after["reportedVersion"], phases(after)) == (["/models/tiny"], "0.31.0", [100])
    assert phases(shown([pod("b")], after, b=started(10))) == [10]


@pytest.mark.parametrize("other", [{"image": "vllm:2"}, {"arguments": ["/models/huge"]}])
def test_the_start_of_another_image_or_model_says_nothing(other: dict[str, Any]) -> None:
    before = shown([pod("a")], a=started(100)) | other
    assert phases(shown([pod("a", revision=OLD)], before, same_revision=False)) == []


def test_of_several_replicas_the_slowest_start_is_shown() -> None:
    assert phases(shown([pod("a"), pod("b")], a=started(6, 40), b=started(9, 100))) == [9, 100]


@pytest.mark.parametrize(
    ("new", "rewritten"),
    [
        ((6, 100), False),
        ((11, 100), False),  # 5 s more
        ((6, 120), False),  # 20 %
        ((6, 80), False),
        ((12, 100), True),
        ((6, 121), True),
        ((6, 79), True),
        ((6, 100, 1), True),
    ],
)
def test_a_start_is_rewritten_only_when_it_is_another_by_more_than_noise(new: tuple[int, ...], rewritten: bool) -> None:
    before = shown([pod("a")], a=started(6, 100))
    assert phases(shown([pod("a")], before, a=started(*new))) == (list(new) if rewritten else [6, 100])


def test_while_a_replica_has_not_been_heard_the_slowest_may_be_that_one() -> None:
    before = shown([pod("a"), pod("b")], a=started(6, 40), b=started(9, 100))
    assert phases(shown([pod("a"), pod("b")], before, a=started(6, 40))) == [9, 100]
    assert phases(shown([pod("a"), pod("b")], before, a=started(6, 400))) == [6, 400]
    assert phases(shown([pod("a")], before, a=started(6, 40))) == [6, 40], "it is gone"


def test_of_unlike_replicas_what_is_shown_stays() -> None:
    one, other = Report(version="0.32.0", arguments=("--a",)), Report(version="0.32.1", arguments=("--b",))
    before = shown([pod("b")], b=other)
    both = shown([pod("a"), pod("b")], before, a=one, b=other)
    assert (both["reportedVersion"], both["arguments"]) == ("0.32.1", ["--b"])
    assert shown([pod("a"), pod("b")], a=other, b=one) == shown([pod("a"), pod("b")], a=one, b=other)


def test_how_an_engine_ended_is_told_with_the_remedy() -> None:
    assert shown([pod("a", ready=False, ended=KV)])["lastFailure"] == {
        "reason": "KVCacheTooSmall",
        "message": "(1024) needs 0.25 GiB, 0.09 GiB are free; lower model.maxLength to 384",
        "state": "Starting",
        "pod": "a",
    }


def test_what_the_launcher_could_not_say_the_kubelet_does() -> None:
    killed = shown([pod("a", ended="", reason="OOMKilled")])["lastFailure"]
    assert killed["reason"] == "OutOfMemory"
    assert killed["message"].startswith("the kernel ended the container at its memory limit; raise the memory limit")
    assert shown([pod("a", ended="the end of\nthe log")])["lastFailure"]["message"] == "the end of the log"


def test_an_engine_that_was_told_to_stop_has_not_failed() -> None:
    assert "lastFailure" not in shown([pod("a", ended=KV, exitCode=0)])
    assert "lastFailure" not in shown([pod("a")])


def test_what_only_the_launcher_remembers_is_told() -> None:
    told = Report(previous_failure=FailureReport("OutOfMemory", "no memory", "use less", "Serving"))
    assert shown([pod("a")], a=told)["lastFailure"] == {"reason": "OutOfMemory", "message": "no memory; use less", "state": "Serving", "pod": "a"}
    assert shown([pod("a", ended=KV)], a=told)["lastFailure"]["reason"] == "KVCacheTooSmall", "the kubelet's is the newer one"


def test_of_several_failures_the_last_is_told() -> None:
    assert shown([pod("a", ended=KV, at="09:05"), pod("b", ended=TAKEN, at="09:04")])["lastFailure"]["pod"] == "a"
    assert shown([pod("a", ended=KV, at="09:05"), pod("b", ended=TAKEN, at="09:06")])["lastFailure"]["pod"] == "b"


def test_what_keeps_a_replica_from_answering_is_told_before_what_is_over() -> None:
    assert shown([pod("a", ended=KV, at="09:05"), pod("b", ready=False, ended=TAKEN, at="09:04")])["lastFailure"]["pod"] == "b"


def test_a_crash_loop_holds_still() -> None:
    """Neither the time nor the numbers in the words are news, nor whose turn it is to crash."""
    pods = [pod("a", ready=False, ended=KV, at="09:00"), pod("b", ready=False, ended=TAKEN, at="09:01")]
    before = shown(pods)
    again = KV | {"message": "(1024) needs 0.25 GiB, 0.11 GiB are free"}
    assert shown([pod("a", ready=False, ended=again, at="09:02"), pods[1]], before) == before
    alone = shown(pods[:1])
    assert shown([pod("a", ready=False, ended=again, at="09:02")], alone) == alone
    assert shown([pod("a", ready=False, ended=TAKEN, at="09:02")], alone)["lastFailure"]["reason"] == "AcceleratorBusy"


def test_a_failure_stays_when_its_pod_is_gone_until_the_next_revision() -> None:
    before = shown([pod("a", ready=False, ended=KV)])
    assert shown([pod("b")], before) == before
    assert "lastFailure" not in shown([pod("b")], before, same_revision=False)
    assert shown([pod("a", ended=KV)], before, same_revision=False)["lastFailure"] == before["lastFailure"], "what can be seen is told"


def test_whatever_a_pod_ends_with_fits() -> None:
    long = {"reason": "R" * 9000, "message": "m\ud800\x1b" * 9000, "remedy": "r" * 9000, "state": "s" * 9000}
    found = shown([pod("a", ended=json.dumps(long))])["lastFailure"]
    assert [len(found[field]) for field in ("reason", "message", "state")] == [128, 4095, 32]
    assert found["message"].endswith("; " + "r" * 1022)
    assert found["message"].isprintable()


def test_a_status_of_another_version_is_read_as_none() -> None:
    assert shown([], {"version": 7, "startup": "long"}) == shown()
