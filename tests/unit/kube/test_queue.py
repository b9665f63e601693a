import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmfleet.kube.queue import WorkQueue

pytestmark = pytest.mark.looptime

Handler = Callable[[str], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def running(queue: WorkQueue[str], handler: Handler, workers: int = 4) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(handler, workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class Recorder:
    """A handler that notes what ran when, and takes its time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.runs: list[tuple[str, float]] = []
        self.running: set[str] = set()

    async def __call__(self, key: str) -> None:
        assert key not in self.running, "a key ran twice at once"
        self.running.add(key)
        self.runs.append((key, round(asyncio.get_running_loop().time(), 3)))
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running.discard(key)


async def test_a_key_added_many_times_runs_once() -> None:
    queue, handler = WorkQueue[str](), Recorder()
    for _ in range(40):
        queue.add("a")
    assert queue.depth == 1
    async with running(queue, handler):
        await asyncio.sleep(1)
    assert [key for key, _ in handler.runs] == ["a"]


async def test_a_key_added_while_it_runs_runs_once_more_and_afterwards() -> None:
    queue, handler = WorkQueue[str](), Recorder(seconds=10)
    queue.add("a")
    async with running(queue, handler):
        await asyncio.sleep(1)
        queue.add("a")
        queue.add("a")
        assert queue.depth == 0
        await asyncio.sleep(30)
    assert handler.runs == [("a", 0), ("a", 10)]


async def test_at_most_so_many_workers_run_at_once() -> None:
    queue, handler = WorkQueue[str](), Recorder(seconds=10)
    for key in "abcde":
        queue.add(key)
    async with running(queue, handler, workers=2):
        await asyncio.sleep(1)
        assert handler.running == {"a", "b"}
        assert queue.depth == 3
        assert queue.oldest_age_seconds == pytest.approx(1)


async def test_of_several_delays_the_earliest_counts() -> None:
    queue, handler = WorkQueue[str](), Recorder()
    async with running(queue, handler):
        queue.add_after("a", 20)
        queue.add_after("a", 5)
        queue.add_after("a", 60)
        await asyncio.sleep(100)
    assert handler.runs == [("a", 5)]


async def test_backoff_doubles_up_to_five_minutes_and_starts_again_after_forget() -> None:
    queue = WorkQueue[str]()
    times: list[float] = []

    async def fails(key: str) -> None:
        times.append(asyncio.get_running_loop().time())
        queue.retry(key)

    queue.add("a")
    async with running(queue, fails):
        await asyncio.sleep(3600)
        gaps = [after - before for before, after in itertools.pairwise(times)]
        for number, gap in enumerate(gaps):
            least = min(0.5 * 2**number, 300)
            assert least <= gap <= least * 1.2
        assert gaps[-1] >= 300
        queue.forget("a")
        queue.add("a")
        before = len(times)
        await asyncio.sleep(1)
        assert len(times) >= before + 2


async def test_retry_waits_at_least_as_long_as_the_server_asks() -> None:
    queue, handler = WorkQueue[str](), Recorder()
    queue.retry("a", at_least_seconds=30)
    async with running(queue, handler):
        await asyncio.sleep(100)
    assert 30 <= handler.runs[0][1] <= 36


async def test_a_pending_backoff_never_delays_an_explicit_add() -> None:
    queue, handler = WorkQueue[str](), Recorder()
    async with running(queue, handler):
        for _ in range(20):
            queue.retry("a")
        queue.add_after("b", 300)
        queue.add("a")
        queue.add("b")
        await asyncio.sleep(0.1)
    assert handler.runs == [("a", 0), ("b", 0)]


async def test_a_handler_that_raises_is_retried_and_does_not_end_its_worker(caplog: pytest.LogCaptureFixture) -> None:
    queue = WorkQueue[str]()
    runs: list[str] = []

    async def fails_once(key: str) -> None:
        runs.append(key)
        if len(runs) == 1:
            raise ValueError("no luck")

    queue.add("a")
    async with running(queue, fails_once, workers=1):
        await asyncio.sleep(2)
    assert runs == ["a", "a"]
    assert "no luck" in caplog.text


async def test_a_key_whose_handler_was_cancelled_stays_due_for_the_next_leader() -> None:
    queue, handler = WorkQueue[str](), Recorder(seconds=10)
    queue.add("a")
    async with running(queue, handler):
        await asyncio.sleep(1)
    assert queue.depth == 1
    async with running(queue, handler):
        await asyncio.sleep(20)
    assert handler.runs == [("a", 0), ("a", 1)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add_after", "retry", "forget"]),
        st.sampled_from("abc"),
        st.floats(0, 20),  # the delay of add_after
        st.floats(0, 4),  # how long to wait before the next step
    ),
    max_size=25,
)


@given(steps=STEPS, handler_seconds=st.floats(0, 5), workers=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_wish_is_followed_by_a_run_that_begins_after_it(steps: list[tuple[str, str, float, float]], handler_seconds: float, workers: int) -> None:
    async def scenario() -> None:
        queue, handler = WorkQueue[str](), Recorder(seconds=handler_seconds)
        loop = asyncio.get_running_loop()
        wishes: dict[str, float] = {}
        async with running(queue, handler, workers):
            for step, key, delay, pause in steps:
                if step == "add":
                    queue.add(key)
                elif step == "add_after":
                    queue.add_after(key, delay)
                elif step == "retry":
                    queue.retry(key)
                else:
                    queue.forget(key)
                if step != "forget":
                    wishes[key] = round(loop.time(), 3)
                await asyncio.sleep(pause)
            await asyncio.sleep(2000)
            assert queue.depth == 0
            assert queue.oldest_age_seconds == 0
        for key, wished_at in wishes.items():
            assert max(at for name, at in handler.runs if name == key) >= wished_at
        assert len(handler.runs) <= sum(step != "forget" for step, *_ in steps)

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(scenario())
