"""An engine pod as the scraper sees it: vLLM's metrics and the launcher's report, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from llmfleet.scrape.engine import Target


@dataclass
class FakeEngine:
    """What it answers; tests change it at any time."""

    waiting: int = 0
    running: int = 0
    in_flight: int | None = None
    """None: a runtime without the gauge."""
    report: object = field(default_factory=lambda: {"limits": {"maxSequences": 256}})
    metrics: web.Response | None = None
    """Answer with this instead."""
    hangs: bool = False
    """Answer no metrics until the end."""
    report_hangs: bool = False
    """Answer no report until the end."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    asked: list[str] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    def target(self, pod: str, state: str = "") -> Target:
        return Target(pod, "127.0.0.1", state, engine_port=self.port, launcher_port=self.port)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeEngine"]:
        app = web.Application()
        app.router.add_get("/metrics/", self._metrics)
        app.router.add_get("/report", self._report)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.ended.set()
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(str(request.rel_url.raw_path_qs))
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            if self.hangs:
                await self.ended.wait()
            await asyncio.sleep(0)
            if self.metrics is not None:
                return self.metrics
            ours = "" if self.in_flight is None else f"llmfleet:requests_in_flight {self.in_flight}.0\n"
            page = f'vllm:num_requests_waiting{{engine="0"}} {self.waiting}.0\nvllm:num_requests_running{{engine="0"}} {self.running}.0\n'
            return web.Response(text=page + ours)
        finally:
            self.busy -= 1

    async def _report(self, _request: web.Request) -> web.Response:
        self.asked.append("/report")
        if self.report_hangs:
            await self.ended.wait()
        return web.json_response(self.report)
