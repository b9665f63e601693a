import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure
from llmfleet_runtime.lifecycle import TRANSITIONS, IllegalTransition, Lifecycle, Phase, State
from tests.unit.runtime.clock import Clock

FAILURE = Failure(Reason.ENGINE_DIED, "why", "do this", 1)


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def life(clock: Clock) -> Lifecycle:
    return Lifecycle(clock)


def serving(life: Lifecycle) -> Lifecycle:
    life.engine_listens()
    life.engine_answered()
    return life


def test_an_engine_starts_warms_and_serves(life: Lifecycle) -> None:
    seen = [life.state]
    life.engine_listens()
    seen.append(life.state)
    life.engine_answered()
    seen.append(life.state)
    assert seen == [State.STARTING, State.WARMING, State.SERVING]


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
    starting, warming, served = Lifecycle(clock), Lifecycle(clock), serving(Lifecycle(clock))
    warming.engine_listens()
    for life in (starting, warming, served):
        life.stop_requested()
    assert [life.drains for life in (starting, warming, served)] == [False, False, True]


def test_a_second_order_to_stop_changes_nothing(life: Lifecycle) -> None:
    serving(life).stop_requested()
    life.stop_requested()
    assert life.state is State.DRAINING
    assert life.drains


def test_an_engine_may_fail_while_it_drains(life: Lifecycle) -> None:
    serving(life).stop_requested()
    life.engine_failed(FAILURE)
    assert (life.state, life.failure) == (State.FAILED, FAILURE)


def test_an_engine_that_nobody_stopped_cannot_be_stopped(life: Lifecycle) -> None:
    with pytest.raises(IllegalTransition):
        serving(life).engine_stopped()


@pytest.mark.parametrize("end", [State.STOPPED, State.FAILED])
def test_nothing_follows_the_end(end: State) -> None:
    assert not TRANSITIONS[end]


def test_phases_are_the_durations_of_the_start(life: Lifecycle, clock: Clock) -> None:
    clock.now += 20
    life.engine_listens()
    clock.now += 3
    assert life.phases() == [Phase("Starting", 20.0), Phase("Warming", 3.0)]
    life.engine_answered()
    clock.now += 1000
    assert life.phases() == [Phase("Starting", 20.0), Phase("Warming", 3.0)]


def test_a_phase_under_way_counts_until_now(life: Lifecycle, clock: Clock) -> None:
    clock.now += 7
    assert life.phases() == [Phase("Starting", 7.0)]


def test_every_change_is_told_once(clock: Clock) -> None:
    told: list[State] = []
    life = serving(Lifecycle(clock, told.append))
    life.engine_listens()
    life.stop_requested()
    life.engine_stopped()
    assert told == [State.WARMING, State.SERVING, State.DRAINING, State.STOPPED]
