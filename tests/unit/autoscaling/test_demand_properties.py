"""What holds for every load, target and state of the replicas."""

from hypothesis import given
from hypothesis import strategies as st

from llmfleet.autoscaling.demand import LOADING_DEADLINE_SECONDS, Bounds, Demand, InFlightTarget, NoData, QueueDepthTarget, Replicas, Target, demand
from llmfleet.autoscaling.window import Load, Sample, Slots, SlotsOrigin, Window

NOW = 1_000_000.0

requests = st.integers(0, 100_000)
targets = st.one_of(st.builds(QueueDepthTarget, st.integers(0, 1000)), st.builds(InFlightTarget, st.integers(1, 1000)))
slots = st.builds(Slots, st.integers(1, 4096), st.sampled_from(SlotsOrigin))


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    low, high = sorted(draw(st.tuples(st.integers(1, 1000), st.integers(1, 1000))))
    return Bounds(low, high)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Slots, frozenset[str], Replicas]:
    """Slots, the replicas heard, and the replicas there are."""
    names = [f"pod-{number}" for number in range(6)]
    there, heard = draw(st.sets(st.sampled_from(names))), draw(st.sets(st.sampled_from(names), min_size=1))
    since = draw(st.floats(NOW - 2 * LOADING_DEADLINE_SECONDS, NOW))
    return draw(slots), frozenset(heard), Replicas(draw(st.integers(0, 12)), frozenset(there), since)


@given(situations(), targets, bounds(), requests, requests, requests)
def test_demand_never_falls_when_load_rises(
    situation: tuple[Slots, frozenset[str], Replicas], target: Target, limits: Bounds, waiting: int, running: int, more: int
) -> None:
    count, heard, replicas = situation
    low = demand(Load(waiting, running, count, heard), target, limits, replicas, NOW)
    for high in (
        demand(Load(waiting + more, running, count, heard), target, limits, replicas, NOW),
        demand(Load(waiting, running + more, count, heard), target, limits, replicas, NOW),
    ):
        if isinstance(low, Demand):
            assert isinstance(high, Demand)
            assert high.replicas >= low.replicas


@given(situations(), targets, bounds(), requests, requests)
def test_demand_stays_within_the_bounds(situation: tuple[Slots, frozenset[str], Replicas], target: Target, limits: Bounds, waiting: int, running: int) -> None:
    count, heard, replicas = situation
    answer = demand(Load(waiting, running, count, heard), target, limits, replicas, NOW)
    if isinstance(answer, Demand):
        assert limits.minimum <= answer.replicas <= limits.maximum


@given(situations(), targets, bounds(), requests, requests)
def test_demand_does_not_rise_while_replicas_load(
    situation: tuple[Slots, frozenset[str], Replicas], target: Target, limits: Bounds, waiting: int, running: int
) -> None:
    count, heard, replicas = situation
    answer = demand(Load(waiting, running, count, heard), target, limits, replicas, NOW)
    since = replicas.raised_at_seconds
    if isinstance(answer, Demand) and replicas.loading and NOW - since < LOADING_DEADLINE_SECONDS:
        assert answer.replicas <= max(replicas.wanted, limits.minimum)


@given(situations(), targets, bounds(), requests, requests)
def test_silence_never_scales_down(situation: tuple[Slots, frozenset[str], Replicas], target: Target, limits: Bounds, waiting: int, running: int) -> None:
    count, heard, replicas = situation
    answer = demand(Load(waiting, running, count, heard), target, limits, replicas, NOW)
    if replicas.ready - heard:
        assert isinstance(answer, NoData) or answer.replicas >= min(replicas.wanted, limits.maximum)


@given(situations(), st.integers(0, 1000), requests, requests)
def test_the_replicas_suffice_and_one_fewer_would_not(situation: tuple[Slots, frozenset[str], Replicas], queue: int, waiting: int, running: int) -> None:
    count, heard, _ = situation
    answer = demand(Load(waiting, running, count, heard), QueueDepthTarget(queue), Bounds(1, 10**9), Replicas(1, frozenset(), 0.0), NOW)
    if isinstance(answer, Demand) and answer.replicas > 1:
        capacity = count.count + queue
        assert (answer.replicas - 1) * capacity < waiting + running <= answer.replicas * capacity


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1), min_size=1, max_size=20))
def test_a_window_never_sees_more_than_there_was(history: list[dict[str, tuple[int, int]]]) -> None:
    """The load is that of one round, a replica that was silent in it counted with a sample of the last 15 s."""
    window = Window()
    for number, queues in enumerate(history):
        at = 5.0 * number
        window.observe(at, "abc", {pod: Sample(at, waiting, running, 256) for pod, (waiting, running) in queues.items()})
    load = window.load(5.0 * (len(history) - 1))
    assert load is not None
    most = {pod: max((sum(queues[pod]) for queues in history if pod in queues), default=0) for pod in "abc"}
    assert sum(history[-1][pod][0] + history[-1][pod][1] for pod in history[-1]) <= load.in_flight <= sum(most.values())
    assert load.slots.count >= 1
