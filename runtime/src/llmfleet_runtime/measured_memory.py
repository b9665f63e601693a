"""What vLLM measured of its memory while it started: read from its log, which is the only place where it says so.

The lines are those of gpu_worker.py, gpu_model_runner.py and kv_cache_utils.py (vLLM 0.32); releases before have the last two figures in lines of their own.
"""

import re
import threading
from dataclasses import dataclass, replace
from typing import Final, TypeVar

_N = TypeVar("_N", int, float)

_GIB: Final = 1024**3

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_WEIGHTS: Final = re.compile(rf"\bModel loading took {_NUMBER} GiB")
_KV_CACHE: Final = re.compile(rf"\bAvailable KV cache memory: {_NUMBER} GiB|, reserved {_NUMBER} GiB memory for KV Cache as specified")
_GRAPHS: Final = re.compile(rf"\bGraph capturing finished in \d+ secs, took {_NUMBER} GiB")
_CONCURRENCY: Final = re.compile(rf"\bMaximum concurrency for [\d,]+ tokens per request: {_NUMBER}x")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one accelerator, as vLLM rounds them (0.01 GiB); None is what it did not say."""

    weights_bytes: int | None = None
    """The largest of the ranks."""
    kv_cache_bytes: int | None = None
    """The smallest of the ranks: all take what the smallest has room for."""
    graphs_bytes: int | None = None
    """The largest of the ranks."""
    concurrency: float | None = None
    """Requests of the greatest length that the KV cache holds at once; of one data-parallel rank, the smallest."""


class MeasuredMemory:
    """Collects the figures of one start. Fed by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = Memory()
        self._serving = False

    def feed(self, line: str) -> None:
        """Look at a line of the engine's output."""
        if self._serving:
            return
        with self._lock:
            known = self._memory
            if (found := _WEIGHTS.search(line)) is not None:
                self._memory = replace(known, weights_bytes=max(_bytes(found[1]), known.weights_bytes or 0))
            elif (found := _KV_CACHE.search(line)) is not None:
                self._memory = replace(known, kv_cache_bytes=_least(_bytes(found[1] or found[2]), known.kv_cache_bytes))
            elif (found := _GRAPHS.search(line)) is not None:
                self._memory = replace(known, graphs_bytes=max(_bytes(found[1]), known.graphs_bytes or 0))
            elif (found := _CONCURRENCY.search(line)) is not None:
                self._memory = replace(known, concurrency=_least(float(found[1]), known.concurrency))

    def serving(self) -> None:
        """The start is over: what is written from now on measures nothing, and may quote anything."""
        self._serving = True

    @property
    def memory(self) -> Memory:
        """What is known so far."""
        return self._memory


def _bytes(gib: str) -> int:
    return round(float(gib) * _GIB)


def _least(new: _N, known: _N | None) -> _N:
    return new if known is None else min(new, known)
