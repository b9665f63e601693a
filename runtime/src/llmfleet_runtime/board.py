"""A page of memory between the launcher and the processes that serve vLLM's API: how many requests each has, and what is to become of new ones.

The launcher must know both exactly while it stops an engine, and vLLM's event loop may then be busy: an answer over HTTP took up to 9.4 s (measured). A mapped
file costs no request. Each API server process (`--api-server-count`) writes a slot of its own; the launcher writes one word of orders and adds the slots up. A
slot belongs to a process id and its start time, so a killed process does not hold a drain with requests that died with it.
"""

import fcntl
import mmap
import os
import tempfile
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Final, Self

_BYTES: Final = 4096
"""One page: words of eight bytes, each read and written whole."""

_ORDERS: Final = 0
_FIRST_SLOT: Final = 4
_SLOT_WORDS: Final = 4
_PID, _STARTED, _COUNT = range(3)
SLOTS: Final = (_BYTES // 8 - _FIRST_SLOT) // _SLOT_WORDS
"""Most processes at once: 127; vLLM itself starts one or a few."""


class Orders(IntEnum):
    """What the launcher wants of every process that serves."""

    SERVE = 0
    DRAIN = 1
    """Answer as ever, and close each connection after its answer, so that clients move to another replica."""
    REFUSE = 2
    """The engine stops now: a new request is told to try elsewhere."""


class Board:
    """The launcher's side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._words, self._map = _mapped(path)

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Make the file in a directory that the engine can read and write; OSError where that cannot be."""
        descriptor, path = tempfile.mkstemp(prefix="llmfleet-board-", dir=directory)
        try:
            os.truncate(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        return cls(Path(path))

    def in_flight(self) -> int | None:
        """Requests from their first byte to their last over all living processes; None where none has ever had a slot: nobody counts (yet)."""
        known, total = False, 0
        for slot in _slots():
            pid, started, count = (self._words[slot + word] for word in (_PID, _STARTED, _COUNT))
            known = known or pid != 0
            if count and _start_time(pid) == started:
                total += count
        return total if known else None

    def drain(self) -> None:
        """From now on every answer says `Connection: close`."""
        self._words[_ORDERS] = Orders.DRAIN

    def refuse(self) -> None:
        """From now on a new request gets 503 with Retry-After. A request that was counted before is served on: look at `in_flight` once more after this."""
        self._words[_ORDERS] = Orders.REFUSE

    def remove(self) -> None:
        """Remove the file; processes that have it open go on undisturbed."""
        self._words.release()
        self._map.close()
        self.path.unlink(missing_ok=True)


class Slot:
    """A serving process's side. Used by one thread, the one of the event loop."""

    def __init__(self, path: Path) -> None:
        """Take a free slot; OSError where there is no board, RuntimeError where all its slots are taken."""
        self._words, self._map = _mapped(path)
        with path.open("rb") as locked:
            fcntl.flock(locked, fcntl.LOCK_EX)
            for slot in _slots():
                pid = self._words[slot + _PID]
                if pid == 0 or _start_time(pid) != self._words[slot + _STARTED]:
                    break
            else:
                raise RuntimeError(f"{path}: {SLOTS} processes serve already, there is no slot for one more (--api-server-count)")
            self._words[slot + _COUNT] = 0
            self._words[slot + _STARTED] = _start_time(os.getpid()) or 0
            self._words[slot + _PID] = os.getpid()
        self._count = slot + _COUNT

    @property
    def orders(self) -> int:
        """What the launcher wants, one of `Orders`; a plain number, for it is read with every request."""
        return self._words[_ORDERS]

    @property
    def in_flight(self) -> int:
        """Requests of this process."""
        return self._words[self._count]

    def begin(self) -> int:
        """Count a request and return the orders. In this order: a request that does not yet see `refuse` is then seen by the launcher's next look."""
        self._words[self._count] += 1
        return self._words[_ORDERS]

    def end(self) -> None:
        """A request has had its last byte, or lost its client."""
        self._words[self._count] -= 1


def _slots() -> range:
    return range(_FIRST_SLOT, _FIRST_SLOT + SLOTS * _SLOT_WORDS, _SLOT_WORDS)


def _mapped(path: Path) -> "tuple[memoryview[int], mmap.mmap]":
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        mapped = mmap.mmap(descriptor, _BYTES)
    finally:
        os.close(descriptor)
    return memoryview(mapped).cast("Q"), mapped


def _start_time(pid: int) -> int | None:
    """Start of a living process in clock ticks since boot (proc_pid_stat(5), field 22); None for one that is dead, reaped or not."""
    with suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        if state not in ("Z", "X"):
            return int(fields[18])
    return None
