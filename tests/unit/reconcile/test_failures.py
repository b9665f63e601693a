import json
from typing import Any

import pytest

from llmfleet.names import Reason
from llmfleet.reconcile.failures import reason_and_message, worst


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": list(containers), "initContainerStatuses": list(init), **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"name": "engine", "image": "vllm:1", "ready": False, "state": {"waiting": {"reason": reason, "message": message}}}


def crashed(message: str) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}
    return waiting("CrashLoopBackOff") | {"lastState": ended}


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_both_faces_of_a_failed_pull_read_the_same(reason: str) -> None:
    found = worst([pod(waiting(reason, "words that alternate"))])
    assert found is not None
    assert (found.reason, found.message) == (Reason.IMAGE_PULL_FAILED, "image vllm:1 of container engine cannot be pulled")
    assert found.final


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (json.dumps({"reason": "OutOfMemory", "message": "CUDA out of memory"}), "container engine: OutOfMemory: CUDA out of memory"),
        ("ValueError: no\n", "container engine: ValueError: no"),
        ("", "container engine: Error, exit code 1"),
        ("[1]", "container engine: [1]"),
        pytest.param("[" * 4096, "container engine: " + "[" * 4096, id="nested beyond measure"),
        ('{"other": 1}', 'container engine: {"other": 1}'),
    ],
)
def test_a_crash_is_told_in_the_engines_words(message: str, told: str) -> None:
    found = worst([pod(crashed(message))])
    assert found is not None
    assert (found.reason, found.message) == (Reason.CRASH_LOOP, told)


def test_no_node_is_told_in_the_schedulers_words_and_may_pass() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    found = worst([pod(conditions=[condition])])
    assert found is not None
    assert (found.reason, found.message, found.final) == (Reason.UNSCHEDULABLE, "0/3 nodes: no gpu", False)


def test_a_missing_secret_is_a_configuration_error() -> None:
    found = worst([pod(waiting("CreateContainerConfigError", 'secret "hf" not found'))])
    assert found is not None
    assert (found.reason, found.message) == (Reason.CONFIG_ERROR, 'container engine: secret "hf" not found')


def test_a_failing_init_container_is_named() -> None:
    found = worst([pod(waiting("PodInitializing"), init=(crashed("no space") | {"name": "runtime"},))])
    assert found is not None
    assert found.message == "container runtime: no space"


def test_an_evicted_pod_without_containers_says_why() -> None:
    found = worst([{"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}])
    assert found is not None
    assert (found.reason, found.message, found.final) == (Reason.POD_REFUSED, "Evicted: low on memory", False)


def test_an_evicted_pod_is_forgotten_where_another_has_taken_its_place() -> None:
    evicted = {"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}
    assert worst([evicted, pod({"name": "engine", "ready": False, "state": {"running": {}}})]) is None


def test_one_crash_may_be_chance_a_second_is_a_loop() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "x"}}
    running = {"name": "engine", "ready": False, "state": {"running": {}}, "lastState": ended}
    for restarts, final in ((1, False), (2, True)):
        found = worst([pod({**running, "restartCount": restarts})])
        assert found is not None
        assert (found.reason, found.final) == (Reason.CRASH_LOOP, final)


def test_a_pod_that_is_being_deleted_has_no_failure() -> None:
    going = pod(crashed("killed"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert worst([going]) is None


def test_what_ended_well_is_no_failure() -> None:
    done = {"name": "runtime", "ready": False, "state": {"terminated": {"exitCode": 0}}}
    assert worst([pod(init=(done,))]) is None


def test_what_a_person_must_mend_is_told_first_in_any_order() -> None:
    pods = [pod(waiting("ErrImagePull")), pod(crashed("x"))]
    assert worst(pods) == worst(reversed(pods))
    assert (found := worst(pods)) is not None
    assert found.reason is Reason.CRASH_LOOP


def test_half_a_surrogate_pair_is_not_carried_on() -> None:
    assert reason_and_message('{"reason": "R", "message": "a \\ud800 b"}') == ("R", "a ? b")
