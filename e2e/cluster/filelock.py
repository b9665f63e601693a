"""One run at a time: a lock that the kernel drops with the process, so that kill -9 leaves nothing to clean."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.progress import say


@contextmanager
def exclusive(path: Path, who_else: str) -> Iterator[None]:
    """Hold the lock file `path`; while another process holds it, say so and wait.

    The descriptor is not inherited, so that a daemon started under the lock does not keep it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  waiting for {who_else} (lock {path})")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
