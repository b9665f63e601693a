"""Nodes as the control plane sees them: the Deployment's own pods get addresses and become Ready, and behind each address an engine answers.

No pod is made here and none is scheduled: those that the test has not let run stay Pending, as replicas do that still load. An engine has a loopback address
of its own, so that the ports are vLLM's and the launcher's.
"""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import POD

_NETWORK = f"127.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
"""Of this test's process: sessions side by side do not meet."""


@dataclass(slots=True)
class Engine:
    """What an engine says; the test changes it at any time."""

    address: str
    slots: int
    running: int = 0
    waiting: int = 0
    in_flight: int = 0
    """What the middleware counts."""
    report: dict[str, Any] = field(default_factory=dict)
    """What the launcher says beside its limits."""
    runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics/", self._metrics)
        app.router.add_get("/report", self._report)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        for port in (names.ENGINE_PORT, names.LAUNCHER_PORT):
            await web.TCPSite(self.runner, self.address, port).start()

    async def stop(self) -> None:
        """Answer no more; its pod stays as it is."""
        if self.runner is not None:
            await self.runner.cleanup()
        self.runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        values = {"vllm:num_requests_waiting": self.waiting, "vllm:num_requests_running": self.running, "llmfleet:requests_in_flight": self.in_flight}
        labels = 'engine="0",model_name="tiny"'
        return web.Response(text="".join(f"# TYPE {name} gauge\n{name}{{{labels}}} {values[name]}.0\n" for name in request.query.getall("name[]")))

    async def _report(self, _: web.Request) -> web.Response:
        return web.json_response({"state": "Serving", "limits": {"maxSequences": self.slots}, **self.report})


@dataclass(slots=True)
class Nodes:
    """Runs pods of one namespace, when it is told to."""

    client: Client
    namespace: str
    slots: int
    report: dict[str, Any] = field(default_factory=dict)
    """What the launcher of each engine says that begins to run from now on."""
    engines: dict[str, Engine] = field(default_factory=dict)
    """By pod."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def pods(self) -> list[dict[str, Any]]:
        """The engine pods that are not going."""
        listing = await self.client.list(POD, namespace=self.namespace, label_selector=f"{names.LABEL_ROLE}={names.ROLE_ENGINE}")
        return [pod for pod in listing if "deletionTimestamp" not in pod["metadata"]]

    async def run_all(self) -> int:
        """Let every Pending pod become Ready; say how many run."""
        for pod in await self.pods():
            if (name := pod["metadata"]["name"]) not in self.engines:
                engine = Engine(f"{_NETWORK}.{next(self._numbers)}", self.slots, report=dict(self.report))
                await engine.start()
                self._stack.push_async_callback(engine.stop)
                self.engines[name] = engine
                await self._become_ready(name, engine.address)
        return len(self.engines)

    async def _become_ready(self, pod: str, address: str) -> None:
        ready = [{"type": kind, "status": "True"} for kind in ("ContainersReady", "Ready")]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
        await self.client.merge_patch(POD, self.namespace, pod, {"status": status}, subresource="status", field_manager="kubelet")


@asynccontextmanager
async def nodes(client: Client, namespace: str, *, slots: int) -> AsyncIterator[Nodes]:
    running = Nodes(client, namespace, slots)
    async with running._stack:
        yield running
