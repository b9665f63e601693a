"""A directory of a claim that is filled once: beside it, while it is being filled, the half-filled one and a lock.

DIRECTORY appears under its name when it is whole, by one rename. Until then everything lies in DIRECTORY.partial, with a manifest of the listing that the files
there belong to, so that a later fetch knows what it may keep. DIRECTORY.lock stays: to remove a lock that somebody may be waiting for is a race.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.store import File

MARKER: Final = ".llmfleet-complete.json"
"""In a whole cache: what it holds."""

MANIFEST: Final = ".llmfleet-fetch.json"
"""In a partial one: the listing that is being fetched."""

HALF: Final = ".half"
"""Ending of a file that is being fetched."""

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""What a file system answers that has no locks."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Marker:
    """What a whole cache holds."""

    source: str
    revision: str | None
    files: int
    bytes: int


class Cache:
    """One directory that is, or will be, a cache."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.partial = directory.with_name(directory.name + ".partial")
        self._lock = directory.with_name(directory.name + ".lock")

    def marker(self) -> Marker | None:
        """What the directory holds; None where no fetch has made it."""
        document = _json(self.directory / MARKER)
        try:
            return Marker(str(document["source"]), document["revision"], int(document["files"]), int(document["bytes"])) if document else None
        except (KeyError, TypeError, ValueError):
            return None

    def complete(self, source: str) -> Marker | None:
        """The marker where this source is there as a whole; ModelFailure where the directory holds something else."""
        with self.trouble():
            occupied = self.directory.is_dir() and any(self.directory.iterdir())
        marker = self.marker()
        if marker is not None and marker.source == source:
            return marker
        if marker is not None:
            raise self._unusable(f"it holds {marker.source}, not {source}", "give each source a directory of its own")
        if occupied:
            raise self._unusable("it is not empty, and no fetch has made it", "move it away, or serve it as pvc://claim/path without a cache")
        return None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other fetches of this directory out, on every node that mounts the claim; wait for one that is at work."""
        with self.trouble():
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.info("another fetch of %s is at work: waiting for it", self.directory)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise self._translated(error) from error
                _log.warning("the file system of %s has no locks: a second fetch of the same directory would not be kept out", self.directory)
            yield
        finally:
            os.close(descriptor)

    def prepare(self, revision: str | None, files: Sequence[File]) -> None:
        """Make the partial directory ready for these files: keep of an earlier attempt what is surely the same, drop the rest."""
        with self.trouble():
            self.partial.mkdir(exist_ok=True)
            earlier = {name: entry for name, entry in (_json(self.partial / MANIFEST) or {}).get("files", {}).items() if isinstance(entry, dict)}
            wanted = {file.name: asdict(file) for file in files}
            for path in sorted(self.partial.rglob("*"), reverse=True):
                name = path.relative_to(self.partial).as_posix().removesuffix(HALF)
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif path.name != MANIFEST and not (name in wanted and wanted[name]["version"] and earlier.get(name) == wanted[name]):
                    path.unlink()
            _write(self.partial / MANIFEST, {"revision": revision, "files": wanted})

    def finish(self, marker: Marker) -> None:
        """Give the partial directory its name: from then on the cache is whole, also for a node that loses its power now."""
        with self.trouble():
            _write(self.partial / MARKER, asdict(marker))
            for folder, _, _ in os.walk(self.partial):
                sync(Path(folder))
            self.partial.rename(self.directory)
            sync(self.directory.parent)
            (self.directory / MANIFEST).unlink(missing_ok=True)  # Only now: whoever is killed before the rename needs it.

    def free_bytes(self) -> int | None:
        """What the file system has left for us; None where it does not tell."""
        with self.trouble():
            found = os.statvfs(self.directory.parent)
        return found.f_bavail * found.f_frsize if found.f_blocks else None

    def size_bytes(self) -> int | None:
        """How large the file system is; None where it does not tell."""
        with self.trouble():
            found = os.statvfs(self.directory.parent)
        return found.f_blocks * found.f_frsize or None

    @contextlib.contextmanager
    def trouble(self) -> Iterator[None]:
        """What the file system refuses, in words."""
        try:
            yield
        except OSError as error:
            raise self._translated(error) from error

    def _translated(self, error: OSError) -> ModelFailure:
        if error.errno in _FULL:
            return ModelFailure(
                Reason.NO_SPACE_LEFT,
                f"the volume of {self.directory} is full ({error.strerror}); "
                "make the claim larger or free some of it: what has been fetched is kept, and fetch goes on there",
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return self._unusable(
                f"user {os.getuid()} may not read or write it ({error.filename})", "set fsGroup in the pod's security context, or the directory's mode"
            )
        if error.errno == errno.EROFS:
            return self._unusable(
                "it is on a read-only file system", "name a directory below the claim's mount, not the mount itself, and mount the claim writable"
            )
        return self._unusable(f"{error.strerror} ({error.filename})", "see to the storage behind the claim; the directory must lie below the claim's mount")

    def _unusable(self, why: str, remedy: str) -> ModelFailure:
        return ModelFailure(Reason.CACHE_UNUSABLE, f"{self.directory} cannot be the cache: {why}; {remedy}")


def sync(path: Path) -> None:
    """Let a file or a folder reach the disk; a file system without that for folders is left alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _write(path: Path, document: Mapping[str, Any]) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(document, indent=1) + "\n")
    sync(scratch)
    scratch.replace(path)
