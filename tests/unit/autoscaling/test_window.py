from llmfleet.autoscaling.window import ASSUMED_SLOTS, Load, Sample, Slots, SlotsOrigin, Window


def rounds(window: Window, *queues: dict[str, tuple[int, int]], start: float = 0, max_sequences: int | None = 256) -> float:
    """One round each 5 s of (waiting, running) per replica; gives the time of the last."""
    at = start
    for number, queue in enumerate(queues):
        at = start + 5.0 * number
        window.observe(at, queue, {pod: Sample(at, waiting, running, max_sequences) for pod, (waiting, running) in queue.items()})
    return at


def load_of(window: Window, now_seconds: float) -> Load:
    load = window.load(now_seconds)
    assert load is not None
    return load


def test_nothing_heard_is_no_load() -> None:
    window = Window()
    assert window.load(0) is None
    window.observe(0, ["a"], {})
    assert window.load(0) is None


def test_the_load_is_the_sum_over_the_replicas() -> None:
    window = Window()
    now = rounds(window, {"a": (3, 10), "b": (1, 20)})
    load = load_of(window, now)
    assert (load.waiting, load.running, load.in_flight, load.heard) == (4, 30, 34, frozenset("ab"))


def test_a_rise_counts_at_once() -> None:
    window = Window()
    now = rounds(window, {"a": (0, 0)}, {"a": (900, 100)})
    assert load_of(window, now).in_flight == 1000


def test_a_scrape_between_two_batches_does_not_flap() -> None:
    """The figures measured on vLLM 0.32 with 64 clients that ask again at once."""
    window = Window()
    now = rounds(window, {"a": (56, 8)}, {"a": (45, 3)})
    assert load_of(window, now).in_flight == 64


def test_a_decline_counts_after_the_smoothing() -> None:
    window = Window()
    now = rounds(window, {"a": (0, 100)}, {"a": (0, 10)}, {"a": (0, 10)}, {"a": (0, 10)})
    assert load_of(window, now).in_flight == 10


def test_load_that_moves_between_replicas_is_not_counted_twice() -> None:
    window = Window()
    now = rounds(window, {"a": (0, 100), "b": (0, 0)}, {"a": (0, 50), "b": (0, 50)}, {"a": (0, 0), "b": (0, 100)})
    assert load_of(window, now).in_flight == 100


def test_a_silent_replica_counts_with_its_last_sample_for_15_seconds() -> None:
    window = Window()
    window.observe(0, ["a", "b"], {"a": Sample(0, 0, 30, 256), "b": Sample(0, 0, 40, 256)})
    for at in (5.0, 10.0):
        window.observe(at, ["a", "b"], {"a": Sample(at, 0, 30, 256)})
    assert load_of(window, 14.9).heard == {"a", "b"}
    assert load_of(window, 14.9).in_flight == 70
    for at in (15.0, 20.0, 25.0):
        window.observe(at, ["a", "b"], {"a": Sample(at, 0, 30, 256)})
    assert load_of(window, 25.0).heard == {"a"}
    assert load_of(window, 25.0).in_flight == 30


def test_a_scraper_that_stands_still_gives_no_load() -> None:
    window = Window()
    now = rounds(window, {"a": (0, 30)})
    assert window.load(now + 15) is None


def test_a_replica_that_vanished_is_dropped() -> None:
    window = Window()
    now = rounds(window, {"a": (0, 30), "b": (0, 40)}, {"a": (0, 30)})
    assert load_of(window, now).heard == {"a"}


def test_slots_are_the_smallest_that_is_reported() -> None:
    window = Window()
    window.observe(0, ["a", "b"], {"a": Sample(0, 0, 1, 128), "b": Sample(0, 0, 1, 512)})
    assert load_of(window, 0).slots == Slots(128, SlotsOrigin.REPORTED)


def test_slots_that_nobody_reports_are_assumed() -> None:
    window = Window()
    now = rounds(window, {"a": (0, 1)}, max_sequences=None)
    assert load_of(window, now).slots == Slots(ASSUMED_SLOTS, SlotsOrigin.ASSUMED)


def test_slots_are_learned_where_requests_wait_beside_free_ones() -> None:
    window = Window()
    now = rounds(window, *[{"a": (20, 8)}] * 6)
    assert load_of(window, now).slots.origin is SlotsOrigin.REPORTED
    now = rounds(window, {"a": (20, 8)}, start=30)
    assert load_of(window, now).slots == Slots(8, SlotsOrigin.LEARNED)


def test_slots_are_learned_where_none_are_reported() -> None:
    window = Window()
    now = rounds(window, *[{"a": (20, 8)}] * 7, max_sequences=None)
    assert load_of(window, now).slots == Slots(8, SlotsOrigin.LEARNED)


def test_a_scrape_between_two_batches_does_not_teach_fewer_slots() -> None:
    window = Window()
    now = rounds(window, *[{"a": (48, 8)}, {"a": (45, 3)}] * 4)
    assert load_of(window, now).slots == Slots(8, SlotsOrigin.LEARNED)


def test_the_ramp_of_a_burst_teaches_nothing() -> None:
    """Prefill admits a thousand long prompts over a minute: the batch grows, so it is not bound."""
    window = Window()
    now = rounds(window, *[{"a": (1000 - running, running)} for running in range(20, 256, 20)])
    assert load_of(window, now).slots == Slots(256, SlotsOrigin.REPORTED)


def test_a_full_batch_is_as_reported() -> None:
    window = Window()
    now = rounds(window, *[{"a": (700, 256)}] * 10)
    assert load_of(window, now).slots == Slots(256, SlotsOrigin.REPORTED)


def test_a_queue_that_empties_in_between_teaches_nothing() -> None:
    window = Window()
    now = rounds(window, *[{"a": (2, 8)}, {"a": (2, 8)}, {"a": (0, 8)}] * 4)
    assert load_of(window, now).slots.origin is SlotsOrigin.REPORTED


def test_learned_slots_are_remembered_for_half_an_hour() -> None:
    """Or the scale-down would forget why it scaled up: with the second replica nothing waits any more."""
    window = Window()
    learned_at = rounds(window, *[{"a": (20, 8)}] * 7)
    now = rounds(window, *[{"a": (0, 7), "b": (0, 7)}] * 100, start=learned_at + 5)
    assert load_of(window, now).slots == Slots(8, SlotsOrigin.LEARNED)
    now = rounds(window, *[{"a": (0, 7)}] * 10, start=learned_at + 30 * 60)
    assert load_of(window, now).slots == Slots(256, SlotsOrigin.REPORTED)


def test_a_replica_that_runs_more_than_was_learned_raises_it() -> None:
    window = Window()
    learned_at = rounds(window, *[{"a": (20, 8)}] * 7)
    now = rounds(window, {"a": (0, 30)}, {"a": (0, 10)}, start=learned_at + 5)
    assert load_of(window, now).slots == Slots(30, SlotsOrigin.LEARNED)


def test_a_replica_that_runs_more_than_is_assumed_has_more_slots() -> None:
    """An engine on a large GPU runs 1,024 by default; when its limit is not reported, what it runs is known all the same, and remembered."""
    window = Window()
    now = rounds(window, {"a": (0, 800)}, {"a": (0, 100)}, max_sequences=None)
    assert load_of(window, now).slots == Slots(800, SlotsOrigin.LEARNED)


def test_one_replica_bound_by_long_prompts_does_not_speak_for_the_others() -> None:
    window = Window()
    now = rounds(window, *[{"a": (20, 8), "b": (0, 200)}] * 7)
    assert load_of(window, now).slots == Slots(104, SlotsOrigin.LEARNED)


def test_a_replica_that_idles_is_taken_for_one_like_those_that_are_bound() -> None:
    window = Window()
    now = rounds(window, *[{"a": (20, 8), "b": (0, 1)}] * 7)
    assert load_of(window, now).slots == Slots(8, SlotsOrigin.LEARNED)


def test_requests_that_are_on_their_way_to_the_engine_are_in_flight() -> None:
    window = Window()
    window.observe(0, ["a", "b"], {"a": Sample(0, 3, 10, 256, arriving=40), "b": Sample(0, 0, 0, 256, arriving=2)})
    load = load_of(window, 0)
    assert (load.waiting, load.running, load.arriving, load.in_flight) == (3, 10, 42, 55)


def test_the_greatest_round_is_the_one_with_the_most_in_flight() -> None:
    window = Window()
    window.observe(0, ["a"], {"a": Sample(0, 0, 10, 256, arriving=90)})
    window.observe(5, ["a"], {"a": Sample(5, 20, 30, 256)})
    assert load_of(window, 5).in_flight == 100


def test_requests_on_their_way_teach_no_slots() -> None:
    """Only the engine's own queue says that it is full."""
    window = Window()
    for number in range(10):
        at = 5.0 * number
        window.observe(at, ["a"], {"a": Sample(at, 0, 8, 256, arriving=100)})
    assert load_of(window, 45).slots.origin is SlotsOrigin.REPORTED
