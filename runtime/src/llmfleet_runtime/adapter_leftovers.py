"""Requests of an adapter's version that was unloaded: whether any may be left, from what little vLLM tells.

vLLM 0.32 names the adapters of requests that have had their first token; of one that waits, or whose prompt is being read, it tells only that there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llmfleet_runtime.engine_api import Use

FIRST_TOKEN_SECONDS: Final = 60.0
"""Until a running request has had its first token; a prompt of a million tokens takes about so long."""

UNSEEN_SECONDS: Final = 300.0
"""After which the requests of a version count as done where vLLM cannot be asked (--disable-log-stats), and as running where its queue is never empty: as long
as a drain takes by default."""


@dataclass(slots=True)
class _Unloaded:
    at: float
    nothing_waited_at: float | None = None
    """First time after that when no request waited: from then on every one that is left runs."""


class Leftovers:
    """The names that were taken away in an engine's life."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unloaded: dict[str, _Unloaded] = {}

    def unloaded(self, name: str) -> None:
        """Note that a name was taken away now."""
        self._unloaded[name] = _Unloaded(self._clock())

    def forget(self, name: str) -> None:
        """Note that nothing is left of a name."""
        self._unloaded.pop(name, None)

    def __contains__(self, name: str) -> bool:
        """Whether a name was taken away, and may have requests."""
        return name in self._unloaded

    def may_be_left(self, name: str, use: Use | None) -> bool:
        """Whether requests of an unloaded version may be left, by what is in flight now (None: vLLM does not tell)."""
        unloaded, now = self._unloaded[name], self._clock()
        if use is None:
            return now - unloaded.at < UNSEEN_SECONDS
        if use.in_flight == 0:
            return False
        if unloaded.nothing_waited_at is None and (use.waiting == 0 or now - unloaded.at >= UNSEEN_SECONDS):
            unloaded.nothing_waited_at = now
        return unloaded.nothing_waited_at is None or now - unloaded.nothing_waited_at < FIRST_TOKEN_SECONDS or name in use.adapters
