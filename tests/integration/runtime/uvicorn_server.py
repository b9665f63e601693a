"""A server made like vLLM's: the same uvicorn, FastAPI and CORS, our middleware outermost, but no engine. Run by the Python that has vLLM.

Every answer of the application carries `x-reached`: what has none never came through the middleware.
"""

import asyncio
import os
import socket
import sys
from types import SimpleNamespace
from typing import Any

import prometheus_client
import uvicorn  # type: ignore[import-not-found, unused-ignore]
from fastapi import FastAPI, Request, WebSocket  # type: ignore[import-not-found, unused-ignore]
from fastapi.middleware.cors import CORSMiddleware  # type: ignore[import-not-found, unused-ignore]
from fastapi.responses import JSONResponse, StreamingResponse  # type: ignore[import-not-found, unused-ignore]
from prometheus_client import multiprocess

from llmfleet_runtime.middleware import Middleware

engine = SimpleNamespace(errored=False)
more: asyncio.Event = asyncio.Event()


class Reached:
    """Marks what the application answers."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marking(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-reached", scope["path"].encode())]
            await send(message)

        await self._inner(scope, receive, marking)


async def health() -> None:
    """As vLLM."""


async def infer(request: Request) -> dict[str, Any]:
    """Reads the body itself, as /invocations of vLLM does."""
    return {"bytes": len(await request.body()), "id": request.headers.get("x-request-id")}


async def stream() -> StreamingResponse:
    async def chunks() -> Any:
        yield "first\n"
        await more.wait()
        yield "last\n"

    return StreamingResponse(chunks())


async def go_on() -> None:
    more.set()


async def die() -> JSONResponse:
    engine.errored = True
    return JSONResponse({"error": "EngineCore encountered an issue"}, status_code=500)


async def fail() -> None:
    raise LookupError


async def realtime(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.receive()


async def unhandled(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=500)


def application(root_path: str) -> Any:
    """As build_app of vllm/entrypoints/launchers/app.py."""
    app = FastAPI()
    app.root_path = root_path
    app.state.engine_client = engine
    app.add_api_route("/health", health)
    for path in ("/invocations", "/tokenize", "/v1/completions", "/v1/load_lora_adapter"):
        app.add_api_route(path, infer, methods=["POST"])
    for path, endpoint in (("/v1/stream", stream), ("/v1/more", go_on), ("/v1/die", die), ("/v1/raise", fail)):
        app.add_api_route(path, endpoint, methods=["POST"], response_model=None)
    app.add_api_websocket_route("/v1/realtime", realtime)
    app.add_exception_handler(Exception, unhandled)
    app.mount("/metrics", prometheus_client.make_asgi_app(registry=registry()))
    app.add_middleware(Reached)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Middleware)
    return app


def registry() -> prometheus_client.CollectorRegistry:
    """As get_prometheus_registry of vllm/v1/metrics/prometheus.py."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return prometheus_client.REGISTRY
    collected = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(collected)  # type: ignore[no-untyped-call]
    return collected


def main() -> None:
    listening, http, root_path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    config = uvicorn.Config(application(root_path), http=http, timeout_keep_alive=60, log_level="critical", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=listening)]))


if __name__ == "__main__":
    main()
