"""The engine's processes: started as one group, ended as one group, reaped with every orphan."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

GROUP_SECONDS: Final = 5.0
"""Longest wait for a killed group to be gone; a worker outlived its killed engine by 1 s (measured)."""

OUTPUT_SECONDS: Final = 2.0
"""Longest wait for the rest of the output once the group is gone: a process that left the group may hold the pipe for ever."""

_PR_SET_CHILD_SUBREAPER: Final = 36
"""prctl(2), linux/prctl.h."""

Pump = Callable[[int, int], threading.Thread]
"""Passes what comes from the first descriptor on to the second, in a thread."""


class EngineProcess:
    """The engine as a child in its own session. Made inside a running event loop; one per process, for it reaps every child there is."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], pump: Pump) -> None:
        """Start the command; OSError where there is no such program."""
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        """Exit code of the engine's first process, negative for a signal."""
        self._reaped = asyncio.Event()
        _become_reaper()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        # The launcher is pid 1 and may start before its children are told apart: the handler comes first, so no end is missed.
        self._process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None  # noqa: S101 PIPE
        assert self._process.stderr is not None  # noqa: S101 PIPE
        self._pumps = [pump(os.dup(stream.fileno()), target) for stream, target in ((self._process.stdout, 1), (self._process.stderr, 2))]
        self._process.stdout.close()
        self._process.stderr.close()

    def terminate(self) -> None:
        """SIGTERM to the first process alone: it stops the others in order."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def cpu_seconds(self) -> float | None:
        """Time of a processor that the first process has used, its threads included (proc_pid_stat(5), fields 14 and 15); None where it cannot be read."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def kill_group(self) -> None:
        """SIGKILL whatever is left of the group, wait until it is gone and its output is passed on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GROUP_SECONDS):
                while self._kill():
                    self._reaped.clear()
                    self._reap()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._reaped.wait(), 0.05)
        for pump in self._pumps:
            await asyncio.to_thread(pump.join, OUTPUT_SECONDS)

    def _kill(self) -> bool:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped.set()
            if pid == self.pid and not self.ended.done():
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self.ended.set_result(self._process.returncode)


def _become_reaper() -> None:
    """Adopt orphans of the engine also where we are not pid 1 (a pod with a shared process namespace)."""
    if sys.platform == "linux" and os.getpid() != 1:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
