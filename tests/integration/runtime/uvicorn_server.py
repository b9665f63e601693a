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
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import multiprocess

from llmfleet_runtime.middleware import Middleware

app = FastAPI()
app.state.engine_client = SimpleNamespace(errored=False)
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


@app.get("/health")
async def health() -> None:
    """As vLLM."""


@app.post("/invocations")
@app.post("/tokenize")
@app.post("/v1/completions")
@app.post("/v1/load_lora_adapter")
async def infer(request: Request) -> dict[str, Any]:
    return {"bytes": len(await request.body()), "id": request.headers.get("x-request-id")}


@app.post("/v1/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> Any:
        yield "first\n"
        await more.wait()
        yield "last\n"

    return StreamingResponse(chunks())


@app.post("/v1/more")
async def go_on() -> None:
    more.set()


@app.post("/v1/die")
async def die() -> JSONResponse:
    app.state.engine_client.errored = True
    return JSONResponse({"error": "EngineCore encountered an issue"}, status_code=500)


@app.post("/v1/raise")
async def fail() -> None:
    raise LookupError


@app.websocket("/v1/realtime")
async def realtime(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.receive()


@app.exception_handler(Exception)
async def unhandled(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=500)


def registry() -> prometheus_client.CollectorRegistry:
    """As get_prometheus_registry of vllm/v1/metrics/prometheus.py."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return prometheus_client.REGISTRY
    collected = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(collected)
    return collected


def main() -> None:
    listening, http, root_path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    app.root_path = root_path
    app.mount("/metrics", prometheus_client.make_asgi_app(registry=registry()))
    app.add_middleware(Reached)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Middleware)
    config = uvicorn.Config(app, http=http, timeout_keep_alive=60, log_level="critical", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=listening)]))


if __name__ == "__main__":
    main()
