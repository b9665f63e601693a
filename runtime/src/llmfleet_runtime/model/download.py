"""One file from a store onto the disk: resumed where an earlier attempt was cut, checked, and under its name only when it is right."""

import os
import threading
from io import BufferedWriter
from pathlib import Path
from typing import Final

from llmfleet_runtime.model import cache, digests
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.patience import DOWNLOAD_WAITS_SECONDS, Patience
from llmfleet_runtime.model.progress import Progress
from llmfleet_runtime.model.store import File, Store

PIECE_BYTES: Final = 4 << 30
"""Most that is asked for in one request: content networks serve no whole file above 50 GB, and a hub's signed addresses expire."""

FLUSH_BYTES: Final = 32 << 20
"""Most of a file that is on its way to the disk: pages that wait for slow storage count as this pod's memory and cannot be taken back, so that without a limit
of ours a fast source would have the kernel kill it."""

_REREAD_BYTES: Final = 1 << 22


class Stopped(Exception):  # noqa: N818 it is no error
    """Another file has failed; this one is left as it is."""


class Download:
    """The fetching of files into one directory."""

    def __init__(self, store: Store, directory: Path, progress: Progress, stop: threading.Event) -> None:
        self._store = store
        self._directory = directory
        self._progress = progress
        self._stop = stop

    def fetch(self, file: File) -> None:
        """Fetch what is missing of a file. ModelFailure of the source; OSError of the disk."""
        target = self._directory / file.name
        if target.exists():
            self._progress.present(file.size_bytes)
            self._progress.file_done()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_name(target.name + cache.HALF)
        # Twice: what was there may be of a node that lost its power, and what came may have been spoilt on the way.
        if not self._attempt(file, half) and not self._attempt(file, half):
            raise ModelFailure(
                Reason.CHECKSUM_MISMATCH,
                f"{file.name}: the bytes that came are not those that the source promises, twice; "
                "fetch again, and if it stays so, upload the file again or suspect a proxy",
            )
        half.replace(target)
        self._progress.file_done()

    def _attempt(self, file: File, half: Path) -> bool:
        """Append what is missing; whether the whole is what the source promises. What is not is thrown away."""
        promised = Patience(sleep=self._stop.wait).get(lambda: self._store.digest(file))
        digest = digests.begin(promised, file.size_bytes)
        if half.exists() and half.stat().st_size > file.size_bytes:
            half.unlink()
        with half.open("ab") as stream:
            offset = stream.tell()
            self._progress.present(offset)
            if digest is not None:
                self._reread(half, digest)
            self._append(file, offset, stream, digest)
        cache.sync(half)
        size_bytes = half.stat().st_size
        right = size_bytes == file.size_bytes and (digest is None or promised is None or digest.hexdigest() == promised.value)
        if not right:
            half.unlink()
            self._progress.present(-size_bytes)
        return right

    def _append(self, file: File, offset: int, stream: BufferedWriter, digest: digests.Hash | None) -> None:
        synced = offset
        patience = Patience(DOWNLOAD_WAITS_SECONDS, self._stop.wait)
        while offset < file.size_bytes:
            before = offset
            refusal: ModelFailure | None = None
            try:
                for chunk in self._store.read(file, offset, min(file.size_bytes, offset + PIECE_BYTES)):
                    if self._stop.is_set():
                        raise Stopped
                    stream.write(chunk)
                    offset += len(chunk)
                    if offset - synced >= FLUSH_BYTES:
                        stream.flush()
                        os.fsync(stream.fileno())
                        synced = offset
                    if digest is not None:
                        digest.update(chunk)
                    self._progress.fetched(len(chunk))
            except ModelFailure as failure:
                refusal = failure
            if offset > before:
                patience.progressed()
            elif refusal is None:
                refusal = ModelFailure(
                    Reason.SOURCE_UNREACHABLE, f"{file.name}: the source breaks off after {offset} of {file.size_bytes} bytes; it is tried again"
                )
            if refusal is not None:
                patience.wait(refusal)
                if self._stop.is_set():
                    raise Stopped

    def _reread(self, half: Path, digest: digests.Hash) -> None:
        with half.open("rb") as stream:
            while chunk := stream.read(_REREAD_BYTES):
                if self._stop.is_set():
                    raise Stopped
                digest.update(chunk)
