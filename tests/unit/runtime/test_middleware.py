"""The middleware as ASGI sees it: a scope, messages in, messages out."""

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from llmfleet_runtime.board import Board, Slot
from llmfleet_runtime.guard import Guard
from llmfleet_runtime.middleware import Application, Message, Middleware, Receive, Scope, Send, Wiring

KEY = (b"authorization", b"Bearer one")
OPEN_ENGINE = SimpleNamespace(state=SimpleNamespace(engine_client=SimpleNamespace(errored=False)))
DEAD_ENGINE = SimpleNamespace(state=SimpleNamespace(engine_client=SimpleNamespace(errored=True)))


@dataclass
class Rig:
    """A middleware with its board, and one client at a time."""

    board: Board
    wiring: Wiring
    registry: CollectorRegistry
    sent: list[Message] = field(default_factory=list)

    @property
    def in_flight(self) -> int | None:
        counted = self.board.in_flight()
        assert counted == self.registry.get_sample_value("llmfleet:requests_in_flight"), "board and gauge differ"
        return counted

    async def ask(
        self,
        app: Application,
        path: str = "/v1/completions",
        *,
        method: str = "POST",
        kind: str = "http",
        headers: Iterable[tuple[bytes, bytes]] = (KEY, (b"content-length", b"2")),
        body: Iterable[bytes] = (b"{}",),
        engine: Any = OPEN_ENGINE,
        **scope: Any,
    ) -> "Rig":
        chunks = list(body)
        incoming: list[Message] = [{"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1} for index, chunk in enumerate(chunks)]

        async def receive() -> Message:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)

        self.sent.clear()
        asked = {"type": kind, "method": method, "path": path, "root_path": "", "headers": list(headers), "app": engine, **scope}
        await Middleware(app, self.wiring)(asked, receive, send)
        return self

    @property
    def status(self) -> int:
        starts = [message["status"] for message in self.sent if message["type"].endswith("http.response.start")]
        assert len(starts) == 1
        return int(starts[0])

    @property
    def headers(self) -> dict[str, str]:
        found = [(name.decode(), value.decode()) for name, value in self.sent[0]["headers"]]
        assert len(dict(found)) == len(found), "a header twice"
        return dict(found)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        assert int(self.headers["content-length"]) == len(self.body)
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert (set(error), error["code"]) == ({"message", "type", "param", "code"}, self.status)
        return error


def rig(board: Board, *keys: str) -> Rig:
    registry = CollectorRegistry()
    gauge = Gauge("llmfleet:requests_in_flight", "", registry=registry)
    return Rig(board, Wiring(Guard.of(keys, "t0ken", 10), Slot(board.path), gauge), registry)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board.create(tmp_path)


@pytest.fixture
def guarded(board: Board) -> Rig:
    return rig(board, "one", "two")


@pytest.fixture
def keyless(board: Board) -> Rig:
    return rig(board)


async def vllm(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the request and answers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the request came through")


# --- Keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/completions", "/invocations", "/tokenize", "/pooling", "/nobody/knows", "//tokenize", "/v1/../invocations"])
async def test_without_the_key_nothing_that_infers_is_reached(guarded: Rig, path: str) -> None:
    for headers in ([], [(b"authorization", b"Bearer three")]):
        asked = await guarded.ask(never, path, headers=headers)
        assert (asked.status, asked.error["type"], asked.headers["www-authenticate"]) == (401, "Unauthorized", "Bearer")
        assert "Authorization: Bearer" in asked.error["message"]


async def test_each_key_is_let_in(guarded: Rig) -> None:
    for key in (b"Bearer one", b"Bearer two"):
        assert (await guarded.ask(vllm, headers=[(b"authorization", key)])).body == b"ok"


async def test_probes_and_browsers_questions_need_no_key(guarded: Rig) -> None:
    assert (await guarded.ask(vllm, "/health", method="GET", headers=[])).body == b"ok"
    assert (await guarded.ask(vllm, "/v1/completions", method="OPTIONS", headers=[])).body == b"ok"


async def test_without_keys_everything_that_infers_is_open(keyless: Rig) -> None:
    assert (await keyless.ask(vllm, "/invocations", headers=[])).body == b"ok"


@pytest.mark.parametrize("shown", [[], [KEY], [(b"x-llmfleet-admin", b"one")], [KEY, (b"x-llmfleet-admin", b"")]])
async def test_adapters_are_loaded_with_the_launchers_token_alone(guarded: Rig, keyless: Rig, shown: list[tuple[bytes, bytes]]) -> None:
    for one in (guarded, keyless):
        asked = await one.ask(never, "/v1/load_lora_adapter", headers=shown)
        assert asked.status == 403
        assert "spec.adapters.items" in asked.error["message"]
        assert (await one.ask(vllm, "/v1/load_lora_adapter", headers=[(b"x-llmfleet-admin", b"t0ken")])).status == 200


async def test_a_secret_is_in_no_answer(guarded: Rig) -> None:
    asked = await guarded.ask(never, headers=[(b"authorization", b"Bearer sk-guess"), (b"x-llmfleet-admin", b"guess")])
    assert "guess" not in str(asked.sent)


# --- Size --------------------------------------------------------------------------------------------------------------


async def test_a_body_that_says_it_is_too_long_is_refused_before_it_comes(guarded: Rig) -> None:
    asked = await guarded.ask(never, headers=[KEY, (b"content-length", b"11")], body=[])
    assert asked.status == 413
    assert "engine.maxRequestSize" in asked.error["message"]
    assert "10 bytes" in asked.error["message"]
    assert "connection" not in asked.headers  # The rest of the body is still coming: closing now would lose the answer.
    assert (await guarded.ask(never, headers=[KEY, (b"content-length", b"9" * 5000)], body=[])).status == 413


async def test_a_body_of_the_very_limit_is_taken(guarded: Rig) -> None:
    assert (await guarded.ask(vllm, headers=[KEY, (b"content-length", b"10")], body=[b"0" * 10])).status == 200
    assert (await guarded.ask(vllm, headers=[KEY, (b"transfer-encoding", b"chunked")], body=[b"0" * 5, b"0" * 5])).status == 200


@pytest.mark.parametrize("headers", [[], [(b"transfer-encoding", b"chunked")], [(b"transfer-encoding", b"chunked"), (b"content-length", b"1")]])
async def test_a_body_of_unknown_length_is_counted_as_it_comes(guarded: Rig, headers: list[tuple[bytes, bytes]]) -> None:
    chunks: list[Message] = []

    async def reader(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "http.request":
            chunks.append(message)
        await send({"type": "http.response.start", "status": 400, "headers": []})  # As FastAPI does when the client is gone.
        await send({"type": "http.response.body", "body": b"gone"})
        raise ConnectionError  # As an endpoint that reads the body itself.

    asked = await guarded.ask(reader, headers=[KEY, *headers], body=[b"0" * 6, b"0" * 6, b"0" * 6])
    assert asked.status == 413
    assert "engine.maxRequestSize" in asked.error["message"]
    assert len(chunks) == 1
    assert guarded.in_flight == 0


async def test_an_answer_that_has_begun_is_not_begun_again(guarded: Rig) -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert (await receive())["type"] == "http.disconnect"

    assert (await guarded.ask(early, headers=[KEY], body=[b"0" * 11])).status == 200


# --- Ids ---------------------------------------------------------------------------------------------------------------


async def seen_id(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the id that vLLM would find."""
    (first, *_) = [value for name, value in scope["headers"] if name == b"x-request-id"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": first})


async def test_a_sane_id_of_the_client_goes_through_and_comes_back(guarded: Rig) -> None:
    for given in (b"a", b"req-1:2/3.4_5=6+7@8~9", b"x" * 128):
        asked = await guarded.ask(seen_id, headers=[KEY, (b"x-request-id", given), (b"x-request-id", b"another")])
        assert asked.body == given
        assert asked.headers["x-request-id"] == given.decode()


@pytest.mark.parametrize("given", [None, b"", b"x" * 129, b"two words", b"line\nbreak", b'quo"te', b"\xff", b"<b>"])
async def test_any_other_id_is_replaced_by_a_new_one(guarded: Rig, given: bytes | None) -> None:
    headers = [KEY, *([] if given is None else [(b"x-request-id", given)])]
    first, second = [(await guarded.ask(seen_id, headers=headers)).body for _ in range(2)]
    assert re.fullmatch(rb"[0-9a-f]{32}", first)
    assert first != second
    assert guarded.headers["x-request-id"] == second.decode()


async def test_refusals_carry_the_id_too(guarded: Rig) -> None:
    for headers in ([], [KEY, (b"content-length", b"11")]):
        assert (await guarded.ask(never, headers=[*headers, (b"x-request-id", b"mine")])).headers["x-request-id"] == "mine"


async def test_an_id_that_vllm_adds_itself_is_not_doubled(guarded: Rig) -> None:
    async def with_id(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Request-Id", b"mine")]})
        await send({"type": "http.response.body"})

    await guarded.ask(with_id, headers=[KEY, (b"x-request-id", b"mine")])
    assert guarded.sent[0]["headers"] == [(b"X-Request-Id", b"mine")]


# --- Counting ----------------------------------------------------------------------------------------------------------


async def test_a_request_is_in_flight_until_its_last_byte(guarded: Rig) -> None:
    seen: list[int | None] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(guarded.in_flight)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            seen.append(guarded.in_flight)
        await send({"type": "http.response.body"})

    await guarded.ask(stream)
    assert (seen, guarded.in_flight, guarded.body) == ([1] * 4, 0, b"xxx")


async def test_probes_are_not_counted(guarded: Rig) -> None:
    async def probe(scope: Scope, receive: Receive, send: Send) -> None:
        assert guarded.in_flight == 0
        await vllm(scope, receive, send)

    assert (await guarded.ask(probe, "/health", method="GET")).status == 200


async def test_a_request_whose_client_leaves_is_not_in_flight_any_more(guarded: Rig) -> None:
    began = asyncio.Event()

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(guarded.ask(hang))
    await began.wait()
    assert guarded.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guarded.in_flight == 0


async def test_a_websocket_is_in_flight_until_it_ends_and_learns_its_id(guarded: Rig) -> None:
    async def realtime(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "headers": [(b"a", b"b")]})
        assert guarded.in_flight == 1
        await send({"type": "websocket.send", "text": "x"})

    await guarded.ask(realtime, "/v1/realtime", kind="websocket", headers=[KEY, (b"x-request-id", b"mine")])
    assert guarded.in_flight == 0
    assert guarded.sent[0]["headers"] == [(b"a", b"b"), (b"x-request-id", b"mine")]
    assert guarded.sent[1] == {"type": "websocket.send", "text": "x"}


async def test_the_applications_own_life_is_passed_on(guarded: Rig) -> None:
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await guarded.ask(application, kind="lifespan")
    assert seen == ["lifespan"]


# --- Failures ----------------------------------------------------------------------------------------------------------


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("sk-secret")


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"dead"})


async def test_what_vllm_has_no_answer_for_is_answered_with_the_id_and_raised_further(guarded: Rig) -> None:
    with pytest.raises(KeyError):
        await guarded.ask(raising, headers=[KEY, (b"x-request-id", b"mine")])
    assert (guarded.status, guarded.in_flight, guarded.headers["x-request-id"]) == (500, 0, "mine")
    assert "mine" in guarded.error["message"]
    assert "sk-secret" not in str(guarded.sent)


async def test_an_answer_of_a_dead_engine_becomes_one_to_try_again(guarded: Rig) -> None:
    asked = await guarded.ask(failing, engine=DEAD_ENGINE)
    assert (asked.status, asked.headers["retry-after"], asked.headers["connection"]) == (503, "5", "close")
    assert "send the request again" in asked.error["message"]
    with pytest.raises(KeyError):
        await guarded.ask(raising, engine=DEAD_ENGINE)
    assert guarded.status == 503


async def test_a_failure_of_a_living_engine_stays_what_it_is(guarded: Rig) -> None:
    asked = await guarded.ask(failing)
    assert (asked.status, asked.body) == (500, b"dead")
    assert not {"retry-after", "connection"} & set(asked.headers)


@pytest.mark.parametrize("engine", [None, SimpleNamespace(), SimpleNamespace(state=SimpleNamespace(engine_client=None))])
async def test_an_engine_that_says_nothing_of_itself_is_not_called_dead(guarded: Rig, engine: Any) -> None:
    assert (await guarded.ask(failing, engine=engine)).status == 500


async def test_a_stream_that_breaks_is_left_as_vllm_ends_it(guarded: Rig) -> None:
    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: {error}\n\n", "more_body": True})
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await guarded.ask(breaking, engine=DEAD_ENGINE)
    assert (guarded.status, guarded.body) == (200, b"data: {error}\n\n")


# --- Draining and refusing ---------------------------------------------------------------------------------------------


async def test_a_serving_engine_keeps_connections(guarded: Rig) -> None:
    assert "connection" not in (await guarded.ask(vllm)).headers


async def test_a_draining_engine_answers_and_closes_whatever_was_asked(guarded: Rig) -> None:
    guarded.board.drain()
    for path, method, headers, status in (
        ("/v1/completions", "POST", [KEY], 200),
        ("/health", "GET", [], 200),
        ("/v1/completions", "POST", [], 401),
        ("/v1/completions", "POST", [KEY, (b"content-length", b"11")], 413),
    ):
        asked = await guarded.ask(vllm, path, method=method, headers=headers)
        assert (asked.status, asked.headers["connection"]) == (status, "close")


async def test_a_request_that_came_before_the_drain_is_told_with_its_answer(guarded: Rig) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        guarded.board.drain()
        await vllm(scope, receive, send)

    assert (await guarded.ask(slow)).headers["connection"] == "close"


async def test_a_stopping_engine_sends_new_requests_elsewhere(guarded: Rig) -> None:
    guarded.board.refuse()
    asked = await guarded.ask(never)
    assert (asked.status, asked.headers["retry-after"], asked.headers["connection"]) == (503, "1", "close")
    assert "send it again" in asked.error["message"]
    assert guarded.in_flight == 0
    assert (await guarded.ask(vllm, "/health", method="GET")).status == 200


async def test_a_stopping_engine_reads_to_the_end_before_it_refuses(guarded: Rig) -> None:
    """Else the connection would be reset, and the answer lost with it."""
    guarded.board.refuse()
    bodies = [b"0"] * 5

    async def receive() -> Message:
        assert not guarded.sent
        return {"type": "http.request", "body": bodies.pop(), "more_body": bool(bodies)}

    async def send(message: Message) -> None:
        guarded.sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": [KEY, (b"content-length", b"5")]}
    await Middleware(never, guarded.wiring)(scope, receive, send)
    assert (guarded.status, bodies) == (503, [])


async def test_a_stopping_engine_answers_a_body_that_is_too_long_once(guarded: Rig) -> None:
    guarded.board.refuse()
    asked = await guarded.ask(never, headers=[KEY, (b"transfer-encoding", b"chunked")], body=[b"0" * 6, b"0" * 6])
    assert (asked.status, asked.headers["connection"]) == (413, "close")
    assert guarded.in_flight == 0


async def test_a_request_that_was_there_before_is_served_by_a_stopping_engine(guarded: Rig) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        guarded.board.refuse()
        assert guarded.in_flight == 1
        await vllm(scope, receive, send)

    asked = await guarded.ask(slow)
    assert (asked.status, asked.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(("headers", "status"), [([], 401), ([KEY], 503)])
async def test_a_websocket_is_refused_before_it_opens(guarded: Rig, headers: list[tuple[bytes, bytes]], status: int) -> None:
    guarded.board.refuse()
    asked = await guarded.ask(never, "/v1/realtime", kind="websocket", headers=headers, extensions={"websocket.http.response": {}})
    assert (asked.status, asked.error["code"]) == (status, status)
    assert (await guarded.ask(never, "/v1/realtime", kind="websocket", headers=headers)).sent[0]["type"] == "websocket.close"
    assert guarded.in_flight == 0


async def test_no_path_is_open_to_a_websocket(guarded: Rig) -> None:
    assert (await guarded.ask(never, "/health", kind="websocket", headers=[])).sent[0]["type"] == "websocket.close"


# --- In vLLM's process -------------------------------------------------------------------------------------------------


def test_without_its_launcher_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMFLEET_MIDDLEWARE", raising=False)
    with pytest.raises(RuntimeError, match="works for the launcher alone"):
        Middleware(vllm)
