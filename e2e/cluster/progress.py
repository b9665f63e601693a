"""One line per step, with what it took: a person who waits five minutes for a compiler wants to know for what."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce `what`, and say how long it took or that it failed."""
    started = time.monotonic()
    say(f"- {what} ...")
    try:
        yield
    except BaseException:
        say(f"  {what}: FAILED after {time.monotonic() - started:.1f} s")
        raise
    say(f"  {what}: {time.monotonic() - started:.1f} s")
