"""The sidecar that fetches adapters: what its list names it makes be there, each by a process of its own, and takes away what is named no more.

A process per fetch, because what an adapter needs (libraries of a hub or a store, some 100 MB) is given back when it ends, and because one that is named no
more can be ended in the middle. What waits here needs nothing but the standard library.

An adapter lies under its path as a whole or not at all (model/fetching.py). Why one cannot be fetched lies beside it, for the launcher to show.
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from llmfleet_runtime import adapter_list
from llmfleet_runtime.adapter_list import FAILED_SUFFIX, UnreadableList
from llmfleet_runtime.model.failure import Reason
from llmfleet_runtime.settings import ENVIRONMENT_TERMINATION_LOG

POLL_SECONDS: Final = 2.0
"""How often the list is looked at; the kubelet renews it about once a minute."""

PARALLEL: Final = 3
"""Fetches at once: one slow source does not hold up the rest, and their memory stays below the sidecar's limit."""

RETRY_SECONDS: Final = (15.0, 30.0, 60.0, 120.0, 300.0)
"""Between attempts at an adapter, the last one over and over: what a person has to mend (a token, a licence) is found mended within minutes."""

REMOVAL_SECONDS: Final = 3600.0
"""How long files stay that are listed no more: requests may still run with them, and an engine that does not find them again dies (vLLM 0.32, measured)."""

TERMINATED: Final = 128 + signal.SIGTERM

_OUTCOME_SUFFIX: Final = ".outcome"
_PARTIAL_SUFFIX: Final = ".partial"
_BESIDE: Final = (FAILED_SUFFIX, _OUTCOME_SUFFIX, _PARTIAL_SUFFIX, ".lock")
"""Endings of what lies beside an adapter."""

_WORDS: Final = (("spec.model.source", "adapters.items[].source"), ("spec.model.credentials", "adapters.items[].credentials"))
"""The fields of a model in the sources' messages, and those that an adapter has for them."""

_DISK: Final = "free some of the node's disk, or put the adapter on a claim and name it as pvc://claim/path"

_log = logging.getLogger(__name__)


class Fetch(Protocol):
    """A fetch under way; subprocess.Popen."""

    def poll(self) -> int | None:
        """Exit code; None while it is under way."""

    def kill(self) -> None:
        """End it."""

    def wait(self) -> int:
        """Wait for its end."""


@dataclass(frozen=True, slots=True)
class _Attempts:
    """Failed ones, and when the next is due."""

    count: int
    again_at: float


class AdapterFetching:
    """The adapters of one sidecar."""

    def __init__(
        self, file: Path, number: int, directory: Path, *, start: Callable[[str, str, Path], Fetch] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`number` is the sidecar's; `start` begins a fetch of a source to a path, with a file for its last words."""
        self._file = file
        self._number = number
        self._directory = directory
        self._start = start or _start
        self._clock = clock
        self._items: tuple[adapter_list.Item, ...] | None = None
        self._list_trouble: str | None = None
        self._running: dict[str, Fetch] = {}
        self._attempts: dict[str, _Attempts] = {}
        self._unlisted_since: dict[str, float] = {}

    def look(self) -> None:
        """Read the list, end and begin fetches, take away what is old; OSError where the disk does not do what it should."""
        self._read_list()
        if self._items is None:
            return
        wanted = {
            item.path: item.source
            for item in self._items
            if item.fetcher == self._number and item.source is not None and Path(item.path).parent == self._directory
        }
        self._reap(wanted)
        self._begin(wanted)
        self._clean({item.path for item in self._items})

    def stop(self) -> None:
        """End every fetch at once; what is on the disk is good for the next."""
        for fetch in self._running.values():
            fetch.kill()

    def _read_list(self) -> None:
        try:
            self._items = adapter_list.read(self._file)
            trouble = None
        except UnreadableList as error:
            trouble = str(error)
        if trouble is not None and trouble != self._list_trouble:
            _log.warning("going on with the list as it was: %s", trouble)
        self._list_trouble = trouble

    def _reap(self, wanted: Mapping[str, str]) -> None:
        for path, fetch in list(self._running.items()):
            if path not in wanted:
                _log.info("%s is wanted no more", path)
                fetch.kill()
                fetch.wait()
                del self._running[path]
            elif (code := fetch.poll()) is not None:
                del self._running[path]
                self._ended(path, code)

    def _begin(self, wanted: Mapping[str, str]) -> None:
        self._attempts = {path: attempts for path, attempts in self._attempts.items() if path in wanted}
        for path, source in wanted.items():
            if path in self._running:
                continue
            if Path(path).is_dir():
                _beside(path, FAILED_SUFFIX).unlink(missing_ok=True)
            elif len(self._running) < PARALLEL and self._is_due(path):
                _log.info("fetching %s to %s", source, path)
                self._running[path] = self._start(source, path, _beside(path, _OUTCOME_SUFFIX))

    def _is_due(self, path: str) -> bool:
        attempts = self._attempts.get(path)
        return attempts is None or self._clock() >= attempts.again_at

    def _ended(self, path: str, code: int) -> None:
        outcome = _beside(path, _OUTCOME_SUFFIX)
        if Path(path).is_dir():
            self._attempts.pop(path, None)
            _beside(path, FAILED_SUFFIX).unlink(missing_ok=True)
        else:
            reason, message = _last_words(outcome, code)
            count = self._attempts[path].count + 1 if path in self._attempts else 1
            wait_seconds = RETRY_SECONDS[min(count, len(RETRY_SECONDS)) - 1]
            self._attempts[path] = _Attempts(count, self._clock() + wait_seconds)
            _log.warning("%s: %s; again in %.0f s", reason, message, wait_seconds)
            if reason == Reason.NO_SPACE_LEFT:  # Half of an adapter on a full disk helps nobody, and the node ends pods whose disk stays full.
                shutil.rmtree(_beside(path, _PARTIAL_SUFFIX), ignore_errors=True)
            _write(_beside(path, FAILED_SUFFIX), {"reason": reason, "message": message})
        outcome.unlink(missing_ok=True)

    def _clean(self, listed: set[str]) -> None:
        present = {path: name for path in self._directory.iterdir() if not (name := _name(path)).startswith(".")}
        unlisted = {path: name for path, name in present.items() if str(self._directory / name) not in listed}
        self._unlisted_since = {name: self._unlisted_since.get(name, self._clock()) for name in unlisted.values()}
        for path, name in unlisted.items():
            is_adapter = path.name == name
            if not is_adapter or self._clock() - self._unlisted_since[name] >= REMOVAL_SECONDS:
                _log.info("removing %s", path)
                with contextlib.suppress(FileNotFoundError):  # Another sidecar may be as quick.
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def run_fetch_adapters(file: Path, number: int, directory: Path) -> int:
    """Fetch until told to stop; a mistake, of ours or of the disk's, ends nothing but one look."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s llmfleet: %(message)s", datefmt="%m-%d %H:%M:%S")
    os.umask(0o002)  # The engine may be another user of the same group.
    fetching = AdapterFetching(file, number, directory)

    def terminated(number: int, frame: FrameType | None) -> None:
        os.write(2, b"llmfleet: told to stop\n")
        fetching.stop()
        os._exit(TERMINATED)

    signal.signal(signal.SIGTERM, terminated)
    while True:
        try:
            fetching.look()
        except Exception:
            _log.exception("looking after the adapters failed; going on")
        time.sleep(POLL_SECONDS)


def _start(source: str, path: str, outcome: Path) -> Fetch:
    command = [sys.executable, "-m", "llmfleet_runtime", "fetch", "--adapter", source, path]
    return subprocess.Popen(command, env={**os.environ, ENVIRONMENT_TERMINATION_LOG: str(outcome)})


def _last_words(outcome: Path, code: int) -> tuple[str, str]:
    """Reason and message of a fetch that failed, with the fields of an adapter."""
    try:
        document = json.loads(outcome.read_bytes())
        reason, message = str(document["reason"]), str(document["message"])
    except (OSError, ValueError, TypeError, KeyError):
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Reason.SOURCE_UNREACHABLE, f"the fetch {ended} and said no reason; the sidecar's log may say more"
    if reason == Reason.NO_SPACE_LEFT:
        return reason, f"{message.partition('; ')[0]}; {_DISK}"
    for of_model, of_adapter in _WORDS:
        message = message.replace(of_model, of_adapter)
    return reason, message


def _beside(path: str, suffix: str) -> Path:
    return Path(path + suffix)


def _name(path: Path) -> str:
    """Name of the adapter that a file or folder belongs to."""
    return next((path.name.removesuffix(suffix) for suffix in _endings() if path.name.endswith(suffix)), path.name)


def _endings() -> Iterator[str]:
    for suffix in _BESIDE:
        yield f"{suffix}.new"
        yield suffix


def _write(path: Path, document: Mapping[str, str]) -> None:
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(json.dumps(document))
    scratch.replace(path)
