"""The work queue: client-go's semantics (util/workqueue) on asyncio.

Events are many and say little ("look at this key again"), a reconcile is slow and looks at everything. So a key waits at most once, whatever happened to
it meanwhile; it never runs twice at once, so a reconcile has no rival of its own making; and what arrives while it runs makes it run once more, for
the run may have read the state before.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

_FIRST_RETRY_SECONDS: Final = 0.5
_LAST_RETRY_SECONDS: Final = 300.0
"""Backoff per key: 0.5 s, doubled at each failure in a row, up to five minutes: what is broken for long costs next to nothing."""

_DOUBLINGS: Final = 10
"""0.5 s doubled ten times is above the longest delay: the exponent stops here, or it would overflow after days of failures."""

_JITTER: Final = 0.2
"""Delays grow by up to a fifth at random, so that keys which failed together do not come back together."""

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)


class WorkQueue(Generic[K]):
    """Keys to reconcile. All methods belong to one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._dirty: dict[K, float] = {}
        """Keys that must run (again), with the loop's time at which they were first asked for; each is in `_ready`, or runs and is queued when it ends."""
        self._processing: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Have the key run as soon as a worker is free, whatever backoff or delay is pending for it."""
        if key in self._dirty:
            return
        self._dirty[key] = asyncio.get_running_loop().time()
        if key not in self._processing:
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key run in so many seconds; of several such wishes the earliest counts."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max(seconds, 0.0)
        pending = self._timers.get(key)
        if pending is not None:
            if pending.when() <= when:
                return
            pending.cancel()
        self._timers[key] = loop.call_at(when, self._fire, key)

    def _fire(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    def retry(self, key: K, *, at_least_seconds: float = 0.0) -> None:
        """Have the key run after its backoff, which doubles at each call until `forget`; not before `at_least_seconds` (a server's Retry-After)."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        backoff = min(_FIRST_RETRY_SECONDS * 2 ** min(failures, _DOUBLINGS), _LAST_RETRY_SECONDS)
        self.add_after(key, max(backoff, at_least_seconds) * random.uniform(1.0, 1.0 + _JITTER))  # noqa: S311 - spreads load, guards nothing

    def forget(self, key: K) -> None:
        """The key went well: its next failure starts at the shortest backoff again."""
        self._failures.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return self._ready.qsize()

    @property
    def oldest_age_seconds(self) -> float:
        """How long the key that waits longest has been waiting, 0 where none does. Also counts keys that wait for their own running reconcile."""
        return asyncio.get_running_loop().time() - min(self._dirty.values()) if self._dirty else 0.0

    async def run(self, handler: Callable[[K], Awaitable[None]], workers: int) -> None:
        """Hand keys to `handler`, at most `workers` at once, until cancelled.

        The handler calls `forget` or `retry` as it sees fit; one that raises is logged and retried, and never ends a worker. A key whose handler is
        cancelled stays due, for whoever runs the queue next.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(handler))

    async def _work(self, handler: Callable[[K], Awaitable[None]]) -> None:
        while True:
            key = await self._ready.get()
            del self._dirty[key]
            self._processing.add(key)
            try:
                await handler(key)
            except asyncio.CancelledError:
                self.add(key)
                raise
            except Exception:
                _log.exception("reconciling %s failed unexpectedly", key)
                self.retry(key)
            finally:
                self._processing.discard(key)
                if key in self._dirty:
                    self._ready.put_nowait(key)
