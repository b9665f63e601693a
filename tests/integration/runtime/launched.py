"""A launch as Kubernetes sees it: a process, three paths, signals, an exit code and a termination message. Everything waits on conditions, within bounds."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
FAKE_VLLM: Final = Path(__file__).parent / "fake_vllm.py"
SOURCE: Final = Path(__file__).parents[3] / "runtime/src"
PATIENCE_SECONDS: Final = 60.0
"""For a machine that does much else; an idle one needs a second."""


def eventually(what: Callable[[], T], until: Callable[[T], bool] = bool, *, within_seconds: float = PATIENCE_SECONDS) -> T:
    """The first value that satisfies; AssertionError with the last one when patience ends."""
    deadline = time.monotonic() + within_seconds
    while True:
        value = what()
        if until(value):
            return value
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.02)


@dataclass
class Launched:
    """A running launcher with its fake engine."""

    process: subprocess.Popen[bytes]
    port: int
    engine_port: int
    termination_log: Path
    output: Path
    """What the launcher and its engine have written, where that is kept in a file."""

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a path of the launcher; (0, {}) while nobody listens."""
        try:
            return _http(self.port, "GET", path)
        except OSError:
            return 0, {}

    def status(self, path: str) -> int:
        return self.get(path)[0]

    def report(self) -> dict[str, Any]:
        return self.get("/report")[1]

    def until_state(self, state: str) -> None:
        eventually(lambda: self.report().get("state"), lambda found: found == state)

    def until_ready(self) -> None:
        eventually(lambda: self.status("/readyz"), lambda status: status == 200)

    def steer(self, **fields: Any) -> dict[str, Any]:
        """Change what the fake engine answers."""
        return _http(self.engine_port, "POST", "/steer", fields)[1]

    def end_engine(self, code: int, last_words: str = "") -> None:
        with suppress(OSError, http.client.HTTPException):
            self.steer(last_words=last_words, exit_code=code)

    def open_stream(self) -> http.client.HTTPResponse:
        """A stream whose first chunk has arrived; it ends when steered to go on."""
        connection = http.client.HTTPConnection("127.0.0.1", self.engine_port, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/v1/completions", json.dumps({"stream": True}))
        response = connection.getresponse()
        assert response.readline() == b"data: first\n"
        return response

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)

    def kill_container(self) -> None:
        """Kill the launcher and all that it started, which leads a group of its own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill()
        for child in map(int, children):
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)

    def termination(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.termination_log.read_text())
        return document


@contextmanager
def launched(
    directory: Path,
    *engine: str,
    program: tuple[str, ...] = (sys.executable, "-I", "-S", str(FAKE_VLLM)),
    options: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    keep_output: bool = False,
) -> Iterator[Launched]:
    """Launch the fake engine with these arguments; whatever is left of it is killed at the end. A full pipe would stop who writes much: that goes to a file."""
    port, engine_port = _free_ports()
    log = directory / "termination-log"
    command = [
        *(sys.executable, "-S", "-m", "llmfleet_runtime", "launch", f"--port={port}", f"--engine-port={engine_port}"),
        *("--minimum-drain-seconds=0.1", "--watch-interval-seconds=0.1", *options),
        *("--", *program, f"--port={engine_port}", *engine),
    ]
    outside = {name: value for name, value in os.environ.items() if name not in ("VLLM_API_KEY", "HF_TOKEN")}
    ours = {"LLMFLEET_TERMINATION_LOG": str(log), "LLMFLEET_SHARED_MEMORY": "", "PYTHONPATH": str(SOURCE), "TMPDIR": str(directory)}
    environment = outside | ours | (environment or {})
    output = directory / "output"
    if keep_output:
        with output.open("wb") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    else:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    launch = Launched(process, port, engine_port, log, output)
    try:
        yield launch
    finally:
        if process.poll() is None:
            launch.kill_container()
        process.communicate()


def _http(port: int, method: str, path: str, document: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, None if document is None else json.dumps(document))
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
