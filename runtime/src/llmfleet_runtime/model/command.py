"""The two commands as processes: what they print, what they leave for the kubelet, and how they end."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Final

from llmfleet_runtime import http_server
from llmfleet_runtime.failures import Failure, write_termination_message
from llmfleet_runtime.model.adapter_selection import select_adapter
from llmfleet_runtime.model.cache import Marker
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.fetching import fetch, sentence
from llmfleet_runtime.model.inspection import inspect
from llmfleet_runtime.model.message import encode, termination_message
from llmfleet_runtime.model.progress import Progress
from llmfleet_runtime.model.selection import Selection, select
from llmfleet_runtime.model.source import Source
from llmfleet_runtime.model.store import File, open_store
from llmfleet_runtime.settings import ENVIRONMENT_TERMINATION_LOG

INSPECTION_SECONDS: Final = 600
"""Longest inspection, which reads some files' beginnings in seconds. Counted here and not by the Job: what has not begun, for want of a Secret or a claim, is
no slow source."""

TERMINATED: Final = 128 + signal.SIGTERM
"""Exit code after SIGTERM: a Job must not take a fetch that was stopped for one that is done."""

_log = logging.getLogger(__name__)


def run_inspect(source: Source) -> int:
    """Print the facts of a model; the exit code."""
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(INSPECTION_SECONDS)
    return _run(lambda: _inspect(source))


def run_fetch(source: Source, directory: Path, progress_port: int | None, *, adapter: bool = False) -> int:
    """Fill a cache with a model, or with an adapter alone; the exit code."""
    return _run(lambda: _fetch(source, directory, progress_port, select_adapter if adapter else select))


def _inspect(source: Source) -> bytes:
    facts = inspect(source, open_store(source))
    # As bytes: a model's text may hold what no encoding takes, and what a container takes for its encoding is chance.
    sys.stdout.buffer.write(json.dumps(facts, indent=2, ensure_ascii=False).encode(errors="replace") + b"\n")
    sys.stdout.buffer.flush()
    return termination_message(facts)


def _fetch(source: Source, directory: Path, progress_port: int | None, choose: Callable[[Sequence[File]], Selection]) -> bytes:
    os.umask(0o002)  # The engine, and a later fetch, may be other users of the same group.
    progress = Progress()
    began = time.monotonic()
    if progress_port is None:
        marker = fetch(source, open_store(source), directory, progress, choose)
    else:
        marker = asyncio.run(_reporting(progress_port, progress, lambda: fetch(source, open_store(source), directory, progress, choose)))
    _log.info("complete: %s", sentence(progress))
    return encode({"bytes": marker.bytes, "files": marker.files, "seconds": round(time.monotonic() - began, 1), "revision": marker.revision})


async def _reporting(port: int, progress: Progress, work: Callable[[], Marker]) -> Marker:
    """Serve /report while the work is done."""

    def report() -> tuple[HTTPStatus, Mapping[str, Any]]:
        return HTTPStatus.OK, progress.report()

    async with http_server.serve(http_server.listen(port), {"/report": report}):
        return await asyncio.to_thread(work)


def _run(command: Callable[[], bytes]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s llmfleet: %(message)s", datefmt="%m-%d %H:%M:%S")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # It tells every request.
    # huggingface_hub would ask its hub which agents there are, and keep the answer below HOME.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        message = command()
    except ModelFailure as error:
        return _failed(error)
    _leave(lambda: _termination_log().write_bytes(message))
    return 0


def _failed(error: ModelFailure) -> int:
    failure = Failure(error.reason, error.message, remedy="", exit_code=error.exit_code)
    _log.error("%s: %s", failure.reason, failure.message)
    _leave(lambda: write_termination_message(_termination_log(), failure))
    return failure.exit_code


def _termination_log() -> Path:
    return Path(os.environ.get(ENVIRONMENT_TERMINATION_LOG, "/dev/termination-log"))


def _leave(write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        _log.warning("the termination message cannot be written: %s", error)


def _terminated(number: int, frame: FrameType | None) -> None:
    """End at once: threads that wait for the network would hold up the end, and what is on the disk is good for the next attempt as it is."""
    os.write(2, b"llmfleet: told to stop\n")  # A signal may come in the middle of a line of the log.
    os._exit(TERMINATED)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    """Say so and end at once, for the same reason."""
    message = f"the source has not told in {INSPECTION_SECONDS} s what the model is; see whether it answers slowly, or the way to it is narrow"
    os._exit(_failed(ModelFailure(Reason.SOURCE_UNREACHABLE, message)))
