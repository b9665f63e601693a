"""A kubelet at the edge: there is no node, so the pods of Jobs end as the test says, and the real Job controller goes on from there."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import POD
from llmfleet.kube.objects import Object, stays

BETWEEN_LOOKS_SECONDS = 0.2


@dataclass(frozen=True)
class Ending:
    """How a container ends."""

    message: Mapping[str, Any]
    exit_code: int = 0

    def status(self, container: str) -> dict[str, Any]:
        ended = {
            "exitCode": self.exit_code,
            "reason": "Error" if self.exit_code else "Completed",
            "message": json.dumps(self.message),
            "startedAt": "2026-11-21T09:00:00Z",
            "finishedAt": "2026-11-21T09:00:01Z",
        }
        return _status("Failed" if self.exit_code else "Succeeded", container, {"terminated": ended})


def _status(phase: str, container: str, state: Mapping[str, Any], address: str | None = None) -> dict[str, Any]:
    running = "running" in state
    about = {"name": container, "image": "r", "imageID": "r", "ready": running, "started": running, "restartCount": 0, "state": state}
    return {"phase": phase, "containerStatuses": [about], **({"podIP": address, "podIPs": [{"ip": address}]} if address else {})}


FACTS = Ending({"schemaVersion": 1, "source": "/models/tiny", "config": {}})
"""What is found of a model of which nothing is said."""

DONE = Ending({"bytes": 1, "files": 1})


@dataclass
class Kubelet:
    """Ends the pods of Jobs, or lets them wait where there is no ending for their role."""

    client: Client
    endings: dict[str, Ending | None] = field(default_factory=lambda: {names.ROLE_INSPECT: FACTS, names.ROLE_DOWNLOAD: DONE})
    """By role; None lets a pod wait."""

    async def run(self) -> None:
        while True:
            for pod in await self.client.list(POD, label_selector=f"{names.LABEL_ROLE} in ({names.ROLE_INSPECT},{names.ROLE_DOWNLOAD})"):
                role = pod["metadata"]["labels"][names.LABEL_ROLE]
                ending = self.endings[role]
                if ending is not None and stays(pod):
                    await say(self.client, pod, ending.status(role))
            await asyncio.sleep(BETWEEN_LOOKS_SECONDS)

    async def runs(self, pod: Object, address: str) -> None:
        """Have a pod run at an address."""
        role = pod["metadata"]["labels"][names.LABEL_ROLE]
        await say(self.client, pod, _status("Running", role, {"running": {"startedAt": "2026-11-21T09:00:00Z"}}, address))


async def say(client: Client, pod: Object, status: Mapping[str, Any]) -> None:
    """Write the status of a pod, unless it is gone by now."""
    try:
        await client.merge_patch(POD, pod["metadata"]["namespace"], pod["metadata"]["name"], {"status": status}, subresource="status")
    except ApiError as error:
        if not error.not_found and not error.conflict:
            raise


class _Runs(Protocol):
    async def run(self) -> None: ...


Edge = TypeVar("Edge", bound=_Runs)


@asynccontextmanager
async def at_work(edge: Edge) -> AsyncIterator[Edge]:
    """What plays the nodes' part, for as long as the block lasts."""
    task = asyncio.create_task(edge.run())
    try:
        yield edge
    finally:
        task.cancel()
        done = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError), done
