import pytest

from llmfleet.autoscaling.demand import (
    LOADING_DEADLINE_SECONDS,
    Bounds,
    Demand,
    InFlightTarget,
    NoData,
    QueueDepthTarget,
    Replicas,
    Target,
    demand,
)
from llmfleet.autoscaling.window import Load, Slots, SlotsOrigin

NOW = 1_000_000.0
QUEUE = QueueDepthTarget(waiting=4)
WIDE = Bounds(minimum=1, maximum=1000)


def pods(count: int) -> frozenset[str]:
    return frozenset(f"pod-{number}" for number in range(count))


def load(waiting: int, running: int, *, replicas: int = 1, slots: int = 256, origin: SlotsOrigin = SlotsOrigin.REPORTED) -> Load:
    return Load(waiting=waiting, running=running, slots=Slots(slots, origin), heard=pods(replicas))


def ready(count: int) -> Replicas:
    return Replicas(wanted=count, ready=pods(count), raised_at_seconds=NOW)


def replicas_of(answer: Demand | NoData) -> int:
    assert isinstance(answer, Demand), answer
    return answer.replicas


def test_a_thousand_requests_on_256_slots_with_a_queue_of_4_need_4_replicas() -> None:
    answer = demand(load(744, 256), QUEUE, WIDE, ready(1), NOW)
    assert answer == Demand(4, "1,000 in flight / (256 slots + 4 queue) per replica = 4")


def test_peers_13_twice_the_load_never_asks_for_fewer() -> None:
    """Peers divide an average by the target as if it were the total: load doubles, replicas halve."""
    once = replicas_of(demand(load(0, 600, replicas=3), QUEUE, WIDE, ready(3), NOW))
    twice = replicas_of(demand(load(432, 768, replicas=3), QUEUE, WIDE, ready(3), NOW))
    assert (once, twice) == (3, 5)


def test_peers_14_a_queue_of_150_does_not_ask_for_50_replicas() -> None:
    assert replicas_of(demand(load(150, 256), QueueDepthTarget(3), WIDE, ready(1), NOW)) == 2


def test_peers_14_replicas_on_their_way_are_not_asked_for_again() -> None:
    """Peers go 2, 4, 8, 16 while the first of them still loads."""
    loading = Replicas(wanted=2, ready=pods(1), raised_at_seconds=NOW - 60)
    answer = demand(load(1500, 256), QUEUE, WIDE, loading, NOW)
    assert answer == Demand(2, "1,756 in flight / (256 slots + 4 queue) per replica = 7; 1 replica still loading, no more until then")


def test_replicas_whose_pods_do_not_exist_yet_are_on_their_way() -> None:
    assert replicas_of(demand(load(1500, 256), QUEUE, WIDE, Replicas(wanted=2, ready=pods(1), raised_at_seconds=NOW), NOW)) == 2


def test_peers_15_no_data_is_an_error_and_never_zero() -> None:
    answer = demand(None, QUEUE, WIDE, ready(2), NOW)
    assert answer == NoData("none of 2 ready replicas answered for 15 s (pod-0, pod-1)")
    assert isinstance(demand(None, QUEUE, WIDE, Replicas(wanted=1, ready=frozenset(), raised_at_seconds=NOW), NOW), NoData)


def test_peers_15_a_ready_replica_that_is_silent_makes_the_load_unknown() -> None:
    answer = demand(load(0, 100, replicas=2), QUEUE, WIDE, ready(3), NOW)
    assert answer == NoData("1 of 3 ready replicas did not answer for 15 s (pod-2): their load is unknown")


def test_what_is_known_counts_where_it_already_asks_for_more_than_there_is() -> None:
    assert replicas_of(demand(load(700, 512, replicas=2), QUEUE, WIDE, ready(3), NOW)) == 5


def test_what_is_known_does_not_count_where_maximum_is_reached() -> None:
    """There it asks for nothing more, and the silent replica may be why it is there."""
    assert isinstance(demand(load(700, 512, replicas=2), QUEUE, Bounds(1, 3), ready(3), NOW), NoData)


def test_peers_16_a_step_asks_for_all_it_needs_at_once() -> None:
    assert replicas_of(demand(load(1000, 0), QUEUE, WIDE, ready(1), NOW)) == 4


@pytest.mark.parametrize("late", [0, 1000])
def test_peers_18_a_replica_that_never_comes_does_not_block_decisions(late: float) -> None:
    """After the deadline demand rises again; fall it may at any time."""
    stuck = Replicas(wanted=3, ready=pods(2), raised_at_seconds=NOW - LOADING_DEADLINE_SECONDS - late)
    assert replicas_of(demand(load(1000, 512, replicas=2), QUEUE, WIDE, stuck, NOW)) == 6
    loading = Replicas(wanted=3, ready=pods(2), raised_at_seconds=NOW)
    assert replicas_of(demand(load(0, 10, replicas=2), QUEUE, WIDE, loading, NOW)) == 1


def test_a_rollout_that_replaces_replicas_one_by_one_does_not_stop_the_scaler() -> None:
    """One of eight is always loading, for an hour: nobody asked for it anew."""
    rolling = Replicas(wanted=8, ready=pods(7), raised_at_seconds=NOW - 3600)
    assert replicas_of(demand(load(2000, 1792, replicas=7), QUEUE, WIDE, rolling, NOW)) == 15


def test_an_idle_service_keeps_its_minimum() -> None:
    assert demand(load(0, 0), QUEUE, Bounds(2, 5), ready(1), NOW) == Demand(2, "0 in flight / (256 slots + 4 queue) per replica = 0; at least 2 (minReplicas)")


def test_the_maximum_is_named() -> None:
    assert demand(load(744, 256), QUEUE, Bounds(1, 3), ready(1), NOW) == Demand(
        3, "1,000 in flight / (256 slots + 4 queue) per replica = 4; at most 3 (maxReplicas)"
    )


@pytest.mark.parametrize(("in_flight", "replicas"), [(0, 1), (8, 1), (9, 2), (80, 10)])
def test_an_in_flight_target_is_what_one_replica_bears(in_flight: int, replicas: int) -> None:
    assert replicas_of(demand(load(0, in_flight), InFlightTarget(8), WIDE, ready(1), NOW)) == replicas


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (SlotsOrigin.LEARNED, "(8 slots as observed + 4 queue)"),
        (SlotsOrigin.ASSUMED, "(8 slots assumed, vLLM's smallest default on a GPU, + 4 queue)"),
    ],
)
def test_the_reason_says_where_the_slots_come_from(origin: SlotsOrigin, words: str) -> None:
    answer = demand(load(20, 8, slots=8, origin=origin), QUEUE, WIDE, ready(1), NOW)
    assert answer == Demand(3, f"28 in flight / {words} per replica = 3")


def test_zero_as_target_means_that_nothing_should_wait() -> None:
    target: Target = QueueDepthTarget(0)
    assert replicas_of(demand(load(1, 256), target, WIDE, ready(1), NOW)) == 2


def test_one_replica_more_than_wanted_as_in_a_rollout_is_neither_on_its_way_nor_asked_for() -> None:
    surge = Replicas(wanted=2, ready=pods(3), raised_at_seconds=NOW)
    assert surge.loading == 0
    assert replicas_of(demand(load(0, 300, replicas=3), QUEUE, WIDE, surge, NOW)) == 2


def test_a_new_revision_that_is_held_keeps_no_decision_back() -> None:
    """The replicas of the revision before are all that are wanted, and all of them answer."""
    assert replicas_of(demand(load(1000, 256, replicas=2), QUEUE, WIDE, ready(2), NOW)) == 5
