"""A scheduler and a kubelet for engine pods at the edge: as many find a place as the test has room for, and each fares as the test says.

The nodes are names: what runs on them is played. What makes, counts, replaces and evicts the pods is the real controller manager.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import aiohttp

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import POD
from llmfleet.kube.objects import Object, is_ready, labels_of, uid_of
from tests.integration.kubelet import say

BETWEEN_LOOKS_SECONDS = 0.1
NODE = "engines"
NO_ROOM = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu"
HEARTBEAT_SECONDS = 10.0
"""The controller manager calls a node lost that says nothing for 50 s."""


@dataclass(frozen=True)
class Fails:
    """An engine that ends so many times, and then waits to be started again."""

    message: Mapping[str, Any]
    times: int = 3


Fate = Literal["answers", "loads"] | Fails


def time_ago(seconds: float) -> str:
    """A time as Kubernetes writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def revision_of(pod: Object) -> str:
    return labels_of(pod).get(names.LABEL_REVISION, "")


@dataclass
class Engines:
    """The engine pods of one namespace."""

    client: Client
    session: aiohttp.ClientSession
    server: str
    namespace: str
    room: int = 100
    fate: Callable[[Object], Fate] = lambda _: "answers"
    lets_go: bool = True
    """Whether pods that are told to stop end at once; otherwise they have requests in hand."""
    waiting_since_seconds: float = 300.0
    """How long ago the scheduler gave up a pod that finds no room."""
    least_ready: int = 1000
    """The fewest that answered at once since the test set it."""
    pods: list[Object] = field(default_factory=list)
    """As seen last."""
    _ends: dict[str, int] = field(default_factory=dict)

    @property
    def ready(self) -> list[Object]:
        """Pods that answer and stay."""
        return [pod for pod in self.pods if is_ready(pod) and not _leaving(pod)]

    async def run(self) -> None:
        beat = 0.0
        while True:
            if (now := asyncio.get_running_loop().time()) > beat + HEARTBEAT_SECONDS:
                await self._heartbeat()
                beat = now
            self.pods = list(await self.client.list(POD, namespace=self.namespace, label_selector=f"{names.LABEL_ROLE}={names.ROLE_ENGINE}"))
            # One on its way out serves until it is gone.
            self.least_ready = min(self.least_ready, sum(map(is_ready, self.pods)))
            placed = sum("nodeName" in pod["spec"] for pod in self.pods)
            for pod in self.pods:
                if _leaving(pod):
                    await self._end(pod)
                elif "nodeName" not in pod["spec"] and placed < self.room:
                    placed += 1
                    await self._bind(pod)
                elif "nodeName" not in pod["spec"]:
                    await self._leave_waiting(pod)
                else:
                    await self._fares(pod, self.fate(pod))
            await asyncio.sleep(BETWEEN_LOOKS_SECONDS)

    async def _end(self, pod: Object) -> None:
        if self.lets_go:
            async with self.session.delete(f"{self.server}{_path(pod)}", json={"gracePeriodSeconds": 0}) as answer:
                assert answer.status in (200, 404), await answer.text()

    async def _bind(self, pod: Object) -> None:
        metadata = {"name": pod["metadata"]["name"], "uid": uid_of(pod)}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": {"kind": "Node", "name": NODE}}
        async with self.session.post(f"{self.server}{_path(pod)}/binding", json=body) as answer:
            assert answer.status in (201, 404, 409), await answer.text()

    async def _leave_waiting(self, pod: Object) -> None:
        if not pod["status"].get("conditions"):
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_ROOM}
            await say(self.client, pod, {"conditions": [{**condition, "lastTransitionTime": time_ago(self.waiting_since_seconds)}]})

    async def _fares(self, pod: Object, fate: Fate) -> None:
        if isinstance(fate, Fails):
            # Looks follow each other faster than an engine ends: one more end at each of them.
            ends = self._ends.get(uid_of(pod), 0) + 1
            if ends <= fate.times:
                self._ends[uid_of(pod)] = ends
                await say(self.client, pod, _failed(fate.message, ends))
        elif is_ready(pod) != (fate == "answers") or "containerStatuses" not in pod["status"]:
            await say(self.client, pod, _running(ready=fate == "answers"))

    async def _heartbeat(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        async with self.session.post(f"{self.server}/api/v1/nodes", json=node) as answer:
            assert answer.status in (201, 409), await answer.text()
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": time_ago(0), "lastTransitionTime": "2026-01-01T00:00:00Z"}
        headers = {"Content-Type": "application/merge-patch+json"}
        body = json.dumps({"status": {"conditions": [ready]}})
        async with self.session.patch(f"{self.server}/api/v1/nodes/{NODE}/status", data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()


def _path(pod: Object) -> str:
    return POD.path(pod["metadata"]["namespace"], pod["metadata"]["name"])


def _leaving(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _conditions(*, ready: bool) -> list[dict[str, Any]]:
    now, word = time_ago(0), "True" if ready else "False"
    values = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": word, "Ready": word}
    return [{"type": kind, "status": value, "lastTransitionTime": now} for kind, value in values.items()]


def _container(ready: bool, restarts: int, state: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    about = {"name": names.ENGINE_CONTAINER, "image": "r", "imageID": "r", "ready": ready, "started": ready, "restartCount": restarts}
    return {**about, "state": state, "lastState": last}


def _running(*, ready: bool) -> dict[str, Any]:
    return {
        "phase": "Running",
        "conditions": _conditions(ready=ready),
        "containerStatuses": [_container(ready, 0, {"running": {"startedAt": time_ago(0)}}, {})],
    }


def _failed(message: Mapping[str, Any], ends: int) -> dict[str, Any]:
    terminated = {"exitCode": 1, "reason": "Error", "message": json.dumps(message), "startedAt": time_ago(2), "finishedAt": time_ago(1)}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
    return {
        "phase": "Running",
        "conditions": _conditions(ready=False),
        "containerStatuses": [_container(False, ends - 1, waiting, {"terminated": terminated})],
    }
