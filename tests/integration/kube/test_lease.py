"""Leader election against the API server's own rules for Leases."""

import asyncio

from llmfleet.kube.client import Client
from llmfleet.kube.kinds import LEASE
from llmfleet.kube.lease import LeaderElector


def elector(client: Client, namespace: str, identity: str) -> LeaderElector:
    return LeaderElector(client, namespace, "llmfleet", identity, duration_seconds=6, renew_deadline=5, retry=0.1)


async def test_an_empty_lease_of_an_installer_is_taken(client: Client, namespace: str) -> None:
    await client.create({"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"namespace": namespace, "name": "llmfleet"}})
    led = asyncio.Event()

    async def lead() -> None:
        led.set()

    await asyncio.wait_for(elector(client, namespace, "one").run(lead), 20)
    assert led.is_set()


async def test_a_stopped_leader_hands_over_at_once_and_leaves_a_free_lease(client: Client, namespace: str) -> None:
    leading = {identity: asyncio.Event() for identity in ("one", "two")}

    async def compete(identity: str) -> None:
        async def lead() -> None:
            leading[identity].set()
            await asyncio.Event().wait()

        await elector(client, namespace, identity).run(lead)

    loop = asyncio.get_running_loop()
    one = asyncio.create_task(compete("one"))
    await asyncio.wait_for(leading["one"].wait(), 20)
    two = asyncio.create_task(compete("two"))
    await asyncio.sleep(7)  # Longer than the Lease lasts: it is the renewals that keep it.
    assert not leading["two"].is_set()

    stopped_at = loop.time()
    one.cancel()
    await asyncio.wait_for(leading["two"].wait(), 20)
    assert loop.time() - stopped_at < 4

    two.cancel()
    await asyncio.wait({one, two})
    lease = await client.get(LEASE, namespace, "llmfleet")
    assert lease is not None
    assert lease["spec"].get("holderIdentity", "") == ""
    assert lease["spec"]["leaseTransitions"] == 1
