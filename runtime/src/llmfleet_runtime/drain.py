"""When an engine that was told to stop has nothing left to finish. A pure rule over what is seen of it, and the loop that looks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

READ_SECONDS: Final = 0.3
"""Between two looks."""

IDLE_LOOKS: Final = 2
"""Looks in a row that must find nothing: between two gauges' updates a request may be neither waiting nor running."""

QUIET_SECONDS: Final = 30.0
"""Open connections without any request for so long carry none: they rest in a gateway's pool, or are used for something else (a
mesh's health checks). A request that the gauges do not show yet fetches its pictures or videos for at most 30 s (vllm/envs.py)."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the engine found; None is what cannot be known."""

    in_flight: float | None
    """Requests: from first byte to last where the middleware counts them, else running and waiting by vLLM's gauges."""
    connections: int | None
    """Open connections to vLLM's port."""


class IdleRule:
    """Whether the engine has nothing left to finish, from looks in a row."""

    def __init__(self) -> None:
        self._idle_looks = 0
        self._no_request_since: float | None = None

    def idle(self, now: float, look: Look) -> bool:
        """Take a look at this time and say whether the engine may be stopped.

        Nothing in flight and no open connection, twice in a row; where one of the two is unknown the other decides, where both are unknown nothing does.
        """
        if look.in_flight != 0 or look.connections is None:
            self._no_request_since = None
        elif self._no_request_since is None:
            self._no_request_since = now
        known = look.in_flight is not None or look.connections is not None
        self._idle_looks = self._idle_looks + 1 if known and not look.in_flight and not look.connections else 0
        quiet = self._no_request_since is not None and now - self._no_request_since >= QUIET_SECONDS
        return self._idle_looks >= IDLE_LOOKS or quiet


async def until_idle(
    look: Callable[[], Awaitable[Look]], refuse: Callable[[], None], *, minimum_seconds: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Wait the minimum, and then until nothing is left to finish; the caller sets the limit.

    The minimum comes first: until the last client has learned that the pod goes, new requests arrive. `refuse` has new ones sent elsewhere; one that came in
    between the last look and that is seen by one more look, and waited for.
    """
    rule = IdleRule()
    began = clock()
    refusing = False
    while True:
        now = clock()
        if rule.idle(now, await look()) and now - began >= minimum_seconds:
            if refusing:
                return
            refuse()
            refusing = True
            continue
        await asyncio.sleep(READ_SECONDS)
