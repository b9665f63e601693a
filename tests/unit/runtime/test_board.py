"""The page between launcher and API servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmfleet_runtime.board import SLOTS, Board, Orders, Slot

SOURCE = Path(__file__).parents[3] / "runtime/src"


@contextmanager
def other_process(board: Board, requests: int) -> Iterator[subprocess.Popen[str]]:
    """A process with a slot and so many requests."""
    program = (
        "import sys; from pathlib import Path; from llmfleet_runtime.board import Slot\n"
        f"slot = Slot(Path(sys.argv[1]))\nfor _ in range({requests}): slot.begin()\nprint('counted', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-S", "-c", program, str(board.path)], env={"PYTHONPATH": str(SOURCE)}, stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_while_nobody_counts_the_number_is_unknown(tmp_path: Path) -> None:
    assert Board.create(tmp_path).in_flight() is None


def test_a_process_without_requests_has_none_in_flight(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    Slot(board.path)
    assert board.in_flight() == 0


def test_requests_are_counted_until_they_end(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    slot = Slot(board.path)
    slot.begin()
    slot.begin()
    assert (board.in_flight(), slot.in_flight) == (2, 2)
    slot.end()
    assert (board.in_flight(), slot.in_flight) == (1, 1)


def test_the_requests_of_every_process_are_added_up(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    with other_process(board, 2), other_process(board, 3):
        assert board.in_flight() == 5


def test_the_requests_of_a_killed_process_are_gone_with_it_reaped_or_not(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    Slot(board.path).begin()
    with other_process(board, 2) as killed:
        assert board.in_flight() == 3
        killed.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # Dead, and not reaped.
        assert board.in_flight() == 1
        killed.wait()
        assert board.in_flight() == 1


def test_a_dead_process_still_says_that_requests_are_counted(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    with other_process(board, 1):
        pass
    assert board.in_flight() == 0


def test_the_slot_of_a_dead_process_is_used_again(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    with other_process(board, 1):
        pass
    for _ in range(SLOTS):
        Slot(board.path).begin()
    assert board.in_flight() == SLOTS


def test_more_processes_than_slots_are_refused_in_words(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    for _ in range(SLOTS):
        Slot(board.path)
    with pytest.raises(RuntimeError, match="no slot for one more"):
        Slot(board.path)


def test_orders_reach_every_process_with_its_next_request(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    one, other = Slot(board.path), Slot(board.path)
    assert (one.begin(), other.orders) == (Orders.SERVE, Orders.SERVE)
    board.drain()
    assert (one.begin(), other.orders) == (Orders.DRAIN, Orders.DRAIN)
    board.refuse()
    assert (one.begin(), other.orders) == (Orders.REFUSE, Orders.REFUSE)


def test_a_board_that_is_removed_leaves_nothing_and_harms_nobody(tmp_path: Path) -> None:
    board = Board.create(tmp_path)
    slot = Slot(board.path)
    board.remove()
    slot.begin()
    assert not list(tmp_path.iterdir())


def test_a_board_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Slot(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        Board.create(tmp_path / "none")
