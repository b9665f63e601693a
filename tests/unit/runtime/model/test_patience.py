import pytest

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.patience import LONGEST_WAIT_SECONDS, Patience


def failure(reason: Reason = Reason.SOURCE_UNREACHABLE, retry_after_seconds: float | None = None) -> ModelFailure:
    return ModelFailure(reason, "why", retry_after_seconds=retry_after_seconds)


class Attempts:
    """Fails in the given ways, then succeeds."""

    def __init__(self, *failures: ModelFailure) -> None:
        self.failures = list(failures)
        self.slept: list[float] = []

    def __call__(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "there"

    def patience(self) -> Patience:
        return Patience((1.0, 2.0), self.slept.append)


def test_what_may_pass_is_tried_again_after_growing_waits() -> None:
    attempts = Attempts(failure(), failure(Reason.RATE_LIMITED))
    assert attempts.patience().get(attempts) == "there"
    assert attempts.slept == [1.0, 2.0]


def test_patience_ends() -> None:
    attempts = Attempts(failure(), failure(), failure())
    with pytest.raises(ModelFailure):
        attempts.patience().get(attempts)


@pytest.mark.parametrize("reason", set(Reason) - {Reason.SOURCE_UNREACHABLE, Reason.RATE_LIMITED})
def test_what_stays_as_it_is_is_not_tried_again(reason: Reason) -> None:
    attempts = Attempts(failure(reason))
    with pytest.raises(ModelFailure):
        attempts.patience().get(attempts)
    assert attempts.slept == []


def test_a_source_is_left_alone_as_long_as_it_asks_up_to_a_bound() -> None:
    attempts = Attempts(failure(Reason.RATE_LIMITED, LONGEST_WAIT_SECONDS))
    assert attempts.patience().get(attempts) == "there"
    assert attempts.slept == [LONGEST_WAIT_SECONDS]
    attempts = Attempts(failure(Reason.RATE_LIMITED, LONGEST_WAIT_SECONDS + 1))
    with pytest.raises(ModelFailure):
        attempts.patience().get(attempts)


def test_progress_renews_patience() -> None:
    attempts = Attempts()
    patience = attempts.patience()
    for _ in range(5):
        patience.wait(failure())
        patience.progressed()
    assert attempts.slept == [1.0] * 5


def test_only_what_may_pass_ends_with_the_exit_code_that_says_so() -> None:
    assert {reason: failure(reason).exit_code for reason in Reason} == {
        reason: 75 if reason in (Reason.SOURCE_UNREACHABLE, Reason.RATE_LIMITED) else 1 for reason in Reason
    }
