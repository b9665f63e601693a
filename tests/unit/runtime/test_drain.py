from collections.abc import Sequence

import pytest

from llmfleet_runtime.drain import QUIET_SECONDS, IdleRule, Look

IDLE = Look(in_flight=0, connections=0)


def verdicts(looks: Sequence[Look], *, apart_seconds: float = 0.3) -> list[bool]:
    rule = IdleRule()
    return [rule.idle(apart_seconds * number, look) for number, look in enumerate(looks)]


def test_two_empty_looks_in_a_row_are_idle() -> None:
    assert verdicts([IDLE, IDLE]) == [False, True]


def test_a_request_in_between_starts_anew() -> None:
    assert verdicts([IDLE, Look(1, 1), IDLE, IDLE]) == [False, False, False, True]


@pytest.mark.parametrize(
    "look",
    [Look(in_flight=1, connections=1), Look(in_flight=0, connections=1), Look(in_flight=3, connections=None), Look(in_flight=1, connections=0)],
    ids=["a stream", "tokenised, or its last chunk on the way", "no table of connections", "a client that left"],
)
def test_whatever_may_be_a_request_is_waited_for(look: Look) -> None:
    assert not any(verdicts([look] * 10))


def test_the_gauges_alone_decide_where_connections_are_unknown() -> None:
    assert verdicts([Look(0, None)] * 2) == [False, True]


def test_the_connections_alone_decide_where_the_engine_has_no_gauges() -> None:
    assert verdicts([Look(None, 1), Look(None, 0), Look(None, 0)]) == [False, False, True]


def test_nothing_known_is_not_nothing_to_do() -> None:
    assert not any(verdicts([Look(None, None)] * 200))


def test_a_connection_that_carries_nothing_does_not_hold_up_the_end_for_ever() -> None:
    kept_open = verdicts([Look(0, 1)] * 200)
    assert kept_open.index(True) * 0.3 == pytest.approx(QUIET_SECONDS, abs=0.3)


def test_quiet_is_counted_from_the_last_request() -> None:
    quiet = [Look(0, 1)] * int(QUIET_SECONDS / 0.3 - 5)
    assert not any(verdicts([*quiet, Look(1, 1), *quiet]))
