"""What the runtime costs: vLLM under launcher and middleware against vLLM alone, on this machine's CPU with the tiny model, as ratios of pairs.

A machine's speed drifts, and others use it too: no figure means anything by itself. So the two are measured in turn, always the other one first, and what is
compared is each figure with its partner of the same pair. The median of the ratios is the result, their spread is how much it can be trusted.

- *start*: from the start of the process to the first answer of a real request, each time with new processes. Whoever starts second, beside the other, is
  slower; so two pairs, each first once, make one figure: the geometric mean of their ratios.
- *throughput* and *time to first token*: the two servers of each start get bursts of streams in turn, over kept-alive connections, with a key; a processor here
  runs a quarter faster in one second than in the next, so a turn lasts a tenth of one. Two processes of the same program differ by several percent for as
  long as they live, so what counts is several pairs of servers, not many loads on one.
- *CPU per request* of the API server's process, from the kernel's own account: exact where the others are noisy, and the only place where the middleware runs.

`python -m benchmarks.runtime [--starts 6] [--rounds 8]`; with the defaults about eight minutes where nothing else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.cluster import tiny_model, vllm_environment
from e2e.ports import free_port
from llmfleet_runtime import archive

KEY: Final = "sk-benchmark"
START_SECONDS: Final = 600.0
"""Longest wait for a first answer."""
CONNECTIONS: Final = 16
TOKENS: Final = 32
"""Of each answer."""


@dataclass(frozen=True, slots=True)
class Round:
    """One load on one server."""

    requests_per_second: float
    first_token_seconds: Sequence[float]
    cpu_seconds_per_request: float
    """Of the API server's process, all its threads."""

    def first_token(self, quantile: float) -> float:
        """A quantile of the times to the first token."""
        ordered = sorted(self.first_token_seconds)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared, and what it may be."""

    name: str
    target: str
    of: Callable[[Round], float]


MEASURES: Final = (
    Measure("throughput", ">= 0.99", lambda round_: round_.requests_per_second),
    Measure("time to first token, p50", "<= 1.02", lambda round_: round_.first_token(0.5)),
    Measure("time to first token, p99", "<= 1.02", lambda round_: round_.first_token(0.99)),
    Measure("CPU of the API server per request", "", lambda round_: round_.cpu_seconds_per_request),
)


_PROCESSORS: Final = sorted(os.sched_getaffinity(0))
"""Under a load the engine has the last one and all else, clients too, the first: a figure must not depend on where the kernel happened to put whom."""


class Server:
    """A running vLLM, alone or under our launcher."""

    def __init__(self, scratch: Path, runtime: Path | None) -> None:
        """Start it; `runtime` is our archive, None for vLLM alone."""
        self.port = free_port()
        python = vllm_environment.host_python()
        command = [
            *(str(python.with_name("vllm")), "serve", str(tiny_model.ensure()), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--enforce-eager", "--kv-cache-memory-bytes", "64M", "--max-num-seqs", str(CONNECTIONS), "--api-key", KEY),
        ]
        if runtime is not None:
            options = ("--port", str(free_port()), "--engine-port", str(self.port))
            command = [str(python), str(runtime), "launch", *options, "--", *command]
        quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(scratch / "cache"), "PYTHONHASHSEED": "0"}
        quiet |= vllm_environment.IN_ONE_PROCESS
        ours = {"LLMFLEET_TERMINATION_LOG": str(scratch / "termination-log"), "LLMFLEET_SHARED_MEMORY": "", "TMPDIR": str(scratch)}
        self._log = scratch / "log"
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **quiet, **ours}, stdout=log, stderr=log, start_new_session=True)
        try:
            while not self._answers():
                if self._process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    sys.exit(f"error: the server does not answer:\n{self._log.read_text()[-5000:]}")
                time.sleep(0.02)
        except BaseException:
            self.end()
            raise
        self.start_seconds = time.monotonic() - began
        self.api_server = self._process.pid if runtime is None else _children(self._process.pid)[0]
        for engine in _children(self.api_server):
            _bind(engine, _PROCESSORS[-1])
        for server in {self._process.pid, self.api_server}:
            _bind(server, _PROCESSORS[0])

    def end(self) -> None:
        """Kill it with all its processes; the launcher's child leads a group of its own."""
        for pid in (*_children(self._process.pid), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("POST", "/v1/completions", _request(1), {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"})
            return connection.getresponse().status == 200
        return False


def _load(servers: Sequence[Server], bursts: int) -> list[Round]:
    """Give servers so many bursts of requests, one over each connection, in turn."""
    os.sched_setaffinity(0, {_PROCESSORS[0]})
    try:
        return asyncio.run(_in_turn(servers, bursts))
    finally:
        os.sched_setaffinity(0, _PROCESSORS)


async def _in_turn(servers: Sequence[Server], bursts: int) -> list[Round]:
    clients = {server: [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS)] for server in servers}
    seconds, cpu_seconds = dict.fromkeys(servers, 0.0), dict.fromkeys(servers, 0.0)
    first_token_seconds: dict[Server, list[float]] = {server: [] for server in servers}
    for number in range(bursts):
        for server in servers if number % 2 else reversed(servers):
            used, began = _cpu_seconds(server.api_server), time.monotonic()
            first_token_seconds[server] += await asyncio.gather(*(_ask(*client) for client in clients[server]))
            seconds[server] += time.monotonic() - began
            cpu_seconds[server] += _cpu_seconds(server.api_server) - used
    for _, writer in (client for group in clients.values() for client in group):
        writer.close()
    requests = bursts * CONNECTIONS
    return [Round(requests / seconds[server], first_token_seconds[server], cpu_seconds[server] / requests) for server in servers]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Have a stream answered, and return the seconds to its first token."""
    asked = time.monotonic()
    writer.write(_STREAM)
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise AssertionError(answer)
    answer = await reader.readuntil(b"\n\n")
    seconds = time.monotonic() - asked
    while not answer.endswith(b"0\r\n\r\n"):
        answer = answer[-4096:] + await reader.read(65536)
    if b"data: [DONE]" not in answer:
        raise AssertionError(answer)
    return seconds


def _request(tokens: int, *, stream: bool = False) -> bytes:
    return json.dumps({"model": "tiny", "prompt": "The quick brown fox", "max_tokens": tokens, "ignore_eos": True, "stream": stream}).encode()


def _stream() -> bytes:
    body = _request(TOKENS, stream=True)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_STREAM: Final = _stream()


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _bind(pid: int, processor: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {processor})


def _cpu_seconds(pid: int) -> float:
    """Time that the threads of a process have run, in nanoseconds in the first field of schedstat (kernel documentation, scheduler/sched-stats)."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@contextlib.contextmanager
def _both(scratch: Path, runtime: Path, *, ours_first: bool) -> Iterator[tuple[Server, Server]]:
    """Vllm alone and ours, started one after the other; the second starts while the first one idles, so each is first in turn."""
    started: list[Server] = []
    try:
        for ours in (True, False) if ours_first else (False, True):
            folder = scratch / ("ours" if ours else "bare")
            folder.mkdir(exist_ok=True)
            started.append(Server(folder, runtime if ours else None))
        first, second = started
        yield (second, first) if ours_first else (first, second)
    finally:
        for server in started:
            server.end()


def _row(name: str, ratios: Iterable[float], target: str) -> str:
    found = sorted(ratios)
    low, middle, high = statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3
    return f"{name:36} {middle:6.3f}   {low:6.3f} - {high:6.3f}   {found[0]:6.3f} - {found[-1]:6.3f}   {len(found):5}   {target}"


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description="vLLM under launcher and middleware against vLLM alone, as ratios.")
    parser.add_argument("--starts", type=int, default=6, help="pairs of starts, an even number (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=8, help="pairs of loads in each (default %(default)s)")
    parser.add_argument("--bursts", type=int, default=24, help="bursts of requests of each in a load (default %(default)s)")
    options = parser.parse_args()
    if options.starts < 2 or options.starts % 2:
        parser.error(f"--starts {options.starts}: each is first as often as the other, so it must be an even number")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Whatever ends us ends the servers too.
    starts: list[float] = []
    rounds: list[tuple[Round, Round]] = []
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        runtime = scratch / archive.NAME
        archive.build(runtime)
        Server(scratch, None).end()  # The first one reads its libraries from the disk.
        for pair in range(options.starts):
            with _both(scratch, runtime, ours_first=pair % 2 == 1) as (bare, ours):
                starts.append(ours.start_seconds / bare.start_seconds)
                print(f"- start {pair + 1}: {starts[-1]:.3f}", file=sys.stderr)
                _load((ours, bare), options.bursts)  # The first load of a server is slower than the rest.
                for number in range(options.rounds):
                    of_ours, of_bare = _load((ours, bare), options.bursts)
                    rounds.append((of_ours, of_bare))
                    print(f"- load {number + 1}: {', '.join(f'{m.of(of_ours) / m.of(of_bare):.3f}' for m in MEASURES)}", file=sys.stderr)
    print(f"{'llmfleet / vLLM alone':36} {'median':>6}   {'middle half':>15}   {'all':>15}   {'pairs':>5}   target")
    for measure in MEASURES:
        print(_row(measure.name, [measure.of(ours) / measure.of(bare) for ours, bare in rounds], measure.target))
    print(_row("start to first answer", [math.sqrt(one * other) for one, other in zip(starts[::2], starts[1::2], strict=True)], "<= 1.05"))


if __name__ == "__main__":
    main()
