"""Whether a serving engine is well: two verdicts of different weight, from what it answers. No I/O; the clock is given.

A busy engine answers late: 9.4 s were measured for /health on a loaded machine. So silence makes it unready after several misses, and being late never makes
it dead. Dead is what vLLM says of itself (503), an engine that makes no step although requests run, or a server that hangs: silent, and using no processor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llmfleet_runtime.failure_patterns import Reason

UNREADY_MISSES: Final = 3
"""Checks in a row that must fail before traffic is taken away; with a timeout each, a busy minute passes first."""

SILENT_SHARE: Final = 0.01
"""Share of a processor below which a silent server hangs: one that is only starved still gets its turns."""

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
        self._doubtful_since: float | None = None
        self._doubtful_seconds = 0.0
        self._trial_failed: str | None = None
        self._silent_since: float | None = None
        self._silent_cpu_seconds: float | None = None
        self._hangs: str | None = None

    def health_answered(self, status: int) -> None:
        """/health gave this HTTP status."""
        self._silent_since = self._hangs = None
        if status == 200:
            self._misses = self._dead_answers = 0
            return
        self._miss(f"/health answers {status}")
        self._dead_answers = self._dead_answers + 1 if status == 503 else 0

    def health_missed(self, why: str, cpu_seconds: float | None) -> None:
        """/health gave no answer in time; the server's process has used so much of a processor since its start, None where that cannot be known."""
        self._miss(why)
        self._dead_answers = 0
        now = self._clock()
        if self._silent_since is None:
            self._silent_since, self._silent_cpu_seconds = now, cpu_seconds
        silent_seconds = now - self._silent_since
        if cpu_seconds is None or self._silent_cpu_seconds is None or silent_seconds <= self._stall_timeout_seconds:
            return
        if cpu_seconds - self._silent_cpu_seconds < SILENT_SHARE * silent_seconds:
            self._hangs = f"vLLM's server has not answered for more than {self._stall_timeout_seconds:g} s and used no processor in that time"

    def steps_observed(self, running: float, steps: float | None, in_flight: int | None = None) -> None:
        """Requests running by vLLM's gauge, engine steps made since the start (None where the engine does not count them), and requests by our own count.

        Only what was seen counts: an engine too busy to be read is not called still.
        """
        now = self._clock()
        moved = steps is None or steps != self._steps
        if moved or running <= 0:
            self._stepped_at = now
        if moved or not in_flight:
            self._doubtful_since = self._trial_failed = None
        elif self._doubtful_since is None:
            self._doubtful_since = now
        self._steps = steps
        self._still_seconds = now - self._stepped_at
        self._doubtful_seconds = 0.0 if self._doubtful_since is None else now - self._doubtful_since

    @property
    def doubtful(self) -> bool:
        """Whether only a request of our own can tell if the engine lives.

        Its gauge is of its last step: it shows nothing running also where the engine stands still since before the requests came. But a request of which the
        engine knows nothing may as well be one whose client is slow to send it, or to take its answer.
        """
        return self._doubtful_seconds > self._stall_timeout_seconds

    def trial_failed(self, why: str) -> None:
        """A request of our own was not answered either; nothing is known by that where the engine has made a step in the meantime."""
        if self.doubtful:
            self._trial_failed = why

    @property
    def unready(self) -> str | None:
        """Why the engine should get no traffic; None while it should."""
        if self._misses >= UNREADY_MISSES:
            return self._last_miss
        return None if self.dead is None else self.dead.message

    @property
    def dead(self) -> Death | None:
        """Why the engine must be restarted, in the same words each time; None while it lives."""
        limit = f"{self._stall_timeout_seconds:g} s"
        if self._dead_answers >= DEAD_ANSWERS:
            return Death(Reason.ENGINE_DIED, "vLLM says that its engine is dead: /health answers 503")
        if self._still_seconds > self._stall_timeout_seconds:
            return Death(Reason.ENGINE_STALLED, f"requests run, but the engine has made no step for more than {limit}")
        if self._trial_failed is not None:
            return Death(Reason.ENGINE_STALLED, f"the engine has made no step for more than {limit}, also not for a request of our own: {self._trial_failed}")
        if self._hangs is not None:
            return Death(Reason.ENGINE_STALLED, self._hangs)
        return None

    def _miss(self, why: str) -> None:
        self._misses += 1
        self._last_miss = f"{self._misses} checks in a row failed: {why}"
