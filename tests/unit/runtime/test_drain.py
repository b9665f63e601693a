import asyncio
from collections.abc import Sequence

import pytest

from llmfleet_runtime.drain import QUIET_SECONDS, READ_SECONDS, IdleRule, Look, until_idle

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


# --- The loop ----------------------------------------------------------------------------------------------------------


class Engine:
    """Gives these looks, the last one for ever, and notes when it was told to refuse."""

    def __init__(self, *looks: Look) -> None:
        self.looks = list(looks)
        self.seen = 0
        self.refused_after: list[int] = []

    async def look(self) -> Look:
        look = self.looks[min(self.seen, len(self.looks) - 1)]
        self.seen += 1
        return look

    def refuse(self) -> None:
        self.refused_after.append(self.seen)


async def drained_after_seconds(engine: Engine, minimum_seconds: float = 0.0) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await until_idle(engine.look, engine.refuse, minimum_seconds=minimum_seconds, clock=loop.time)
    return loop.time() - began


@pytest.mark.looptime
async def test_new_requests_are_refused_when_nothing_is_left_and_it_is_looked_once_more() -> None:
    engine = Engine(Look(1, 1), IDLE)
    await drained_after_seconds(engine)
    assert (engine.refused_after, engine.seen) == ([3], 4)


@pytest.mark.looptime
async def test_a_request_that_came_in_just_before_the_refusal_is_waited_for() -> None:
    engine = Engine(IDLE, IDLE, Look(1, 1), Look(1, 1), IDLE)
    await drained_after_seconds(engine)
    assert (engine.refused_after, engine.seen) == ([2], 6)


@pytest.mark.looptime
async def test_an_idle_engine_is_still_kept_for_the_minimum() -> None:
    engine = Engine(IDLE)
    assert await drained_after_seconds(engine, minimum_seconds=3.0) == pytest.approx(3.0, abs=READ_SECONDS)
    assert engine.refused_after == [engine.seen - 1]
