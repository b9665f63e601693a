import os
import threading
import time
from contextlib import suppress

import pytest

from llmfleet_runtime.output import KEPT_LINES, LINE_BYTES, RECENT_SECONDS, ErrorLines, LineSplitter, error_of, pump


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("ValueError: no", "ValueError: no"),
        ("torch.OutOfMemoryError: CUDA out of memory.", "torch.OutOfMemoryError: CUDA out of memory."),
        ("\x1b[0;36m(EngineCore pid=7)\x1b[0;0m ERROR 11-21 09:00:00 [core.py:1] RuntimeError: no", "RuntimeError: no"),
        ("(Worker_TP1 pid=9) ERROR 11-21 09:00:00 [multiproc_executor.py:315] Worker proc died", "Worker proc died"),
        ("[rank0]: ValueError: no", "ValueError: no"),
        ("  Value error, bad flag [type=value_error, input_value=ArgsKwargs((), {}), input_type=ArgsKwargs]", "Value error, bad flag"),
        ("vllm serve: error: argument --dtype: invalid choice: 'x'", "vllm serve: error: argument --dtype: invalid choice: 'x'"),
        ("AssertionError", "AssertionError"),
        ("Fatal Python error: Segmentation fault", "Fatal Python error: Segmentation fault"),
        ("  what():  CUDA error: an illegal memory access was encountered", "what():  CUDA error: an illegal memory access was encountered"),
        ("[rank0]:[E1121 16:00:00.123456789 ProcessGroupNCCL.cpp:685] [Rank 0] Watchdog caught", "[Rank 0] Watchdog caught"),
        ("ERROR:    [Errno 98] address already in use", "[Errno 98] address already in use"),
    ],
)
def test_errors_are_read_without_what_surrounds_them(line: str, error: str) -> None:
    assert error_of(line) == error


@pytest.mark.parametrize(
    "line",
    [
        "(APIServer pid=7) INFO 11-21 09:00:00 [model.py:733] Resolved architecture: LlamaForCausalLM",
        "(EngineCore pid=7) ERROR 11-21 09:00:00 [core.py:1]     raise ValueError(",
        "(EngineCore pid=7) ERROR 11-21 09:00:00 [core.py:1] Traceback (most recent call last):",
        "(EngineCore pid=7) ERROR 11-21 09:00:00 [core.py:1] ",
        "    raise ValueError('x')",
        "[W1121 16:00:00.123456789 TCPStore.cpp:340] [c10d] retrying",
        "ErrorHandler is ready",
        'INFO:     127.0.0.1:1 - "GET /health HTTP/1.0" 200 OK',
        "",
    ],
)
def test_what_tells_no_error_is_passed_over(line: str) -> None:
    assert error_of(line) is None


def test_the_first_errors_are_kept_and_memory_is_bounded() -> None:
    errors = ErrorLines(Clock())
    for number in range(10 * KEPT_LINES):
        errors.feed(f"ValueError: {number}")
    assert errors.lines() == [f"ValueError: {number}" for number in range(KEPT_LINES)]


def test_errors_of_a_start_that_succeeded_explain_nothing() -> None:
    errors = ErrorLines(Clock())
    errors.feed("ImportError: optional")
    errors.serving()
    assert errors.lines() == []


def test_while_serving_only_recent_errors_explain_an_end() -> None:
    clock = Clock()
    errors = ErrorLines(clock)
    errors.serving()
    for number in range(KEPT_LINES):
        errors.feed(f"ValueError: bad request {number}")
    clock.now += RECENT_SECONDS + 1
    errors.feed("torch.OutOfMemoryError: CUDA out of memory.")
    assert errors.lines() == ["torch.OutOfMemoryError: CUDA out of memory."]


def test_while_serving_many_bad_requests_do_not_hide_why_the_engine_ends() -> None:
    errors = ErrorLines(Clock())
    errors.serving()
    for number in range(2 * KEPT_LINES):
        errors.feed(f"ValueError: bad request {number}")
    errors.feed("(EngineCore pid=7) ERROR 11-21 09:00:00 [core.py:1] torch.OutOfMemoryError: CUDA out of memory.")
    errors.feed("ValueError: one more")
    assert errors.lines() == ["torch.OutOfMemoryError: CUDA out of memory."]


def test_while_serving_the_first_errors_of_the_engine_are_kept() -> None:
    errors = ErrorLines(Clock())
    errors.serving()
    for number in range(2 * KEPT_LINES):
        errors.feed(f"[rank0]: RuntimeError: {number}")
    assert errors.lines() == [f"RuntimeError: {number}" for number in range(KEPT_LINES)]


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for chunk in (b"one\ntw", b"o\nthree 10%\rthree 20%\r\n", b"fo", b"ur"):
        splitter.feed(chunk)
    splitter.close()
    assert lines == ["one", "two", "three 10%", "three 20%", "four"]


def test_a_line_without_end_takes_bounded_memory() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for _ in range(100):
        splitter.feed(b"x" * LINE_BYTES)
    splitter.feed(b"\nnext\n")
    assert [len(lines[0]), lines[1]] == [LINE_BYTES, "next"]


def test_output_is_passed_on_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmfleet_runtime.output.GATHER_SECONDS", 0)
    content = b"\x1b[31mred\x1b[0m\r 50%\xff\xfe\n" * 2000 + b"no newline"
    source_read, source_write = os.pipe()
    target_read, target_write = os.pipe()
    lines: list[str] = []
    writing = pump(source_read, target_write, lines.append)
    received = bytearray()
    with os.fdopen(source_write, "wb", buffering=0) as source:
        for begin in range(0, len(content), 1000):
            source.write(content[begin : begin + 1000])
            while len(received) < min(begin + 1000, len(content)):
                received += os.read(target_read, 65536)
    writing.join(10)
    os.close(target_write)
    os.close(target_read)
    assert bytes(received) == content
    assert lines[-1] == "no newline"


def test_lines_that_come_one_after_the_other_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is woken for each request's line costs the engine's processors."""
    source_read, source_write = os.pipe()
    target_read, target_write = os.pipe()
    resting, rested = threading.Event(), threading.Event()

    def rest(_: float) -> None:
        resting.set()
        assert rested.wait(10)

    monkeypatch.setattr(time, "sleep", rest)
    lines: list[str] = []
    writing = pump(source_read, target_write, lines.append)
    with os.fdopen(source_write, "wb", buffering=0) as source:
        source.write(b"first\n")
        assert resting.wait(10)
        assert os.read(target_read, 65536) == b"first\n", "passed on before the rest"
        source.write(b"second\n")
        source.write(b"third\n")
        rested.set()
        assert os.read(target_read, 65536) == b"second\nthird\n"
    writing.join(10)
    os.close(target_write)
    os.close(target_read)


def test_an_engine_whose_output_nobody_reads_is_not_held_up() -> None:
    source_read, source_write = os.pipe()
    target_read, target_write = os.pipe()
    os.close(target_read)
    lines: list[str] = []
    writing = pump(source_read, target_write, lines.append)
    with os.fdopen(source_write, "wb", buffering=0) as source:
        for _ in range(100):
            source.write(b"x" * 9999 + b"\n")
    writing.join(10)
    os.close(target_write)
    assert len(lines) == 100


def test_output_that_is_full_for_now_is_waited_for_where_it_does_not_block() -> None:
    source_read, source_write = os.pipe()
    target_read, target_write = os.pipe()
    os.set_blocking(target_write, False)
    with suppress(BlockingIOError):
        while os.write(target_write, b"x" * 4096):  # Whole pages: not a byte is left free.
            pass
    lines: list[str] = []
    writing = pump(source_read, target_write, lines.append)
    os.write(source_write, b"engine\n")
    os.close(source_write)
    writing.join(0.5)  # It waits now; had it given up, it would have ended.
    received = bytearray()
    while not received.endswith(b"engine\n") and writing.is_alive():
        received += os.read(target_read, 65536)
    writing.join(10)
    os.close(target_write)
    while chunk := os.read(target_read, 65536):
        received += chunk
    os.close(target_read)
    assert received.endswith(b"engine\n")
    assert received.count(b"engine") == 1


@pytest.mark.parametrize(
    "line",
    [
        "(EngineCore pid=2) ERROR 11-21 09:00:01 [core.py:1] RuntimeError: the cause",
        "(APIServer pid=1) ERROR 11-21 09:00:01 [core_client.py:710] Engine core proc EngineCore died unexpectedly, shutting down client.",
    ],
)
def test_while_serving_a_bad_request_does_not_explain_the_engines_end(line: str) -> None:
    errors = ErrorLines(Clock())
    errors.serving()
    errors.feed("(APIServer pid=1) ERROR 11-21 09:00:00 [serving.py:1] ValueError: a bad request")
    assert errors.lines() == ["ValueError: a bad request"], "the API server may be what ended"
    errors.feed(line)
    assert errors.lines() == [error_of(line)]


def test_while_starting_the_first_error_counts_whoever_tells_it() -> None:
    errors = ErrorLines(Clock())
    errors.feed("(APIServer pid=1) ERROR 11-21 09:00:00 [launcher.py:1] ValueError: the cause")
    errors.feed("(EngineCore pid=2) ERROR 11-21 09:00:01 [core.py:1] RuntimeError: cancelled")
    assert errors.lines() == ["ValueError: the cause", "RuntimeError: cancelled"]


def test_what_pydantic_refuses_is_kept_with_the_line_that_names_the_field() -> None:
    errors = ErrorLines(Clock())
    for line in ("(APIServer pid=1) method", "(APIServer pid=1)   Input should be 'ngram' [type=literal_error, input_value='x', input_type=str]"):
        errors.feed(line)
    assert errors.lines() == ["method: Input should be 'ngram'"]
