"""How the container before this one in the same pod ended, left by it in a file on the pod's volume.

Its termination message is the kubelet's, and the launcher has no access to the API server. A container that is killed whole, as the kernel does where the
memory limit is exceeded, can write nothing at its end: what would have to be said then is written at the beginning of each state, and taken back at the end.
"""

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure, remedy_of

NAME: Final = "llmfleet-last-failure.json"
"""File in the pod's temporary directory."""

_KILLED: Final = "the container was killed whole before it could say why; the kernel kills so where the container's memory limit is exceeded"
_MOST_BYTES: Final = 64 * 1024
_log = logging.getLogger(__name__)


def document(failure: Failure, state: str) -> dict[str, str]:
    """A failure as /report shows it, with the state of the launcher when it happened."""
    return {"reason": failure.reason.value, "message": failure.message, "remedy": failure.remedy, "state": state}


class PreviousFailure:
    """The file of one pod."""

    def __init__(self, directory: Path) -> None:
        """Read what the container before has left."""
        self._path = directory / NAME
        self.document = _read(self._path)
        """Its failure; None where there was no such container, or it ended as it was told."""

    def alive(self, state: str) -> None:
        """Note what is to be said if nothing more can be said."""
        self._write(document(Failure(Reason.ENGINE_DIED, _KILLED, remedy_of(Reason.OUT_OF_MEMORY), 137), state))

    def failed(self, failure: Failure, state: str) -> None:
        """Leave this failure for the next container."""
        self._write(document(failure, state))

    def stopped(self) -> None:
        """There was no failure."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self, content: dict[str, str]) -> None:
        """Whole or not at all; a volume that is full is no reason to fail."""
        scratch = self._path.with_suffix(f".{os.getpid()}")
        try:
            scratch.write_text(json.dumps(content))
            scratch.replace(self._path)
        except OSError as error:
            _log.debug("%s cannot be written: %s", self._path, error)


def _read(path: Path) -> dict[str, str] | None:
    with suppress(OSError, ValueError), path.open("rb") as file:
        found: Any = json.loads(file.read(_MOST_BYTES))
        if isinstance(found, dict) and all(isinstance(found.get(key), str) for key in ("reason", "message", "remedy", "state")):
            return {key: found[key] for key in ("reason", "message", "remedy", "state")}
    return None
