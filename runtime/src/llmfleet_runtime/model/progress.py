"""How far a fetch is: what it shows at /report, and now and then in its log."""

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

WINDOW_SECONDS: Final = 20.0
"""Over which the rate is taken: long enough to be steady, short enough to show that a source has become slow."""


class Phase(StrEnum):
    """What a fetch is doing."""

    WAITING = "Waiting"
    """For another fetch of the same directory."""
    LISTING = "Listing"
    DOWNLOADING = "Downloading"
    COMPLETE = "Complete"
    FAILED = "Failed"


class Progress:
    """Counters of one fetch, told by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._phase = Phase.LISTING
        self._files_done = self._files_total = self._bytes_done = self._bytes_total = 0
        self._fetched_bytes = 0
        self._samples: deque[tuple[float, int]] = deque()

    def enter(self, phase: Phase) -> None:
        """Begin another phase."""
        with self._guard:
            self._phase = phase

    def expect(self, files: int, size_bytes: int) -> None:
        """Say how much there is to have in the end."""
        with self._guard:
            self._files_total, self._bytes_total = files, size_bytes

    def complete(self, files: int, size_bytes: int) -> None:
        """Say that all of it is there, whoever fetched it."""
        with self._guard:
            self._phase = Phase.COMPLETE
            self._files_done = self._files_total = files
            self._bytes_done = self._bytes_total = size_bytes

    def present(self, size_bytes: int) -> None:
        """Count bytes that were there already (or, negative, that had to be thrown away): they are no measure of the rate."""
        with self._guard:
            self._bytes_done += size_bytes

    def fetched(self, size_bytes: int) -> None:
        """Count bytes that have come over the network."""
        with self._guard:
            self._bytes_done += size_bytes
            self._fetched_bytes += size_bytes
            now = self._clock()
            if not self._samples or now - self._samples[-1][0] >= 1:
                self._samples.append((now, self._fetched_bytes))
            while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW_SECONDS:
                self._samples.popleft()

    def file_done(self) -> None:
        """Count a file that is there as a whole."""
        with self._guard:
            self._files_done += 1

    def report(self) -> dict[str, Any]:
        """The document of /report; docs/model-inspection.md describes it."""
        with self._guard:
            rate = self._rate() if self._phase is Phase.DOWNLOADING else None
            left = max(0, self._bytes_total - self._bytes_done)
            return {
                "phase": str(self._phase),
                "files": {"done": self._files_done, "total": self._files_total},
                "bytes": {"done": self._bytes_done, "total": self._bytes_total},
                "bytesPerSecond": None if rate is None else round(rate),
                "secondsLeft": round(left / rate) if rate else None,
            }

    def _rate(self) -> float | None:
        if not self._samples:
            return None
        since, before = self._samples[0]
        elapsed = self._clock() - since
        return (self._fetched_bytes - before) / elapsed if elapsed >= 1 else None
