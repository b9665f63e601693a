import pytest

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.store import File, content, part
from tests.unit.runtime.model.in_memory import InMemory

WHOLE = bytes(range(100))


def chunks(data: bytes, size: int = 7) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 1), (13, 14), (14, 21), (20, 90), (99, 100), (5, 5)])
def test_a_part_of_a_whole_file_is_cut_out(start: int, stop: int) -> None:
    assert b"".join(part(iter(chunks(WHOLE)), 0, start, stop)) == WHOLE[start:stop]


def test_more_than_was_asked_for_is_not_read() -> None:
    given = iter(chunks(WHOLE))
    assert b"".join(part(given, 50, 50, 60)) == WHOLE[:10]
    assert next(given) == WHOLE[14:21]


def test_content_that_breaks_off_may_be_asked_for_again() -> None:
    store = InMemory({"a": WHOLE}, most_per_read=4)
    with pytest.raises(ModelFailure, match="a: the source broke off after 4 of 10 bytes") as failed:
        content(store, File("a", 100), 5, 15)
    assert failed.value.reason is Reason.SOURCE_UNREACHABLE


def test_of_nothing_nobody_is_asked() -> None:
    store = InMemory({"a": WHOLE})
    assert content(store, File("a", 100), 5, 5) == b""
    assert store.reads == []
