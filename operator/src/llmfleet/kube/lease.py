"""Leader election by a Lease, as client-go does it (tools/leaderelection).

Two properties matter. At most one leads: a leader stops leading work when it could not renew for `renew_deadline`, well before others may take over after
`duration`. And no two machines' clocks are compared: whoever waits counts, on its own monotonic clock, how long the Lease has not changed; the times
written in it are only compared for equality. (client-go: "tolerant to arbitrary clock skew, not to arbitrary clock skew rate".)
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import LEASE
from llmfleet.kube.objects import Object

_RELEASE_SECONDS: Final = 3.0
"""Time for the farewell on a clean stop: without it the next leader waits for the Lease to run out, no more."""

_log = logging.getLogger(__name__)


class LeaderElector:
    """Competes for one Lease, and runs the leading work while it holds it.

    `duration_seconds` is how long others wait for a silent leader, `renew_deadline` after how many seconds without a renewal the leader stops, `retry` the
    seconds between attempts of either. `identity` must be of one process, never reused: a pod's name plus something random.
    """

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, *, duration_seconds: int = 15, renew_deadline: float = 10, retry: float = 2
    ) -> None:
        if not retry < renew_deadline < duration_seconds:
            raise ValueError(f"needed: retry ({retry}) < renew_deadline ({renew_deadline}) < duration_seconds ({duration_seconds})")
        self._client = client
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._duration_seconds = duration_seconds
        self._renew_deadline = renew_deadline
        self._retry = retry
        self._lease: Object | None = None
        """The Lease as last seen or written."""
        self._unchanged_since = 0.0
        """Loop's time at which its spec was first seen as it is."""
        self._leads_until = 0.0
        """Loop's time until which nobody else can lead, even if nothing more is heard: counted from before the renewal was sent."""

    @property
    def is_leader(self) -> bool:
        """Whether this process may write now."""
        return asyncio.get_running_loop().time() < self._leads_until

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, run `lead()`, cancel it when the Lease is lost, compete again; until cancelled, or until `lead` ends by itself.

        The Lease is released in the end, after the leading work has stopped, so that the other replica takes over at once. Exceptions of `lead` pass.
        """
        try:
            while True:
                await self._acquire()
                _log.info("leading as %s", self.identity)
                if await self._lead(lead):
                    return
                _log.warning("lost the lease %s/%s", self._namespace, self._name)
        finally:
            await self._release()

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """Whether the leading work ended by itself, rather than by loss of the Lease."""
        work = asyncio.ensure_future(lead())
        renewal = asyncio.ensure_future(self._renew_until_lost())
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            ended = work.done()
        finally:
            # Renewal goes on while the work winds down: nobody else leads before it has stopped.
            work.cancel()
            try:
                await asyncio.wait({work})
            finally:
                renewal.cancel()
            await asyncio.wait({renewal})
        if ended:
            work.result()
        return ended

    async def _acquire(self) -> None:
        while True:
            if await self._attempt(self._retry * 2):
                return
            await asyncio.sleep(self._retry)

    async def _renew_until_lost(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(self._retry, max(0.0, self._leads_until - loop.time())))
            if not self.is_leader:
                return
            # One hung request must not use up the whole deadline: the next goes over another connection.
            await self._attempt(min(self._renew_deadline / 2, self._leads_until - loop.time()))

    async def _attempt(self, timeout_seconds: float) -> bool:
        """Try once to get or to renew the Lease; failures are logged and answered like somebody else's Lease."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._acquire_or_renew()
        except (ApiError, TimeoutError) as error:
            _log.warning("lease %s/%s: %s", self._namespace, self._name, str(error) or f"no answer within {timeout_seconds:.1f} s")
            return False

    async def _acquire_or_renew(self) -> bool:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        found = await self._client.get(LEASE, self._namespace, self._name)
        if found is None:
            self._see(await self._client.create(self._claim(None)))
        else:
            found.setdefault("spec", {})  # An installer may have made the Lease, so that we need no right to create any.
            self._see(found)
            if not self._may_take(found):
                self._leads_until = 0.0
                return False
            asked_at = loop.time()
            self._see(await self._client.replace(LEASE, self._namespace, self._name, self._claim(found)))
        self._leads_until = asked_at + self._renew_deadline
        return True

    def _see(self, lease: Object) -> None:
        if self._lease is None or self._lease["spec"] != lease["spec"]:
            self._unchanged_since = asyncio.get_running_loop().time()
        self._lease = lease

    def _may_take(self, lease: Object) -> bool:
        holder = lease["spec"].get("holderIdentity")
        duration = lease["spec"].get("leaseDurationSeconds") or self._duration_seconds
        return not holder or holder == self.identity or asyncio.get_running_loop().time() >= self._unchanged_since + duration

    def _claim(self, lease: Object | None) -> Object:
        """The Lease with us as its holder; with the resourceVersion of `lease`, so that of two claims one is refused."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = lease["spec"] if lease else {}
        ours = before.get("holderIdentity") == self.identity
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": lease["metadata"] if lease else {"namespace": self._namespace, "name": self._name},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": self._duration_seconds,
                "acquireTime": before.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": before.get("leaseTransitions", 0) + (0 if ours or not lease else 1),
            },
        }

    async def _release(self) -> None:
        if not self.is_leader or self._lease is None:
            return
        self._leads_until = 0.0
        # One second is the least the API server takes; nobody holds it, so nobody waits.
        free = {**self._lease, "spec": {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._client.replace(LEASE, self._namespace, self._name, free)
        except (ApiError, TimeoutError) as error:
            _log.warning("lease %s/%s was not released: %s", self._namespace, self._name, error)
