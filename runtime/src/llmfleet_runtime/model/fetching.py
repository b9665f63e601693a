"""Filling a cache: once, resumed, checked, by one process at a time, and whole under its name or not at all."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from llmfleet_runtime.model import completeness
from llmfleet_runtime.model.cache import HALF, Cache, Marker
from llmfleet_runtime.model.download import Download, Stopped
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.patience import Patience
from llmfleet_runtime.model.progress import Phase, Progress
from llmfleet_runtime.model.selection import Selection, select
from llmfleet_runtime.model.source import Source
from llmfleet_runtime.model.store import File, Store

PARALLEL_FILES: Final = 4
"""Fetched at once: enough to fill a network of 10 Gbit/s from hubs that give one connection a quarter of it, few enough for small pods."""

LOG_SECONDS: Final = 30.0
"""How often the log says how far it is."""

_log = logging.getLogger(__name__)


def fetch(source: Source, store: Store, directory: Path, progress: Progress, choose: Callable[[Sequence[File]], Selection] = select) -> Marker:
    """Make `directory` hold the model, or what else is chosen of the source, as a whole, and say what it holds; ModelFailure where that cannot be."""
    try:
        marker = _fetch(source, store, Cache(directory), progress, choose)
    except BaseException:
        progress.enter(Phase.FAILED)
        raise
    progress.complete(marker.files, marker.bytes)
    return marker


def _fetch(source: Source, store: Store, cache: Cache, progress: Progress, choose: Callable[[Sequence[File]], Selection]) -> Marker:
    if marker := cache.complete(str(source)):
        _log.info("%s holds all of %s already", cache.directory, source)
        return marker
    progress.enter(Phase.WAITING)
    with cache.lock():
        if marker := cache.complete(str(source)):  # whoever had the lock has done it
            _log.info("%s holds all of %s now", cache.directory, source)
            return marker
        progress.enter(Phase.LISTING)
        listing = Patience().get(store.listing)
        selection = Patience().get(lambda: completeness.checked(store, choose(listing.files)))
        if not selection.files:
            raise ModelFailure(Reason.INVALID_MODEL, f"{source} holds nothing that an engine could use; correct spec.model.source")
        cache.prepare(listing.revision, selection.files)
        progress.expect(len(selection.files), selection.size_bytes)
        _check_space(cache, selection.files)
        _log.info("fetching %d files, %s, to %s", len(selection.files), _amount(selection.size_bytes), cache.directory)
        progress.enter(Phase.DOWNLOADING)
        with cache.trouble():
            _download(store, cache, selection.files, progress)
        marker = Marker(str(source), listing.revision, len(selection.files), selection.size_bytes)
        cache.finish(marker)
        return marker


def _check_space(cache: Cache, files: Sequence[File]) -> None:
    present = sum(path.stat().st_size for file in files for path in (cache.partial / file.name, cache.partial / (file.name + HALF)) if path.exists())
    needed = sum(file.size_bytes for file in files) - present
    free = cache.free_bytes()
    if free is not None and needed > free:
        size = cache.size_bytes()
        of = f" of {_amount(size)}" if size else ""
        raise ModelFailure(
            Reason.NO_SPACE_LEFT,
            f"the volume of {cache.directory} has {_amount(free)} free{of}, and {_amount(needed)} are still to be fetched; "
            f"make the claim larger by {_amount(needed - free)} or free as much",
        )


def _download(store: Store, cache: Cache, files: Sequence[File], progress: Progress) -> None:
    stop = threading.Event()
    download = Download(store, cache.partial, progress, stop)
    with ThreadPoolExecutor(PARALLEL_FILES, thread_name_prefix="fetch") as pool:
        futures = [pool.submit(download.fetch, file) for file in files]
        try:
            pending = set(futures)
            said = time.monotonic()
            while pending:
                done, pending = wait(pending, timeout=LOG_SECONDS, return_when=FIRST_EXCEPTION)
                if any(future.exception() for future in done):
                    break
                if pending and time.monotonic() - said >= LOG_SECONDS:
                    said = time.monotonic()
                    _log.info("%s", sentence(progress))
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    failures = [failure for future in futures if not future.cancelled() and (failure := future.exception()) is not None]
    for failure in failures:
        if not isinstance(failure, Stopped):
            raise failure


def sentence(progress: Progress) -> str:
    """How far it is, in words."""
    report = progress.report()
    files, size, rate, left = report["files"], report["bytes"], report["bytesPerSecond"], report["secondsLeft"]
    speed = f", {_amount(rate)}/s" if rate else ""
    rest = f", {left} s left" if left is not None else ""
    return f"{files['done']} of {files['total']} files, {_amount(size['done'])} of {_amount(size['total'])}{speed}{rest}"


def _amount(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
