"""Where the time of a start goes, and where a start that hangs has come to: read from vLLM's log, which is the only place where it says so."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Parts of a start, in the order in which they usually come."""

    PREFLIGHT = "Preflight"
    """Our own checks."""
    IMPORTS = "Imports"
    """Python, arguments, the processes of the engine, their devices and their connections to each other."""
    WEIGHTS = "Weights"
    """Downloads of vLLM's own included."""
    KV_CACHE = "KVCache"
    """A run that measures how much memory requests take, and the cache in what is left."""
    COMPILATION = "Compilation"
    """torch.compile, or loading what it made before."""
    GRAPHS = "Graphs"
    """Recording CUDA graphs."""
    WARMING = "Warming"
    """Kernels, the HTTP server, adapters, up to the first answer."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """A line of the log that ends a phase and begins one."""

    pattern: str
    began: Phase
    ended: Phase | None = None
    """The phase that lasted until this line, also where a faster rank's line has ended it before: the slowest decides. None: whichever it was."""
    example: str = ""


BOUNDARIES: Final = (
    Boundary(
        r"Starting to load model |Initializing model took |Loading \S+ checkpoint shards:",
        Phase.WEIGHTS,
        example="(Worker pid=8018) INFO 11-21 16:05:51 [cpu_model_runner.py:68] Starting to load model /models/tiny...",
    ),
    Boundary(
        r"Loading weights took |Model loading took ",
        Phase.KV_CACHE,
        ended=Phase.WEIGHTS,
        example="(Worker pid=8018) INFO 11-21 16:05:51 [default_loader.py:501] Loading weights took 0.01 seconds",
    ),
    Boundary(
        r"Warming up model for the compilation|Starting torch\.compile|Using cache directory: .* for vLLM's torch\.compile",
        Phase.COMPILATION,
        example="(Worker pid=8018) INFO 11-21 16:05:52 [cpu_model_runner.py:87] Warming up model for the compilation...",
    ),
    Boundary(
        r"Warming up done\.|torch\.compile took ",
        Phase.KV_CACHE,
        ended=Phase.COMPILATION,
        example="(Worker pid=8018) INFO 11-21 16:06:29 [cpu_model_runner.py:91] Warming up done.",
    ),
    Boundary(
        r"Profiling CUDA graph memory: |Capturing CUDA graphs",
        Phase.GRAPHS,
        example="Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):   0%|          | 0/51 [00:00<?, ?it/s]",
    ),
    Boundary(
        r"Available KV cache memory: ",
        Phase.KV_CACHE,
        example="(EngineCore pid=7) INFO 11-21 09:00:00 [gpu_worker.py:759] Available KV cache memory: 45.5 GiB",
    ),
    Boundary(
        r"Graph capturing finished in ",
        Phase.WARMING,
        ended=Phase.GRAPHS,
        example="(EngineCore pid=7) INFO 11-21 09:00:00 [gpu_model_runner.py:6582] Graph capturing finished in 21 secs, took 0.50 GiB",
    ),
    Boundary(
        r"init engine \(profile, create kv cache, warmup model\) took ",
        Phase.WARMING,
        example="(EngineCore pid=7961) INFO 11-21 16:06:29 [core.py:402] init engine (profile, create kv cache, warmup model) took 36.99 s",
    ),
)
"""Lines of vLLM 0.32 (gpu_model_runner.py, gpu_worker.py, cpu_model_runner.py, default_loader.py, compilation/monitor.py, v1/engine/core.py)."""

_COMPILED: Final = tuple((row, re.compile(row.pattern)) for row in BOUNDARIES)


@dataclass(frozen=True, slots=True)
class Duration:
    """A phase and how long it took, or has taken so far."""

    phase: Phase
    seconds: float


class StartUp:
    """The phases of one start. Fed by several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since = clock()
        self._seconds: dict[Phase, float] = {Phase.PREFLIGHT: 0.0}
        self._over = False
        self.phase = Phase.PREFLIGHT
        """The one under way, or the last."""

    def engine_started(self) -> None:
        """The engine's process runs."""
        self._pass(Phase.IMPORTS)

    def engine_listens(self) -> None:
        """/health answers."""
        self._pass(Phase.WARMING)

    def ended(self) -> None:
        """The start is over, in whatever way: what is written from now on may quote anything."""
        self._pass(self.phase)
        self._over = True

    def feed(self, line: str) -> None:
        """Look at a line of the engine's output."""
        if self._over:
            return
        for row, pattern in _COMPILED:
            if pattern.search(line):
                self._pass(row.began, row.ended)
                return

    def durations(self) -> list[Duration]:
        """The phases so far, in the order in which they began; one under way counts until now."""
        with self._lock:
            running = 0.0 if self._over else self._clock() - self._since
            return [Duration(phase, round(seconds + (running if phase is self.phase else 0.0), 3)) for phase, seconds in self._seconds.items()]

    def present(self) -> Duration:
        """The phase under way."""
        return next(duration for duration in self.durations() if duration.phase is self.phase)

    def _pass(self, began: Phase, ended: Phase | None = None) -> None:
        with self._lock:
            if self._over:
                return
            now = self._clock()
            lasted = ended or self.phase
            self._seconds[lasted] = self._seconds.get(lasted, 0.0) + now - self._since
            self._seconds.setdefault(began, 0.0)
            self._since, self.phase = now, began
