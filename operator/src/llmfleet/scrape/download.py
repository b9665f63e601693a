"""How far the download of a model is: the JSON that its Job's pod gives at `/report`, described in docs/model-inspection.md."""

from dataclasses import dataclass
from typing import Final

import aiohttp

from llmfleet.scrape.engine import Target, get
from llmfleet.scrape.report import LARGEST, PATH, document_of

MAX_BYTES: Final = 16 * 1024
"""Most that is read of an answer, which has some hundred bytes."""

_GIB: Final = 1024**3
_MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a download."""

    bytes_done: int
    bytes_total: int
    """0 while the size is not known."""
    bytes_per_second: int | None = None
    seconds_left: int | None = None

    @property
    def text(self) -> str | None:
        """For people: `42% of 14.2 GiB, 310 MiB/s`; None while the size is not known."""
        if not self.bytes_total:
            return None
        percent = min(100, 100 * self.bytes_done // self.bytes_total)
        rate = "" if self.bytes_per_second is None else f", {self.bytes_per_second / _MIB:,.0f} MiB/s"
        return f"{percent}% of {_size(self.bytes_total)}{rate}"


async def read_progress(client: aiohttp.ClientSession, target: Target) -> Progress:
    """The progress that a download's pod reports; errors as of `scrape.engine.read_queue`."""
    return parse(await get(client, target, target.launcher_port, PATH, MAX_BYTES))


def parse(content: bytes) -> Progress:
    """The progress in an answer; a field of another type than documented counts as absent."""
    document = document_of(content)
    sizes = document.get("bytes")
    done, total = (_count(sizes.get(part)) for part in ("done", "total")) if isinstance(sizes, dict) else (None, None)
    return Progress(done or 0, total or 0, _count(document.get("bytesPerSecond")), _count(document.get("secondsLeft")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else None


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:,.1f} GiB" if size_bytes >= _GIB else f"{size_bytes / _MIB:,.1f} MiB"
