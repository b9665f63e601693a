"""Processes that outlive the command that started them, found again by whoever comes next.

Two marks, because a run can die by kill -9 between any two lines:
- a record (pid and start time) per process, for asking "is it still the same one?": a reused pid has another start time and is never touched;
- an environment variable naming the cluster's state folder, inherited by every child: it finds what died before it was recorded, and containerd's shims.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CLUSTER_VARIABLE = "LLMFLEET_CLUSTER"
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A running process, told apart from a later one with the same pid by its start time."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks after boot."""

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return start_ticks(self.pid) == self.start_ticks


@dataclass(frozen=True, slots=True)
class Record:
    """What is written about a started process."""

    process: Process
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A process to be started: its name, its command line and what it needs around it."""

    name: str
    command: tuple[str, ...]
    network_namespace: str | None = None
    fingerprint: str = ""
    """Changes when a file changes that the program reads only at start; a program with another one is restarted."""

    @property
    def full_command(self) -> tuple[str, ...]:
        """The command as started: nsenter, not `ip netns exec`, which would hide /sys/fs/cgroup from the kubelet."""
        if self.network_namespace is None:
            return self.command
        return ("nsenter", f"--net=/run/netns/{self.network_namespace}", *self.command)


def start_ticks(pid: int, proc: Path = _PROC) -> int | None:
    """Return when the process started, or None when there is none or only its zombie."""
    try:
        # The name, in parentheses, may hold blanks and parentheses: count from the last one.
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Records:
    """The records of one cluster: a file per process in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Record | None:
        """Return the record; None when there is none or its writer died half-way."""
        try:
            found = json.loads((self._folder / f"{name}.json").read_text())
            return Record(Process(**found["process"]), tuple(found["command"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, name: str, record: Record) -> None:
        """Write the record whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{name}.tmp"
        temporary.write_text(json.dumps(asdict(record)))
        temporary.rename(self._folder / f"{name}.json")

    def remove(self, name: str) -> None:
        """Forget the process."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def all(self) -> dict[str, Record]:
        """Return every readable record by name."""
        names = sorted(path.stem for path in self._folder.glob("*.json")) if self._folder.is_dir() else []
        return {name: record for name in names if (record := self.read(name)) is not None}


class Supervisor:
    """Starts and stops the programs of one cluster, whose state folder marks them."""

    def __init__(self, state: Path, extra_environment: Mapping[str, str] | None = None) -> None:
        self.state = state
        self.records = Records(state / "run")
        self._extra = dict(extra_environment or {})

    def log(self, name: str) -> Path:
        """Return where the program's output goes."""
        return self.state / "log" / f"{name}.log"

    def running(self, program: Program) -> bool:
        """Whether the program runs with exactly this command line and these files."""
        record = self.records.read(program.name)
        return record is not None and record.process.alive and record.command == (*program.full_command, program.fingerprint)

    def ensure(self, program: Program) -> bool:
        """Start the program unless it runs as described; return whether it had to be started."""
        if self.running(program):
            return False
        self.stop([program.name])
        self.log(program.name).parent.mkdir(parents=True, exist_ok=True)
        with self.log(program.name).open("wb") as log:
            started = subprocess.Popen(
                program.full_command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C at our terminal does not reach it
                cwd=self.state,
                env={**os.environ, **self._extra, CLUSTER_VARIABLE: str(self.state)},
            )
        ticks = start_ticks(started.pid)
        if ticks is not None:
            self.records.write(program.name, Record(Process(started.pid, ticks), (*program.full_command, program.fingerprint)))
        return True

    def stop(self, names: Iterable[str], *, grace_seconds: float = 10.0) -> None:
        """Stop the named programs: SIGTERM to all, SIGKILL to those that stay."""
        found = {name: record.process for name in names if (record := self.records.read(name)) is not None}
        terminate(found.values(), grace_seconds=grace_seconds)
        for name in found:
            self.records.remove(name)

    def last_words(self, name: str, lines: int = 15) -> str:
        """Return the end of the program's log, for an error message."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"


def terminate(processes: Iterable[Process], *, grace_seconds: float) -> None:
    """End exactly these processes, and wait until they are gone."""
    remaining = [process for process in processes if process.alive]
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        for process in remaining:
            _signal(process, number)
        end = time.monotonic() + patience
        while (remaining := [process for process in remaining if process.alive]) and time.monotonic() < end:
            _reap(remaining)
            time.sleep(0.02)
        if not remaining:
            return


def _signal(process: Process, number: signal.Signals) -> None:
    # pidfd: between the check and the signal the pid cannot become somebody else's.
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _reap(processes: Sequence[Process]) -> None:
    for process in processes:
        try:
            os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            continue  # started by an earlier run: init reaps it


def marked(variable: str, proc: Path = _PROC) -> Iterator[tuple[Process, str]]:
    """Yield every process of the machine that carries the environment variable, with its value."""
    prefix = f"{variable}=".encode()
    for folder in proc.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        for item in environment.split(b"\0"):
            if item.startswith(prefix):
                ticks = start_ticks(int(folder.name), proc)
                if ticks is not None:
                    yield Process(int(folder.name), ticks), item[len(prefix) :].decode(errors="replace")
                break


def of_cluster(state: Path) -> list[Process]:
    """Return every process that carries the mark of the cluster in `state`, recorded or not."""
    return [process for process, value in marked(CLUSTER_VARIABLE) if value == str(state)]
