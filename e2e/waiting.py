"""Waiting for a cluster: bounded, and with the last thing seen when it was in vain. The only place of the tests that sleeps, and only between two looks."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

BETWEEN_LOOKS_SECONDS = 0.1


async def eventually(
    look: Callable[[], Awaitable[object] | object], *, within_seconds: float = 30, what: str = "", every_seconds: float = BETWEEN_LOOKS_SECONDS
) -> Any:
    """Look until `look` returns something true, and return that; AssertionErrors of `look` mean not yet.

    Look seldom (`every_seconds`) where the look costs what is waited for: kubectl takes a tenth of a processor's second.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        seen: object
        try:
            found = look()
            result: Any = await found if inspect.isawaitable(found) else found
            if result:
                return result
            seen = result
        except AssertionError as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds:g} s: {what or inspect.getsource(look).strip()}; last seen: {seen!r}")
        await asyncio.sleep(every_seconds)


async def throughout(look: Callable[[], Awaitable[object] | object], *, seconds: float) -> None:
    """Look for as long as that, and fail at the first time that `look` raises an AssertionError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if inspect.isawaitable(found):
            await found
        await asyncio.sleep(BETWEEN_LOOKS_SECONDS)
