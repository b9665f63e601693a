"""inspect and fetch as Kubernetes sees them: processes with an environment, an exit code and a termination message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[3] / "runtime/src"

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    message: bytes

    @property
    def facts(self) -> Any:
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)

    @property
    def told(self) -> Any:
        """The termination message."""
        return json.loads(self.message)

    @property
    def reason(self) -> str:
        assert self.code != 0, self.stdout
        assert self.told["exitCode"] == self.code
        return str(self.told["reason"])


class Commands:
    """Runs them with a clean environment: no HOME, no credentials of this machine, nothing outside of the test's directory."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._log = directory / "termination-log"
        temporary = directory / "tmp"
        temporary.mkdir(exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "TMPDIR": str(temporary),
            "LLMFLEET_TERMINATION_LOG": str(self._log),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_GCE_CHECK": "true",
            **environment,
        }

    def inspect(self, source: str | Path, *, wrapper: Sequence[str] = (), **environment: str) -> Outcome:
        return self._finish(self._start("inspect", str(source), environment=environment, wrapper=wrapper))

    def fetch(self, source: str | Path, directory: Path, *options: str, wrapper: Sequence[str] = (), **environment: str) -> Outcome:
        return self._finish(self._start("fetch", str(source), str(directory), *options, environment=environment, wrapper=wrapper))

    @contextmanager
    def fetching(self, source: str, directory: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """A fetch under way; killed at the end where it still runs."""
        with self.running("fetch", source, str(directory), *options, **environment) as process:
            yield process

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """A command under way; killed at the end where it still runs."""
        process = self._start(*arguments, environment=environment)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def outcome(self, process: subprocess.Popen[str]) -> Outcome:
        return self._finish(process)

    def _start(self, *arguments: str, environment: Mapping[str, str], wrapper: Sequence[str] = ()) -> subprocess.Popen[str]:
        self._log.unlink(missing_ok=True)
        return subprocess.Popen(
            [*wrapper, sys.executable, "-m", "llmfleet_runtime", *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _finish(self, process: subprocess.Popen[str]) -> Outcome:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return Outcome(process.returncode, out, err, self._log.read_bytes() if self._log.exists() else b"")
