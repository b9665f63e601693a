"""A directory of this pod as a source: a mounted claim or an image volume."""

import os
from collections.abc import Iterator
from typing import Final

from llmfleet_runtime.model import cache
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.source import Directory
from llmfleet_runtime.model.store import Digest, File, Listing

_CHUNK_BYTES: Final = 1 << 20
_SHOWN_NAMES: Final = 8


class DirectoryStore:
    """A directory. Links are followed, as those of huggingface_hub's own cache lead to the files."""

    def __init__(self, source: Directory) -> None:
        self._source = source
        self._path = source.path

    def listing(self) -> Listing:
        """Every file below, less what is hidden. The revision is known where `fetch` has filled the directory."""
        try:
            if not self._path.is_dir():
                raise self._missing()
            files = sorted(self._files(str(self._path), frozenset()), key=lambda file: file.name)
        except OSError as error:
            raise self._unreadable(error) from error
        if not files:
            raise ModelFailure(
                Reason.INVALID_MODEL, f"{self._source}: the directory is empty; put the model's files there, or correct the path in spec.model.source"
            )
        marker = cache.Cache(self._path).marker()
        return Listing(tuple(files), marker.revision if marker else None)

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """Read from the file."""
        try:
            with (self._path / file.name).open("rb") as stream:
                stream.seek(start)
                while start < stop and (chunk := stream.read(min(_CHUNK_BYTES, stop - start))):
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise self._unreadable(error) from error

    def digest(self, file: File) -> Digest | None:
        """A file system knows none."""
        return None

    def _files(self, folder: str, above: frozenset[tuple[int, int]]) -> Iterator[File]:
        """The files below a folder. `above` are the folders on the way to it: a link that leads back to one of them is not followed."""
        found = os.stat(folder)  # noqa: PTH116 a Path for each of many files takes its time
        here = above | {(found.st_dev, found.st_ino)}
        if here == above:
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except PermissionError:
            if not above:
                raise
            return  # lost+found of a volume's root is root's.
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from self._files(entry.path, here)
            else:
                yield File(os.path.relpath(entry.path, self._path), entry.stat().st_size)

    def _missing(self) -> ModelFailure:
        half = cache.Cache(self._path).partial
        if half.is_dir():
            return ModelFailure(
                Reason.INCOMPLETE_MODEL,
                f"{self._source}: the cache is half downloaded ({half.name} is there); fetch goes on with it, wait until it has finished",
            )
        parent = next(parent for parent in self._path.parents if parent.is_dir())
        names = sorted(path.name for path in parent.iterdir() if not path.name.startswith("."))
        there = f"{', '.join(names[:_SHOWN_NAMES])}{', ...' if len(names) > _SHOWN_NAMES else ''}" if names else "nothing"
        return ModelFailure(
            Reason.MODEL_NOT_FOUND, f"{self._source}: there is no such directory ({parent} holds {there}); correct the path in spec.model.source"
        )

    def _unreadable(self, error: OSError) -> ModelFailure:
        where = error.filename or self._source
        if isinstance(error, PermissionError):
            return ModelFailure(
                Reason.MODEL_ACCESS_DENIED,
                f"{where}: this pod's user {os.getuid()} may not read it; make it readable for everybody, or set fsGroup in spec.template.spec.securityContext",
            )
        if isinstance(error, FileNotFoundError):
            return ModelFailure(Reason.INCOMPLETE_MODEL, f"{where}: there is only a link to a file that is not on this volume; copy the files, not the links")
        return ModelFailure(Reason.SOURCE_UNREACHABLE, f"{where}: the volume cannot be read ({error.strerror}); see to the storage behind the claim")
