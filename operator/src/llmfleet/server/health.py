"""Plain HTTP for the kubelet and for Prometheus: /healthz, /readyz, /metrics."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


def application(*, healthy: Callable[[], str | None], ready: Callable[[], str | None], registry: CollectorRegistry) -> web.Application:
    """Return the application; `healthy` and `ready` say what is wrong, None when nothing is."""

    async def check(probe: Callable[[], str | None]) -> web.Response:
        wrong = probe()
        return web.Response(text="ok") if wrong is None else web.Response(status=503, text=wrong)

    async def healthz(_: web.Request) -> web.Response:
        return await check(healthy)

    async def readyz(_: web.Request) -> web.Response:
        return await check(ready)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app
