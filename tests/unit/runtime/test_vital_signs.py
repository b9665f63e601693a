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
        signs.health_missed("no answer within 10 s", None)
    assert signs.unready is None


def test_silence_makes_an_engine_unready_and_not_dead(signs: VitalSigns) -> None:
    for _ in range(10 * UNREADY_MISSES):
        signs.health_missed("no answer within 10 s", None)
    assert "no answer within 10 s" in str(signs.unready)
    assert signs.dead is None


def test_an_answer_makes_it_ready_again(signs: VitalSigns) -> None:
    for _ in range(UNREADY_MISSES):
        signs.health_missed("late", None)
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
    assert signs.dead == Death(Reason.ENGINE_STALLED, "requests run, but the engine has made no step for more than 300 s")


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


# --- An engine that stands still since before the requests came -----------------------------------------------------------


def doubted(signs: VitalSigns, clock: Clock) -> None:
    """A request that only we see has been there for long."""
    signs.steps_observed(running=0, steps=50, in_flight=0)
    for _ in range(2):
        signs.steps_observed(running=0, steps=50, in_flight=1)
        clock.now += 301
    signs.steps_observed(running=0, steps=50, in_flight=1)


def test_a_request_that_the_engine_does_not_know_is_a_doubt_and_no_stall(signs: VitalSigns, clock: Clock) -> None:
    doubted(signs, clock)
    assert signs.doubtful
    assert signs.dead is None, "its client may be slow"


def test_an_engine_that_does_not_answer_us_either_stands_still(signs: VitalSigns, clock: Clock) -> None:
    doubted(signs, clock)
    signs.trial_failed("no answer within 300 s")
    assert signs.dead is not None
    assert signs.dead.reason is Reason.ENGINE_STALLED
    assert "no answer within 300 s" in signs.dead.message


def test_a_step_ends_the_doubt(signs: VitalSigns, clock: Clock) -> None:
    doubted(signs, clock)
    signs.steps_observed(running=0, steps=51, in_flight=1)
    signs.trial_failed("too late")
    assert not signs.doubtful
    assert signs.dead is None


def test_a_request_that_begins_after_a_slow_one_is_given_its_time(signs: VitalSigns, clock: Clock) -> None:
    doubted(signs, clock)
    signs.steps_observed(running=1, steps=50, in_flight=2)
    assert signs.dead is None


@pytest.mark.parametrize(("steps", "in_flight"), [(None, 1), (50, None), (50, 0)])
def test_without_a_count_there_is_no_doubt(signs: VitalSigns, clock: Clock, steps: float | None, in_flight: int | None) -> None:
    for _ in range(3):
        signs.steps_observed(running=0, steps=steps, in_flight=in_flight)
        clock.now += 301
    assert not signs.doubtful


# --- A server that hangs ---------------------------------------------------------------------------------------------------


def silent(signs: VitalSigns, clock: Clock, *cpu_seconds: float | None) -> None:
    """Misses a minute apart, with what the server had used at each."""
    for used in cpu_seconds:
        signs.health_missed("no answer within 10 s", used)
        clock.now += 60


def test_a_silent_server_that_uses_no_processor_hangs(signs: VitalSigns, clock: Clock) -> None:
    silent(signs, clock, *[20.0] * 7)
    assert signs.dead is not None
    assert signs.dead.reason is Reason.ENGINE_STALLED
    assert "not answered for more than 300 s" in signs.dead.message


def test_a_silent_server_that_is_only_starved_lives(signs: VitalSigns, clock: Clock) -> None:
    silent(signs, clock, *(20.0 + number for number in range(20)))
    assert signs.dead is None


def test_a_short_silence_is_none(signs: VitalSigns, clock: Clock) -> None:
    silent(signs, clock, *[20.0] * 5)
    assert signs.dead is None


def test_an_answer_ends_the_silence(signs: VitalSigns, clock: Clock) -> None:
    silent(signs, clock, *[20.0] * 7)
    signs.health_answered(200)
    assert signs.dead is None
    silent(signs, clock, *[20.0] * 5)
    assert signs.dead is None


def test_where_the_processor_s_time_is_unknown_nobody_hangs(signs: VitalSigns, clock: Clock) -> None:
    silent(signs, clock, *[None] * 20)
    assert signs.dead is None
