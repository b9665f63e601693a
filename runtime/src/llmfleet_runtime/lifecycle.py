"""The life of one engine as an explicit state machine: what the probes, the report and the exit code follow from. No I/O; the clock is given."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llmfleet_runtime.failures import Failure


class State(StrEnum):
    """Where an engine is in its life."""

    PREFLIGHT = "Preflight"
    """Nothing runs yet: what the engine would only find out after minutes is looked at first."""
    STARTING = "Starting"
    """The process runs and does not answer /health yet: imports, weights, KV cache, compilation."""
    WARMING = "Warming"
    """/health answers; a real request has not been answered yet, or adapters are still being loaded."""
    SERVING = "Serving"
    """A real request was answered since the start."""
    DRAINING = "Draining"
    """Told to stop: requests in flight are finished (after Serving), then the engine is stopped."""
    STOPPED = "Stopped"
    """Stopped because it was told to."""
    FAILED = "Failed"
    """Ended although nobody told it to, or not started at all."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.PREFLIGHT: frozenset({State.STARTING, State.DRAINING, State.FAILED}),
    State.STARTING: frozenset({State.WARMING, State.DRAINING, State.FAILED}),
    State.WARMING: frozenset({State.SERVING, State.DRAINING, State.FAILED}),
    State.SERVING: frozenset({State.DRAINING, State.FAILED}),
    State.DRAINING: frozenset({State.STOPPED, State.FAILED}),
    State.STOPPED: frozenset(),
    State.FAILED: frozenset(),
}
"""Every step that a life can take; nothing leads back: a container runs one engine once."""


class IllegalTransition(RuntimeError):  # noqa: N818 says it all
    """A step that no life takes: a mistake of ours."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A state that was entered, and how long the engine was in it, or has been so far."""

    state: State
    seconds: float


class Lifecycle:
    """One engine's life. Events that come too late (an answer after the order to stop) change nothing."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[State], None] = lambda _: None) -> None:
        self._clock = clock
        self._on_change = on_change
        self._entered: list[tuple[State, float]] = [(State.PREFLIGHT, clock())]
        self._drains = False
        self.state = State.PREFLIGHT
        self.failure: Failure | None = None
        self.failed_in: State | None = None
        """The state in which it failed."""
        self.engine_ended = False
        """The engine's process has ended; why is known only once the rest of its output is read."""
        self.cut = 0
        """Requests that were in flight when the engine was stopped all the same."""

    @property
    def drains(self) -> bool:
        """Whether there may be requests to wait for: the engine was serving when it was told to stop."""
        return self._drains

    def preflight_passed(self) -> None:
        """Nothing speaks against the start: the engine's process is started."""
        if self.state is State.PREFLIGHT:
            self._enter(State.STARTING)

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
        """The engine ended after we had told it to, or was never started."""
        self._enter(State.STOPPED)

    def engine_failed(self, failure: Failure) -> None:
        """The engine ended by itself, while draining too, was ended because it is of no use any more, or cannot be started."""
        self.failure, self.failed_in = failure, self.state
        self._enter(State.FAILED)

    def stays(self) -> list[Stay]:
        """The states so far, in order; the present one counts until now."""
        ends = [at for _, at in self._entered[1:]] + [self._clock()]
        return [Stay(state, round(end - began, 3)) for (state, began), end in zip(self._entered, ends, strict=True)]

    def seconds_in_state(self) -> float:
        """How long the present state has lasted."""
        return self._clock() - self._entered[-1][1]

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.state} -> {state}")
        self.state = state
        self._entered.append((state, self._clock()))
        self._on_change(state)
