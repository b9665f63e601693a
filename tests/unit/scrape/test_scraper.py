import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from llmfleet.autoscaling.demand import Bounds, Demand, QueueDepthTarget, Replicas
from llmfleet.autoscaling.window import SlotsOrigin
from llmfleet.kube.objects import Key
from llmfleet.scrape.engine import Target, read_queue, session
from llmfleet.scrape.fleet import Fleet
from llmfleet.scrape.queue_metrics import MAX_BYTES, Queue
from llmfleet.scrape.report import Report
from llmfleet.scrape.scraper import CONCURRENCY, SERVICE_CONCURRENCY, Scraper
from tests.unit.scrape.fake_engine import FakeEngine

KEY = ("team", "chat")
METRICS = "/metrics/?name[]=vllm:num_requests_waiting&name[]=vllm:num_requests_running&name[]=llmfleet:requests_in_flight"


class WatchedFleet(Fleet):
    """Tells when a service was recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded = asyncio.Queue[Key]()

    def record(self, key: Key, at_seconds: float, pods: Collection[str], queues: Mapping[str, Queue]) -> None:
        super().record(key, at_seconds, pods, queues)
        self.recorded.put_nowait(key)


class World:
    """Services with their pods, a fleet, a clock, and the scraper over them."""

    def __init__(self, client: aiohttp.ClientSession, *, concurrency: int = 4, service_seconds: float = 5) -> None:
        self.now = 1_000_000.0
        self.services: dict[Key, list[Target]] = {}
        self.fleet = WatchedFleet()
        self.scraper = Scraper(
            self.targets, self.fleet, client, interval_seconds=0.001, concurrency=concurrency, service_seconds=service_seconds, clock=lambda: self.now
        )
        self.failures = 0

    def targets(self) -> Mapping[Key, Collection[Target]]:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the store is upside down")
        return self.services


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with session() as client:
        yield World(client)


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with FakeEngine(waiting=3, running=8).serving() as engine:
        yield engine


async def test_a_round_reads_queue_and_report(world: World, engine: FakeEngine) -> None:
    world.services[KEY] = [engine.target("chat-0")]
    await world.scraper.round()
    load = world.fleet.load_of(KEY, world.now)
    assert load is not None
    assert (load.waiting, load.running, load.slots.count, load.slots.origin) == (3, 8, 256, SlotsOrigin.REPORTED)
    assert world.fleet.report_of(KEY, "chat-0") == Report(max_sequences=256)
    assert engine.asked == [METRICS, "/report"]


async def test_what_a_replica_has_from_the_first_byte_on_is_demand(world: World, engine: FakeEngine) -> None:
    engine.waiting, engine.running, engine.in_flight = 0, 256, 1000
    world.services[KEY] = [engine.target("chat-0")]
    await world.scraper.round()
    answer = world.fleet.demand_of(KEY, QueueDepthTarget(4), Bounds(1, 8), Replicas(1, frozenset({"chat-0"}), 0.0), world.now)
    assert isinstance(answer, Demand)
    assert answer == Demand(4, "1,000 in flight / (256 slots + 4 queue) per replica = 4")


async def test_the_report_is_read_at_every_turn_until_the_adapters_are_loaded(world: World, engine: FakeEngine) -> None:
    engine.report = {"adapters": [{"name": "sql", "state": "Loading"}]}
    world.services[KEY] = [replace(engine.target("chat-0"), adapters=frozenset({"sql"}))]
    for _ in range(3):
        await world.scraper.round()
    engine.report = {"adapters": [{"name": "sql", "state": "Loaded"}]}
    for _ in range(3):
        await world.scraper.round()
    assert engine.asked.count("/report") == 4


@pytest.mark.parametrize("report", [{"adapters": "x" * 300_000}, ["deep"], {"engine": {"version": {"a": [1]}}, "adapters": [None], "previousFailure": [7]}])
async def test_a_pod_that_reports_nonsense_is_a_replica_like_any_other(world: World, engine: FakeEngine, report: object) -> None:
    engine.report = report
    world.services[KEY] = [engine.target("chat-0")]
    await world.scraper.round()
    assert world.fleet.load_of(KEY, world.now) is not None
    assert world.fleet.reports_of(KEY, world.services[KEY]) in ({}, {"chat-0": Report(adapters=())})


async def test_the_report_is_read_again_when_the_pod_changes_or_after_a_minute(world: World, engine: FakeEngine) -> None:
    world.services[KEY] = [engine.target("chat-0", "loading")]
    await world.scraper.round()
    await world.scraper.round()
    assert engine.asked.count("/report") == 1
    world.services[KEY] = [engine.target("chat-0", "ready")]
    await world.scraper.round()
    assert engine.asked.count("/report") == 2
    world.now += 60
    await world.scraper.round()
    assert engine.asked.count("/report") == 3


async def test_without_a_report_the_queue_counts(world: World, engine: FakeEngine) -> None:
    engine.report = ["not", "a", "report"]
    world.services[KEY] = [engine.target("chat-0")]
    await world.scraper.round()
    load = world.fleet.load_of(KEY, world.now)
    assert load is not None
    assert load.slots.origin is SlotsOrigin.ASSUMED


async def test_demand_is_read_by_service(world: World, engine: FakeEngine) -> None:
    engine.waiting, engine.running = 744, 256
    world.services[KEY] = [engine.target("chat-0")]
    await world.scraper.round()
    answer = world.fleet.demand_of(KEY, QueueDepthTarget(4), Bounds(1, 8), Replicas(1, frozenset({"chat-0"}), 0.0), world.now)
    assert isinstance(answer, Demand)
    assert answer.replicas == 4


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "/report"}),
        web.Response(text="no metrics"),
        web.Response(body=b"#" * (MAX_BYTES + 1)),
    ],
    ids=["error", "redirect", "other text", "too large"],
)
async def test_a_pod_that_answers_wrongly_is_silent_and_the_others_count(world: World, engine: FakeEngine, answer: web.Response) -> None:
    async with FakeEngine(metrics=answer).serving() as wrong:
        world.services[KEY] = [wrong.target("chat-0"), engine.target("chat-1")]
        await world.scraper.round()
        load = world.fleet.load_of(KEY, world.now)
        assert load is not None
        assert load.heard == {"chat-1"}
        assert wrong.asked == [METRICS], "a pod without a queue is not asked for a report"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "not-an-address", ""])
async def test_a_pod_that_cannot_be_reached_is_silent(world: World, address: str) -> None:
    world.services[KEY] = [Target("chat-0", address, engine_port=1, launcher_port=1)]
    await world.scraper.round()
    assert world.fleet.load_of(KEY, world.now) is None


async def test_an_ipv6_address_is_asked(engine: FakeEngine) -> None:
    """The address of an IPv4 server, written as an IPv6 one, where the machine lets it."""
    async with session() as client:
        target = Target("chat-0", "::ffff:127.0.0.1", engine_port=engine.port)
        try:
            queue = await read_queue(client, target)
        except aiohttp.ClientConnectorError as error:
            pytest.skip(f"no IPv6 here: {error}")
    assert (queue.waiting, queue.running) == (3, 8)


async def test_a_pod_that_hangs_delays_only_its_own_service(world: World, engine: FakeEngine) -> None:
    async with FakeEngine(hangs=True).serving() as hanging:
        world.services = {("team", "stuck"): [hanging.target("stuck-0")], KEY: [engine.target("chat-0")]}
        under_way = asyncio.create_task(world.scraper.round())
        assert await world.fleet.recorded.get() == KEY
        assert world.fleet.load_of(KEY, world.now) is not None
        assert not under_way.done()
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)


async def test_a_service_whose_pods_all_hang_does_not_blind_another(engine: FakeEngine) -> None:
    """As when a node pool is gone: round after round the neighbour is heard, within an interval of 5 s."""
    async with session() as client, FakeEngine(hangs=True).serving() as hanging:
        world = World(client, concurrency=CONCURRENCY, service_seconds=1)
        stuck = [hanging.target(f"stuck-{number}") for number in range(320)]
        world.services = {("team", "stuck"): stuck, KEY: [engine.target(f"chat-{number}") for number in range(20)]}
        for _ in range(3):
            async with asyncio.timeout(5):
                await world.scraper.round()
            load = world.fleet.load_of(KEY, world.now)
            assert load is not None
            assert len(load.heard) == 20
            world.now += 5
        assert hanging.most_busy <= SERVICE_CONCURRENCY * 3


async def test_pods_that_hang_do_not_silence_their_own_service(engine: FakeEngine) -> None:
    async with session() as client, FakeEngine(hangs=True).serving() as hanging:
        world = World(client, service_seconds=0.5)
        world.services[KEY] = [engine.target("chat-0")]
        await world.scraper.round()
        world.now += 10
        world.services[KEY] = [*(hanging.target(f"stuck-{number}") for number in range(40)), engine.target("chat-0")]
        await world.scraper.round()
        world.now += 10
        load = world.fleet.load_of(KEY, world.now)
        assert load is not None
        assert load.heard == {"chat-0"}


async def test_pods_that_were_never_heard_get_their_turn_in_the_end(engine: FakeEngine) -> None:
    """However many hang before them."""
    async with session() as client, FakeEngine(hangs=True).serving() as hanging:
        world = World(client, concurrency=CONCURRENCY, service_seconds=0.1)
        world.services[KEY] = [*(hanging.target(f"stuck-{number}") for number in range(24)), engine.target("chat-0")]
        async with asyncio.timeout(30):
            while world.fleet.load_of(KEY, world.now) is None:
                await world.scraper.round()


async def test_a_report_that_hangs_takes_no_queue_away() -> None:
    async with session() as client, FakeEngine(waiting=3, running=8, report_hangs=True).serving() as engine:
        world = World(client, service_seconds=0.3)
        world.services[KEY] = [engine.target("chat-0")]
        await world.scraper.round()
        load = world.fleet.load_of(KEY, world.now)
        assert load is not None
        assert (load.waiting, load.slots.origin) == (3, SlotsOrigin.ASSUMED)


async def test_a_pod_that_swallows_packets_costs_half_a_second() -> None:
    """A listener whose queue is full drops what comes, as the address of a dead node does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with session() as client:
                with pytest.raises(aiohttp.ConnectionTimeoutError):
                    await read_queue(client, Target("chat-0", "127.0.0.1", engine_port=port))


async def test_so_many_pods_are_read_at_once_and_no_more(world: World, engine: FakeEngine) -> None:
    world.services = {("team", f"chat-{number}"): [engine.target(f"{number}-{pod}") for pod in range(3)] for number in range(10)}
    await world.scraper.round()
    assert all(world.fleet.load_of(key, world.now) is not None for key in world.services)
    assert engine.most_busy <= 4


async def test_services_and_pods_that_are_gone_are_forgotten(world: World, engine: FakeEngine) -> None:
    world.services[KEY] = [engine.target("chat-0"), engine.target("chat-1")]
    await world.scraper.round()
    world.services[KEY] = [engine.target("chat-1")]
    await world.scraper.round()
    assert world.fleet.report_of(KEY, "chat-0") is None
    assert world.fleet.report_of(KEY, "chat-1") is not None
    del world.services[KEY]
    await world.scraper.round()
    assert world.fleet.load_of(KEY, world.now) is None
    assert world.fleet.report_of(KEY, "chat-1") is None


async def test_a_round_that_fails_does_not_end_the_loop(world: World, engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    world.services[KEY] = [engine.target("chat-0")]
    world.failures = 2
    running = asyncio.create_task(world.scraper.run())
    assert await world.fleet.recorded.get() == KEY
    assert "the store is upside down" in caplog.text
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
