"""The engine's output: passed on untouched, and read on the way for lines that may say why it ended. Memory is bounded whatever the engine writes."""

import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

LINE_BYTES: Final = 8 * 1024
"""What is kept of a line; longer ones are cut for reading, never for passing on."""

KEPT_LINES: Final = 64
"""Error lines kept. The first ones win: the cause comes before what follows from it."""

RECENT_SECONDS: Final = 60.0
"""While serving, an older error line explains nothing: an engine outlives many a bad request."""

READ_BYTES: Final = 64 * 1024
"""What a pipe holds (pipe(7))."""

GATHER_SECONDS: Final = 0.05
"""Between two reads of little: to be woken for each line of the access log costs twice the processor's time (48 us of the launcher for a request, now 21)."""

_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PROCESS: Final = re.compile(r"^(?:\([A-Za-z][\w \-]*(?:pid=\d+)?[^)]*\)|\[rank\d+\]:) ?")
_LOGGER: Final = re.compile(r"^(?P<level>[A-Z]+) \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\]) ?")
_PYDANTIC_TAIL: Final = re.compile(r" \[type=\w+, input_value=.*$")
_GLOG: Final = re.compile(r"^\[?[EF]\d{4} \d\d:\d\d:\d\d\.\d+ +(?:\d+ )?\S+:\d+\] ?")
_UVICORN: Final = re.compile(r"^ERROR: {2,}(?=\S)")
_ERROR: Final = re.compile(
    r"^(?:[\w.]*(?:Error|Exception|Interrupt)(?::|$)|\s*Value error, |(?:\S+ ){1,3}error: |Fatal Python error: |!+ Segfault encountered|\s+what\(\): |"
    r"429 Too Many Requests|Cannot access gated repo|(?:Repository|Revision|Entry) Not Found for url)"
)
_OF_ENGINE: Final = re.compile(r"^(?:\((?:EngineCore|\w*Worker)|\[rank\d+\]:|\[?[EF]\d{4} )|Engine core proc |EngineDeadError|AsyncLLM output_handler")


def error_of(line: str) -> str | None:
    """The error that a line tells, without the logger's prefix, colours and pydantic's tail; None where it tells none.

    Errors are: the last line of a traceback, pydantic's `Value error, ...`, argparse's `vllm serve: error: ...`, what Python and C++ say when they crash, and
    what a logger says at level ERROR, the lines of a traceback inside it excepted (they are indented). Loggers are vLLM's, uvicorn's and those of torch in C++.
    """
    text, level = _bare(line)
    if not _ERROR.match(text) and (level is None or not text or text[0].isspace() or text.startswith("Traceback (most recent")):
        return None
    return _PYDANTIC_TAIL.sub("", text).strip()


def _bare(line: str) -> tuple[str, str | None]:
    """A line without colours, names of processes and loggers, and the level where a logger says that something is wrong."""
    text = _ANSI.sub("", line).rstrip()
    while (shorter := _PROCESS.sub("", text)) != text:
        text = shorter
    if (logged := _LOGGER.match(text)) is not None:
        return text[logged.end() :], logged["level"] if logged["level"] in ("ERROR", "CRITICAL") else None
    for foreign in (_GLOG, _UVICORN):
        if (logged := foreign.match(text)) is not None:
            return text[logged.end() :], "ERROR"
    return text, None


class ErrorLines:
    """The error lines of an engine that may explain its end. Fed by several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: deque[tuple[float, bool, str]] = deque()
        self._before = ""
        """The line before: pydantic names the field there."""
        self._serving = False

    def feed(self, line: str) -> None:
        """Look at a line."""
        error = error_of(line)
        with self._lock:
            before, self._before = self._before, line
            if error is None and (tail := _PYDANTIC_TAIL.search(line)) is not None:
                error = f"{_bare(before)[0].strip()}: {_bare(line[: tail.start()])[0].strip()}"
            if error is None:
                return
            self._forget_old()
            by_engine = _OF_ENGINE.search(_ANSI.sub("", line)) is not None
            if len(self._kept) == KEPT_LINES and self._serving and by_engine:  # Bad requests, however many, must not keep out why the engine ends.
                self._forget_one_of_a_request()
            if len(self._kept) < KEPT_LINES:
                self._kept.append((self._clock(), by_engine, error))

    def serving(self) -> None:
        """The start has succeeded: its errors were none, and from now on only recent ones explain an end."""
        with self._lock:
            self._kept.clear()
            self._serving = True

    def lines(self) -> list[str]:
        """What may explain an end now, oldest first.

        While serving, only what the engine's processes said, or the API server of their end, if anything: its other errors are those of requests.
        """
        with self._lock:
            self._forget_old()
            of_engine = [line for _, by_engine, line in self._kept if by_engine]
            return of_engine if self._serving and of_engine else [line for _, _, line in self._kept]

    def _forget_one_of_a_request(self) -> None:
        if (found := next((kept for kept in self._kept if not kept[1]), None)) is not None:
            self._kept.remove(found)

    def _forget_old(self) -> None:
        while self._serving and self._kept and self._clock() - self._kept[0][0] > RECENT_SECONDS:
            self._kept.popleft()


class LineSplitter:
    """Cuts a stream of bytes into lines, at carriage returns too (progress bars)."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._partial = b""

    def feed(self, content: bytes) -> None:
        """Take the next bytes."""
        *lines, partial = (self._partial + content.replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            if line:
                self._on_line(line[:LINE_BYTES].decode(errors="replace"))
        self._partial = partial[:LINE_BYTES]

    def close(self) -> None:
        """The stream has ended: what is left is a line."""
        if self._partial:
            self._on_line(self._partial.decode(errors="replace"))


def pump(source: int, target: int, on_line: Callable[[str], None]) -> threading.Thread:
    """Pass everything from one descriptor to another in a thread of its own, until the source ends.

    A thread, so that a slow reader of our output holds up the engine, as it would without us, and never the probes.
    """

    def run() -> None:
        splitter = LineSplitter(on_line)
        writable = True
        while content := os.read(source, READ_BYTES):
            splitter.feed(content)
            if writable:
                writable = _write(target, content)
            if len(content) < READ_BYTES // 2:
                time.sleep(GATHER_SECONDS)
        splitter.close()
        os.close(source)

    thread = threading.Thread(target=run, daemon=True, name=f"output-{target}")
    thread.start()
    return thread


def _write(target: int, content: bytes) -> bool:
    """Write all; False where nobody reads any more. The engine's output is still read then: it must not block."""
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:  # Someone has made our output non-blocking: full for now is not closed.
            writable = select.poll()
            writable.register(target, select.POLLOUT)
            writable.poll()
        except OSError:
            return False
    return True
