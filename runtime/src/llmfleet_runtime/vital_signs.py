"""Whether a serving engine is well: two verdicts of different weight, from what it answers. No I/O; the clock is given.

A busy engine answers late: 9.4 s were measured for /health on a loaded machine. So silence makes it unready after several misses and never dead; dead is what
vLLM says of itself (503), or an engine that makes no step although requests run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llmfleet_runtime.failure_patterns import Reason

UNREADY_MISSES: Final = 3
"""Checks in a row that must fail before traffic is taken away; with a timeout each, a busy minute passes first."""

DEAD_ANSWERS: Final = 2
"""Times in a row that /health must answer 503: vLLM raises its engine_dead flag once and for ever, the second look costs one interval."""


@dataclass(frozen=True, slots=True)
class Death:
    """Why an engine that still has its processes must be restarted."""

    reason: Reason
    message: str


class VitalSigns:
    """What is known of a serving engine's health."""

    def __init__(self, clock: Callable[[], float], stall_timeout_seconds: float) -> None:
        self._clock = clock
        self._stall_timeout_seconds = stall_timeout_seconds
        self._misses = 0
        self._dead_answers = 0
        self._last_miss = ""
        self._steps: float | None = None
        self._stepped_at = clock()
        self._still_seconds = 0.0

    def health_answered(self, status: int) -> None:
        """/health gave this HTTP status."""
        if status == 200:
            self._misses = self._dead_answers = 0
            return
        self._miss(f"/health answers {status}")
        self._dead_answers = self._dead_answers + 1 if status == 503 else 0

    def health_missed(self, why: str) -> None:
        """/health gave no answer in time."""
        self._miss(why)
        self._dead_answers = 0

    def steps_observed(self, running: float, steps: float | None) -> None:
        """Requests running, and engine steps made since the start; None where the engine does not count them.

        Only what was seen counts: an engine too busy to be read is not called still.
        """
        now = self._clock()
        if running <= 0 or steps is None or steps != self._steps:
            self._stepped_at = now
        self._steps = steps
        self._still_seconds = now - self._stepped_at

    @property
    def unready(self) -> str | None:
        """Why the engine should get no traffic; None while it should."""
        if self._misses >= UNREADY_MISSES:
            return self._last_miss
        return None if self.dead is None else self.dead.message

    @property
    def dead(self) -> Death | None:
        """Why the engine must be restarted; None while it lives."""
        if self._dead_answers >= DEAD_ANSWERS:
            return Death(Reason.ENGINE_DIED, "vLLM says that its engine is dead: /health answers 503")
        if self._still_seconds > self._stall_timeout_seconds:
            return Death(Reason.ENGINE_STALLED, f"requests run, but the engine has made no step for {self._still_seconds:.0f} s")
        return None

    def _miss(self, why: str) -> None:
        self._misses += 1
        self._last_miss = f"{self._misses} checks in a row failed: {why}"
