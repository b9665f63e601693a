"""The life of one engine as an explicit state machine: what the probes, the report and the exit code follow from. No I/O; the clock is given."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llmfleet_runtime.failures import Failure


class State(StrEnum):
    """Where an engine is in its life."""

    STARTING = "Starting"
    """The process runs and does not answer /health yet: imports, weights, KV cache, compilation."""
    WARMING = "Warming"
    """/health answers; a real request has not been answered yet."""
    SERVING = "Serving"
    """A real request was answered since the start."""
    DRAINING = "Draining"
    """Told to stop: requests in flight are finished (after Serving), then the engine is stopped."""
    STOPPED = "Stopped"
    """Stopped because it was told to."""
    FAILED = "Failed"
    """Ended although nobody told it to."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.STARTING: frozenset({State.WARMING, State.DRAINING, State.FAILED}),
    State.WARMING: frozenset({State.SERVING, State.DRAINING, State.FAILED}),
    State.SERVING: frozenset({State.DRAINING, State.FAILED}),
    State.DRAINING: frozenset({State.STOPPED, State.FAILED}),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
}
"""Every step that a life can take; nothing leads back: a container runs one engine once."""

START_UP: Final = (State.STARTING, State.WARMING)
"""The states whose durations are the phases of a start-up."""


class IllegalTransition(RuntimeError):  # noqa: N818 says it all
    """A step that no life takes: a mistake of ours."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the start-up and how long it took, or has taken so far."""

    name: str
    seconds: float


class Lifecycle:
    """One engine's life. Events that come too late (an answer after the order to stop) change nothing."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[State], None] = lambda _: None) -> None:
        self._clock = clock
        self._on_change = on_change
        self._entered: dict[State, float] = {State.STARTING: clock()}
        self._drains = False
        self.state = State.STARTING
        self.failure: Failure | None = None

    @property
    def drains(self) -> bool:
        """Whether there may be requests to wait for: the engine was serving when it was told to stop."""
        return self._drains

    def engine_listens(self) -> None:
        """/health answered 200."""
        if self.state is State.STARTING:
            self._enter(State.WARMING)

    def engine_answered(self) -> None:
        """A real request was answered."""
        if self.state is State.WARMING:
            self._enter(State.SERVING)

    def stop_requested(self) -> None:
        """SIGTERM or SIGINT."""
        if State.DRAINING in TRANSITIONS[self.state]:
            self._drains = self.state is State.SERVING
            self._enter(State.DRAINING)

    def engine_stopped(self) -> None:
        """The engine ended after we had told it to."""
        self._enter(State.STOPPED)

    def engine_failed(self, failure: Failure) -> None:
        """The engine ended by itself, while draining too."""
        self.failure = failure
        self._enter(State.FAILED)

    def phases(self) -> list[Phase]:
        """The phases of the start-up so far, in order; one under way counts until now."""
        times = sorted(self._entered.items(), key=lambda item: item[1])
        ends = [at for _, at in times[1:]] + [self._clock()]
        return [Phase(state.value, round(end - began, 3)) for (state, began), end in zip(times, ends, strict=True) if state in START_UP]

    def seconds_in_state(self) -> float:
        """How long the present state has lasted."""
        return self._clock() - self._entered[self.state]

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state} -> {state}")
        self.state = state
        self._entered[state] = self._clock()
        self._on_change(state)
