"""What stands between the network and vLLM's API, inside of vLLM: keys, limits, request ids, counts, and the manners of a server that is stopping.

vLLM imports the class by its name (`--middleware`). It is plain ASGI (asgi.readthedocs.io/en/latest/specs/www.html): nothing is buffered, a chunk of a stream
costs one function call. Everything that it decides is in `guard`, everything that it shares with the launcher is on the `board`.
"""

import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from prometheus_client import Gauge

from llmfleet_runtime import answers
from llmfleet_runtime.answers import Answer, Headers
from llmfleet_runtime.board import Orders, Slot
from llmfleet_runtime.engine_command import ENVIRONMENT_MIDDLEWARE
from llmfleet_runtime.guard import ADMIN_HEADER, Access, Guard, access

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID: Final = b"x-request-id"
"""vLLM takes its ids from this header, so the id that a client sees is found in vLLM's log."""

IN_FLIGHT: Final = "llmfleet:requests_in_flight"
"""Name of the gauge. vLLM's own miss a request that is being read or tokenised."""

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")
"""An id that may stand in a log and in a header: no spaces, quotes or control characters, no novels."""

_CLOSE: Final = (b"connection", b"close")
_SERVE: Final = Orders.SERVE.value
_REFUSE: Final = Orders.REFUSE.value


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all applications of one process share."""

    guard: Guard
    slot: Slot
    gauge: Gauge


@cache
def _of_this_process() -> Wiring:
    """Read what the launcher said and take a slot, once: vLLM makes its stack of middlewares more than once.

    Raises:
        RuntimeError: the launcher did not start this vLLM.

    """
    told = os.environ.get(ENVIRONMENT_MIDDLEWARE)
    if told is None:
        raise RuntimeError(f"{ENVIRONMENT_MIDDLEWARE} is not set: this middleware works for the launcher alone")
    document = json.loads(told)
    # livesum: with several API servers the page adds up what the living ones have.
    gauge = Gauge(IN_FLIGHT, "Requests from their first byte to their last, in the whole replica.", multiprocess_mode="livesum")
    return Wiring(Guard.from_document(document), Slot(Path(document["board"])), gauge)


class Middleware:
    """vLLM's application with us round it."""

    def __init__(self, app: Application, wiring: Wiring | None = None) -> None:
        wiring = wiring or _of_this_process()
        self._app = app
        self._guard, self._slot, self._gauge = wiring.guard, wiring.slot, wiring.gauge

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, one websocket, or the application's start and end."""
        if scope["type"] == "http":
            return self._request(scope, receive, send)
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(reversed(scope["headers"]))  # Of several with one name the first, as vLLM reads them.
        exchange = _Exchange(scope, send, _identify(scope, headers), self._slot)
        needed = access(scope["method"], scope["path"], scope.get("root_path", ""))
        if needed is Access.OPEN:
            await exchange.run(self._app, receive)
            return
        if (refusal := self._refusal(needed, headers) or self._refused_for_size(headers)) is not None:
            await exchange.answer(refusal)
            return
        if b"content-length" not in headers or b"transfer-encoding" in headers:
            receive = exchange.limited(receive, self._guard.max_request_bytes)
        orders = self._slot.begin()
        self._gauge.inc()
        try:
            if orders == _REFUSE:
                await _read_out(receive)
                if not exchange.answered:  # Where the body was too long.
                    await exchange.answer(answers.STOPPING)
            else:
                await exchange.run(self._app, receive)
        finally:
            self._gauge.dec()
            self._slot.end()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(reversed(scope["headers"]))
        request_id = _identify(scope, headers)
        refusal = self._refusal(access("", scope["path"], scope.get("root_path", "")), headers)  # No path is open to a websocket.
        orders = self._slot.begin()
        self._gauge.inc()

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "websocket.accept":
                message = {**message, "headers": [*message.get("headers", ()), (REQUEST_ID, request_id)]}
            return send(message)

        try:
            if refusal is None and orders == _REFUSE:
                refusal = answers.STOPPING
            if refusal is None:
                await self._app(scope, receive, sending)
            elif "websocket.http.response" in scope.get("extensions", {}):
                await _send_answer(send, refusal, [(REQUEST_ID, request_id), _CLOSE], "websocket.")
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:100]})
        finally:
            self._gauge.dec()
            self._slot.end()

    def _refusal(self, needed: Access, headers: dict[bytes, bytes]) -> Answer | None:
        """Return why a request may not come in: for want of a key or of the launcher's token."""
        if needed is Access.ADMIN:
            return None if self._guard.is_admin(headers.get(ADMIN_HEADER)) else answers.ADMINISTRATION
        return None if self._guard.has_key(headers.get(b"authorization")) else answers.NO_KEY

    def _refused_for_size(self, headers: dict[bytes, bytes]) -> Answer | None:
        """Refuse a body that says it is too long before it comes. It is not waited for: uvicorn throws it away, so that the client reads our answer."""
        length = headers.get(b"content-length", b"")
        limit = self._guard.max_request_bytes
        too_long = length.isdigit() and (len(length) > 18 or int(length) > limit)
        return answers.too_large(limit) if too_long else None


class _Exchange:
    """One request and its answer on the way out."""

    __slots__ = ("_request_id", "_scope", "_send", "_slot", "_started", "answered")

    def __init__(self, scope: Scope, send: Send, request_id: bytes, slot: Slot) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._slot = slot
        self._started = False
        self.answered = False
        """We have answered; what the application still says is dropped."""

    async def run(self, app: Application, receive: Receive) -> None:
        """Let the application answer. What it raises is raised further for the server's log, but not after our own answer: uvicorn would cut that off."""
        try:
            await app(self._scope, receive, self.send)
        except Exception:
            if self.answered:
                return
            if not self._started:
                await self.answer(answers.ENGINE_DEAD if _engine_is_dead(self._scope) else answers.failed(self._request_id.decode()))
            raise

    async def answer(self, answer: Answer) -> None:
        """Answer in the application's place."""
        self._started = self.answered = True
        await _send_answer(self._send, answer, self._own_headers(closing=answer.closes))

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message of the application on; the first one gets our headers."""
        if self.answered:
            return _nothing()
        if self._started or message["type"] != "http.response.start":
            return self._send(message)
        # Only a dead engine makes a 500 retryable, and only here nothing was sent yet.
        if message["status"] == 500 and _engine_is_dead(self._scope):
            return self.answer(answers.ENGINE_DEAD)
        self._started = True
        headers = list(message.get("headers", ()))
        own = self._own_headers(closing=False)
        if any(name.lower() == REQUEST_ID for name, _ in headers):  # --enable-request-id-headers
            own = own[1:]
        return self._send({**message, "headers": headers + own})

    def limited(self, receive: Receive, limit_bytes: int) -> Receive:
        """Receive a body of unknown length, and answer as soon as it is too long."""
        received_bytes = 0

        async def receiving() -> Message:
            nonlocal received_bytes
            message = await receive()
            if message["type"] == "http.request":
                received_bytes += len(message.get("body", b""))
                if received_bytes > limit_bytes:
                    if not self._started:
                        await self.answer(answers.too_large(limit_bytes))
                    return {"type": "http.disconnect"}
            return message

        return receiving

    def _own_headers(self, *, closing: bool) -> Headers:
        own = [(REQUEST_ID, self._request_id)]
        if closing or self._slot.orders != _SERVE:
            own.append(_CLOSE)
        return own


def _identify(scope: Scope, headers: dict[bytes, bytes]) -> bytes:
    """Return the request's id, the client's or a new one, and have vLLM find it."""
    theirs = headers.get(REQUEST_ID)
    if theirs is not None and _SANE_ID.fullmatch(theirs):
        return theirs
    new = os.urandom(16).hex().encode()
    scope["headers"] = [*((name, value) for name, value in scope["headers"] if name != REQUEST_ID), (REQUEST_ID, new)]
    return new


def _engine_is_dead(scope: Scope) -> bool:
    """Whether vLLM says of its own engine that it will never answer again (EngineClient.errored, vllm/engine/protocol.py)."""
    client = getattr(getattr(scope.get("app"), "state", None), "engine_client", None)
    return getattr(client, "errored", False) is True


async def _send_answer(send: Send, answer: Answer, own: Headers, prefix: str = "") -> None:
    await send({"type": f"{prefix}http.response.start", "status": answer.status, "headers": answer.headers() + own})
    await send({"type": f"{prefix}http.response.body", "body": answer.body()})


async def _read_out(receive: Receive) -> None:
    """Take the rest of a body. A connection that is closed while data comes in is reset, and the answer would be lost with it."""
    while (await receive()).get("more_body"):
        pass


async def _nothing() -> None:
    pass
