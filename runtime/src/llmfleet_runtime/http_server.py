"""The smallest HTTP server that a kubelet and an operator need: a few GET paths, one request per connection, everything bounded."""

import asyncio
import contextlib
import errno
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

HEAD_BYTES: Final = 16 * 1024
"""Longest head of a request."""

REQUEST_SECONDS: Final = 10.0
"""Longest time in which a client sends its request and takes its answer."""

MAX_CONNECTIONS: Final = 64
"""Most connections at once. The oldest gives way to a further one, not the other way round: idle connections must not keep the kubelet's probes out."""

Content = Mapping[str, Any] | str
"""A JSON object, or plain text."""

Route = Callable[[], tuple[HTTPStatus, Content]]
"""Gives status and content of a path; must not wait."""

_log = logging.getLogger(__name__)


def listen(port: int) -> socket.socket:
    """A socket on every address of the pod, IPv4 and IPv6; IPv4 alone where the kernel has no IPv6."""
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    except ValueError:  # socket.create_server: no dual stack on this platform.
        pass
    return socket.create_server(("", port), backlog=64)


@contextlib.asynccontextmanager
async def serve(listening: socket.socket, routes: Mapping[str, Route]) -> AsyncIterator[None]:
    """Serve these paths until the context ends; whoever is connected then is cut, for an idle connection must not hold up the end."""
    connections: dict[asyncio.Task[None], asyncio.WriteTransport] = {}

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(connections) >= MAX_CONNECTIONS:
            oldest = next(iter(connections))
            oldest.cancel()
            _forget(oldest)
        # A task of our own: the one that asyncio makes for a coroutine shows a traceback when it is cancelled (Python 3.11).
        task = asyncio.create_task(_converse(reader, writer, routes))
        connections[task] = writer.transport
        task.add_done_callback(_forget)

    def _forget(task: asyncio.Task[None]) -> None:
        if (transport := connections.pop(task, None)) is not None:
            transport.abort()

    # Not `async with`: from Python 3.12 on that waits for every connection.
    server = await asyncio.start_server(connected, sock=listening, limit=HEAD_BYTES)
    try:
        yield
    finally:
        server.close()
        tasks = list(connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: Mapping[str, Route]) -> None:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            answer = await _answer(reader, routes)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError):  # The client left, or is too slow to wait for.
        pass
    except Exception:
        _log.exception("A request of the launcher's own paths failed")


async def _answer(reader: asyncio.StreamReader, routes: Mapping[str, Route]) -> bytes | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        return _encode(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, {"error": "the request's head is too long"}, with_body=True)
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return _encode(HTTPStatus.BAD_REQUEST, {"error": "not an HTTP/1 request"}, with_body=True)
    method, target, _ = words
    route = routes.get(target.partition("?")[0])
    if route is None:
        return _encode(HTTPStatus.NOT_FOUND, {"error": "no such path", "paths": sorted(routes)}, with_body=method != "HEAD")
    if method not in ("GET", "HEAD"):
        return _encode(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET"}, with_body=True)
    status, content = route()
    return _encode(status, content, with_body=method != "HEAD")


def _encode(status: HTTPStatus, content: Content, *, with_body: bool) -> bytes:
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode() + b"\n"
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {'text/plain; version=0.0.4; charset=utf-8' if isinstance(content, str) else 'application/json'}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: GET, HEAD")
    return "\r\n".join([*head, "", ""]).encode() + (body if with_body else b"")
