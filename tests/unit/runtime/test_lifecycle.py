import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure
from llmfleet_runtime.lifecycle import TRANSITIONS, IllegalTransition, Lifecycle, State, Stay
from tests.unit.runtime.clock import Clock

FAILURE = Failure(Reason.ENGINE_DIED, "why", "do this", 1)


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def life(clock: Clock) -> Lifecycle:
    """An engine's whose process has just been started."""
    life = Lifecycle(clock)
    life.preflight_passed()
    return life


def serving(life: Lifecycle) -> Lifecycle:
    life.engine_listens()
    life.engine_answered()
    return life


def test_an_engine_is_looked_at_starts_warms_and_serves(clock: Clock) -> None:
    life = Lifecycle(clock)
    seen = [life.state]
    life.preflight_passed()
    seen.append(life.state)
    life.engine_listens()
    seen.append(life.state)
    life.engine_answered()
    seen.append(life.state)
    assert seen == [State.PREFLIGHT, State.STARTING, State.WARMING, State.SERVING]


def test_health_alone_is_not_serving(life: Lifecycle) -> None:
    life.engine_listens()
    life.engine_listens()
    assert life.state is State.WARMING


def test_an_answer_after_the_order_to_stop_changes_nothing(life: Lifecycle) -> None:
    life.engine_listens()
    life.stop_requested()
    life.engine_answered()
    assert life.state is State.DRAINING


def test_only_an_engine_that_served_has_requests_to_wait_for(clock: Clock) -> None:
    lives = [Lifecycle(clock) for _ in range(4)]
    events = (Lifecycle.preflight_passed, Lifecycle.engine_listens, Lifecycle.engine_answered)
    for count, life in enumerate(lives):
        for event in events[:count]:
            event(life)
        life.stop_requested()
    assert [life.drains for life in lives] == [False, False, False, True]


def test_a_second_order_to_stop_changes_nothing(life: Lifecycle) -> None:
    serving(life).stop_requested()
    life.stop_requested()
    assert life.state is State.DRAINING
    assert life.drains


def test_an_engine_may_fail_while_it_drains(life: Lifecycle) -> None:
    serving(life).stop_requested()
    life.engine_failed(FAILURE)
    assert (life.state, life.failure, life.failed_in) == (State.FAILED, FAILURE, State.DRAINING)


@pytest.mark.parametrize("state", [state for state in State if TRANSITIONS[state]])
def test_from_every_state_before_the_end_an_engine_can_be_stopped_and_can_fail(state: State) -> None:
    assert State.FAILED in TRANSITIONS[state]
    assert TRANSITIONS[state] & {State.DRAINING, State.STOPPED}


def test_an_engine_that_nobody_stopped_cannot_be_stopped(life: Lifecycle) -> None:
    with pytest.raises(IllegalTransition):
        serving(life).engine_stopped()


@pytest.mark.parametrize("end", [State.STOPPED, State.FAILED])
def test_nothing_follows_the_end(end: State) -> None:
    assert not TRANSITIONS[end]


def test_the_states_are_told_with_their_times(clock: Clock) -> None:
    life = Lifecycle(clock)
    clock.now += 1
    life.preflight_passed()
    clock.now += 20
    life.engine_listens()
    clock.now += 3
    life.engine_answered()
    clock.now += 100
    assert life.stays() == [Stay(State.PREFLIGHT, 1.0), Stay(State.STARTING, 20.0), Stay(State.WARMING, 3.0), Stay(State.SERVING, 100.0)]
    assert life.seconds_in_state() == 100


def test_every_change_is_told_once(clock: Clock) -> None:
    told: list[State] = []
    life = Lifecycle(clock, told.append)
    life.preflight_passed()
    serving(life)
    life.engine_listens()
    life.stop_requested()
    life.engine_stopped()
    assert told == [State.STARTING, State.WARMING, State.SERVING, State.DRAINING, State.STOPPED]
