import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from typing import Any, cast

import pytest

from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import Kind
from llmfleet.kube.lease import LeaderElector
from llmfleet.kube.objects import Object

pytestmark = pytest.mark.looptime


class Leases:
    """An API server that knows one Lease, as a client sees it. `down` makes it refuse, `hanging` makes it never answer."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.down = False
        self.hanging = False
        self.requests = 0

    async def _exchange(self) -> None:
        self.requests += 1
        if self.hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        if self.down:
            raise ApiError(0, "Unreachable", "connection refused")

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        await self._exchange()
        return deepcopy(self.lease)

    async def create(self, manifest: Mapping[str, Any]) -> Object:
        await self._exchange()
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "exists")
        return self._store(manifest, 1)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        await self._exchange()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "someone was faster")
        return self._store(body, int(self.lease["metadata"]["resourceVersion"]) + 1)

    def _store(self, body: Mapping[str, Any], revision: int) -> Object:
        self.lease = deepcopy(dict(body))
        self.lease["metadata"] = {**body["metadata"], "resourceVersion": str(revision)}
        return deepcopy(self.lease)

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""


class Replica:
    """One process: its elector, and whether its leading work runs."""

    def __init__(self, leases: Leases, identity: str, cleanup_seconds: float = 0.0) -> None:
        self.elector = LeaderElector(cast(Client, leases), "ns", "llmfleet", identity)
        self.leads = False
        self.times_led = 0
        self.cleanup_seconds = cleanup_seconds

    async def lead(self) -> None:
        assert self.elector.is_leader
        self.leads = True
        self.times_led += 1
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await asyncio.sleep(self.cleanup_seconds)
            finally:
                self.leads = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.elector.run(self.lead))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture
def leases() -> Leases:
    return Leases()


async def test_of_two_replicas_one_leads(leases: Leases) -> None:
    one, two = Replica(leases, "one"), Replica(leases, "two")
    async with one.running(), two.running():
        for _ in range(300):
            await asyncio.sleep(1)
            assert one.leads + two.leads == 1
    assert one.times_led + two.times_led == 1


async def test_a_clean_stop_hands_over_at_once_after_the_work_has_ended(leases: Leases) -> None:
    one, two = Replica(leases, "one", cleanup_seconds=12), Replica(leases, "two")
    async with one.running() as task:
        await asyncio.sleep(1)
        async with two.running():
            await asyncio.sleep(5)
            task.cancel()
            await asyncio.sleep(11)
            assert one.leads
            assert not two.leads
            await asyncio.wait({task})
            assert leases.holder in ("", "two")
            await asyncio.sleep(2.1)
            assert two.leads
    assert leases.holder == ""


async def test_the_leases_of_the_dead_run_out(leases: Leases) -> None:
    one, two = Replica(leases, "one"), Replica(leases, "two")
    async with one.running() as task:
        await asyncio.sleep(1)
        leases.down = True  # The process dies without a word.
        task.cancel()
        await asyncio.wait({task})
        leases.down = False
        async with two.running():
            await asyncio.sleep(14)
            assert not two.leads
            await asyncio.sleep(4)
            assert two.leads


async def test_what_the_lease_says_about_time_does_not_matter(leases: Leases) -> None:
    """The holder's clock is years behind: it still leads as long as it renews."""
    one, two = Replica(leases, "one"), Replica(leases, "two")
    async with one.running():
        await asyncio.sleep(1)
        assert leases.lease is not None
        async with two.running():
            for second in range(60):
                await asyncio.sleep(1)
                leases.lease["spec"]["renewTime"] = f"1999-01-01T00:00:{second:02}.000000Z"
                assert not two.leads


@pytest.mark.parametrize("failure", ["down", "hanging"])
async def test_a_leader_that_cannot_renew_stops_before_another_may_lead(leases: Leases, failure: str) -> None:
    one = Replica(leases, "one", cleanup_seconds=1)
    async with one.running():
        await asyncio.sleep(1)
        assert one.leads
        setattr(leases, failure, True)
        await asyncio.sleep(8)
        assert one.elector.is_leader
        assert one.leads
        await asyncio.sleep(3)
        assert not one.elector.is_leader
        assert not one.leads
        setattr(leases, failure, False)
        await asyncio.sleep(10)
        assert one.leads
        assert one.times_led == 2


async def test_a_hung_request_alone_does_not_cost_the_lead(leases: Leases) -> None:
    one = Replica(leases, "one")
    async with one.running():
        await asyncio.sleep(1)
        leases.hanging = True
        await asyncio.sleep(4)
        leases.hanging = False
        await asyncio.sleep(20)
        assert one.times_led == 1
        assert one.leads


async def test_a_lease_that_another_took_is_given_up_at_the_next_look(leases: Leases) -> None:
    one = Replica(leases, "one")
    async with one.running():
        await asyncio.sleep(1)
        assert leases.lease is not None
        leases.lease["spec"]["holderIdentity"] = "two"
        await asyncio.sleep(2.1)
        assert not one.leads
        assert not one.elector.is_leader


async def test_leading_work_that_fails_ends_the_run_and_frees_the_lease(leases: Leases) -> None:
    elector = LeaderElector(cast(Client, leases), "ns", "llmfleet", "one")

    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await elector.run(fails)
    assert leases.holder == ""


async def test_a_lease_that_an_installer_made_is_free(leases: Leases) -> None:
    leases.lease = {"metadata": {"namespace": "ns", "name": "llmfleet", "resourceVersion": "1"}}
    one = Replica(leases, "one")
    async with one.running():
        await asyncio.sleep(1)
        assert one.leads


async def test_transitions_are_counted_and_a_renewal_is_none(leases: Leases) -> None:
    for identity in ("one", "two"):
        async with Replica(leases, identity).running():
            await asyncio.sleep(10)
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_deadlines_that_contradict_each_other_are_refused(leases: Leases) -> None:
    with pytest.raises(ValueError, match="needed"):
        LeaderElector(cast(Client, leases), "ns", "llmfleet", "one", duration_seconds=10, renew_deadline=10)
