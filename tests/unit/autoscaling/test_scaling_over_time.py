"""The whole chain over time: engines that run what fits, scrapes of 5 s, an HPA that synchronises each 15 s, replicas that load for minutes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from llmfleet.autoscaling.demand import Bounds, Demand, QueueDepthTarget, Replicas, demand
from llmfleet.autoscaling.window import Sample, Window


@dataclass
class Simulation:
    """`slots` is what a replica really runs at once, `max_sequences` what it reports."""

    slots: int
    max_sequences: int | None
    load_seconds: float
    created: list[float] = field(default_factory=lambda: [-1e6])
    wanted: list[int] = field(default_factory=list)

    def run(self, in_flight: Callable[[float], int], seconds: int) -> list[int]:
        """Wanted replicas at each synchronisation of the HPA."""
        window = Window()
        for now in range(0, seconds, 5):
            ready = [f"pod-{number}" for number, created in enumerate(self.created) if now - created >= self.load_seconds]
            share = in_flight(now) / len(ready)
            running = min(self.slots, int(share))
            window.observe(now, ready, {pod: Sample(now, int(share) - running, running, self.max_sequences) for pod in ready})
            if now % 15 == 0:
                replicas = Replicas(len(self.created), frozenset(ready), max(self.created))
                answer = demand(window.load(now), QueueDepthTarget(4), Bounds(1, 100), replicas, now)
                assert isinstance(answer, Demand)
                self.created = self.created[: answer.replicas] + [now] * (answer.replicas - len(self.created))
                self.wanted.append(answer.replicas)
        return self.wanted


def step(now: float) -> int:
    return 1000 if now >= 60 else 0


def test_a_step_to_a_thousand_requests_reaches_4_at_the_next_synchronisation_and_stays() -> None:
    wanted = Simulation(slots=256, max_sequences=256, load_seconds=300).run(step, 1800)
    assert wanted[4] == 4
    assert set(wanted) == {1, 4}
    assert wanted == sorted(wanted)


def test_a_backlog_that_grows_while_replicas_load_is_not_asked_for_twice() -> None:
    wanted = Simulation(slots=256, max_sequences=256, load_seconds=300).run(lambda now: 0 if now < 60 else 1000 + int(now - 60) * 10, 350)
    assert set(wanted) == {1, 4}


def test_replicas_bound_by_their_cache_are_enough_in_the_end_and_do_not_flap() -> None:
    """Reported are 256 slots, the KV cache holds 30: the first guess is 1, what is observed says better, and stays known when nothing waits any more."""
    wanted = Simulation(slots=30, max_sequences=256, load_seconds=60).run(lambda _: 200, 1800)
    assert wanted[0] == 1
    assert wanted[-1] == 6
    assert wanted == sorted(wanted)


def test_an_engine_that_reports_no_limit_is_scaled_all_the_same() -> None:
    wanted = Simulation(slots=128, max_sequences=None, load_seconds=60).run(step, 1800)
    assert wanted[-1] == 8
    assert wanted == sorted(wanted)
