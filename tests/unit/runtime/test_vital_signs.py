import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.vital_signs import DEAD_ANSWERS, UNREADY_MISSES, Death, VitalSigns
from tests.unit.runtime.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def signs(clock: Clock) -> VitalSigns:
    return VitalSigns(clock, stall_timeout_seconds=300)


def test_one_late_answer_does_not_make_an_engine_unready(signs: VitalSigns) -> None:
    for _ in range(UNREADY_MISSES - 1):
        signs.health_missed("no answer within 10 s")
    assert signs.unready is None


def test_silence_makes_an_engine_unready_and_not_dead(signs: VitalSigns) -> None:
    for _ in range(10 * UNREADY_MISSES):
        signs.health_missed("no answer within 10 s")
    assert "no answer within 10 s" in str(signs.unready)
    assert signs.dead is None


def test_an_answer_makes_it_ready_again(signs: VitalSigns) -> None:
    for _ in range(UNREADY_MISSES):
        signs.health_missed("late")
    signs.health_answered(200)
    assert signs.unready is None


def test_an_engine_that_calls_itself_dead_twice_is_dead(signs: VitalSigns) -> None:
    signs.health_answered(503)
    assert signs.dead is None
    for _ in range(DEAD_ANSWERS - 1):
        signs.health_answered(503)
    assert signs.dead == Death(Reason.ENGINE_DIED, "vLLM says that its engine is dead: /health answers 503")
    assert signs.unready == "vLLM says that its engine is dead: /health answers 503"


def test_running_requests_without_a_step_for_long_are_a_stopped_engine(signs: VitalSigns, clock: Clock) -> None:
    signs.steps_observed(running=2, steps=50)
    clock.now += 301
    signs.steps_observed(running=2, steps=50)
    assert signs.dead == Death(Reason.ENGINE_STALLED, "requests run, but the engine has made no step for 301 s")


def test_a_slow_engine_that_makes_steps_lives(signs: VitalSigns, clock: Clock) -> None:
    for step in range(10):
        signs.steps_observed(running=8, steps=step)
        clock.now += 299
    assert signs.dead is None


def test_an_idle_engine_makes_no_steps_and_lives(signs: VitalSigns, clock: Clock) -> None:
    signs.steps_observed(running=0, steps=50)
    clock.now += 10_000
    signs.steps_observed(running=0, steps=50)
    clock.now += 1
    signs.steps_observed(running=1, steps=50)
    assert signs.dead is None


def test_an_engine_too_busy_to_be_read_is_not_called_stopped(signs: VitalSigns, clock: Clock) -> None:
    signs.steps_observed(running=2, steps=50)
    clock.now += 10_000
    assert signs.dead is None


def test_an_engine_that_does_not_count_its_steps_is_not_called_stopped(signs: VitalSigns, clock: Clock) -> None:
    for _ in range(2):
        signs.steps_observed(running=2, steps=None)
        clock.now += 10_000
    assert signs.dead is None


def test_a_step_ends_the_stall(signs: VitalSigns, clock: Clock) -> None:
    signs.steps_observed(running=2, steps=50)
    clock.now += 301
    signs.steps_observed(running=2, steps=50)
    signs.steps_observed(running=2, steps=51)
    assert signs.dead is None
