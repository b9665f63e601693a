from pathlib import Path

import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure
from llmfleet_runtime.previous_failure import NAME, PreviousFailure

FAILURE = Failure(Reason.OUT_OF_MEMORY, "CUDA out of memory", "use a larger accelerator", 1)


def test_the_first_container_of_a_pod_has_none_before_it(tmp_path: Path) -> None:
    assert PreviousFailure(tmp_path).document is None


def test_a_failure_is_told_to_the_next_container(tmp_path: Path) -> None:
    PreviousFailure(tmp_path).failed(FAILURE, "Starting")
    expected = {"reason": "OutOfMemory", "message": "CUDA out of memory", "remedy": "use a larger accelerator", "state": "Starting"}
    assert PreviousFailure(tmp_path).document == expected
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_container_that_was_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    container = PreviousFailure(tmp_path)
    container.alive("Serving")
    container.stopped()
    assert PreviousFailure(tmp_path).document is None


def test_a_container_that_could_say_nothing_at_its_end_was_killed(tmp_path: Path) -> None:
    PreviousFailure(tmp_path).alive("Serving")
    document = PreviousFailure(tmp_path).document
    assert document is not None
    assert (document["reason"], document["state"]) == ("EngineDied", "Serving")
    assert "memory limit" in document["message"]


def test_what_was_before_is_still_known_while_the_next_one_lives(tmp_path: Path) -> None:
    PreviousFailure(tmp_path).failed(FAILURE, "Starting")
    container = PreviousFailure(tmp_path)
    container.alive("Serving")
    assert container.document is not None
    assert container.document["reason"] == "OutOfMemory"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"reason": 1}', '{"reason": "OutOfMemory"}'])
def test_a_file_that_is_not_ours_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert PreviousFailure(tmp_path).document is None


def test_a_volume_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    PreviousFailure(tmp_path / "no").failed(FAILURE, "Starting")
