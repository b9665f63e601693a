"""The middleware under the HTTP server that vLLM uses, with both of its parsers: what is on the wire, and when connections close."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster import vllm_environment
from llmfleet_runtime.board import Board
from llmfleet_runtime.engine_command import engine_command
from tests.integration.runtime.conversations import Conversation
from tests.integration.runtime.launched import eventually

SERVER = Path(__file__).with_name("uvicorn_server.py")
LIMIT_BYTES = 1_000_000
KEYS = ("one", "two")


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    board: Board

    def talk(self) -> Conversation:
        return Conversation(self.port)

    def metrics(self) -> str:
        with self.talk() as talk:
            return talk.ask("/metrics/", method="GET").body.decode()


@contextmanager
def serving(directory: Path, http: str = "httptools", *, board: Board | None = None, root_path: str = "", **environment: str) -> Iterator[Server]:
    board = board or Board.create(directory)
    outside = {name: value for name, value in os.environ.items() if name not in ("VLLM_API_KEY", "PYTHONPATH")} | environment
    _, variables = engine_command(["vllm", "serve", "--api-key", *KEYS], outside, board.path, max_request_bytes=LIMIT_BYTES, admin_token="t0ken")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = [str(vllm_environment.host_python()), "-P", str(SERVER), str(listening.fileno()), http, root_path]
        process = subprocess.Popen(command, env=variables, pass_fds=[listening.fileno()])
    try:
        eventually(board.in_flight, lambda count: count is not None, within_seconds=60)
        yield Server(process, port, board)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["httptools", "h11"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that serves; tests do not change its orders."""
    with serving(tmp_path_factory.mktemp("server"), request.param) as running:
        yield running


@pytest.fixture(params=["httptools", "h11"])
def stopping(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with serving(tmp_path, request.param) as running:
        yield running


# --- Keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        *("/invocations", "/tokenize", "/v1/completions", "/v1/load_lora_adapter", "/nowhere"),
        *(
            "//tokenize",
            "/./tokenize",
            "/health/../tokenize",
            "/v1/../invocations",
            "/tokenize/",
            "/tokenize?x=/health",
            "/tokenize#/health",
            "/tokenize;/health",
        ),
        *("/%74okenize", "/%2574okenize", "/tokenize%00", "/%2ftokenize", "/health%2f..%2ftokenize", "/metrics/../tokenize", "/metrics%2f../tokenize"),
        *("/TOKENIZE", "http://test/tokenize", "http://test/health", "/health?/../tokenize", "/docs/../tokenize", "/metrics/x"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "post", "PUT", "PATCH", "DELETE", "QUERY"])
def test_without_a_key_no_spelling_of_a_path_reaches_the_application(server: Server, target: str, method: str) -> None:
    with server.talk() as talk:
        reply = talk.ask(target, b"{}", method=method)
        assert not reply.reached
        assert reply.status in (400, 401, 403)  # 400: uvicorn's, what is no HTTP to it.


def test_other_headers_are_no_way_round(server: Server) -> None:
    with server.talk() as talk:
        for headers in ({"X_Original_URL": "/health"}, {"X_HTTP_Method_Override": "OPTIONS"}, {"X_Forwarded_Prefix": "/tokenize"}, {"Upgrade": "h2c"}):
            assert talk.ask("/tokenize", b"{}", **headers).status == 401


def test_a_request_hidden_in_another_ones_body_is_not_answered(server: Server) -> None:
    hidden = b"0\r\n\r\nPOST /tokenize HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
    with server.talk() as talk:
        talk.begin("/health", method="GET", Content_Length=str(len(hidden)), Transfer_Encoding="chunked")
        talk.say(hidden)
        statuses = [talk.head().status]
        assert statuses[0] == 400 or talk.reply().status == 401


def test_a_key_opens(server: Server) -> None:
    with server.talk() as talk:
        for key in KEYS:
            assert talk.ask("/tokenize", b"{}", key=key).document["bytes"] == 2


def test_a_browsers_question_is_answered_and_its_request_needs_the_key(server: Server) -> None:
    origin = {"Origin": "https://app.example"}
    with server.talk() as talk:
        asked = talk.ask("/v1/completions", method="OPTIONS", Access_Control_Request_Method="POST", Access_Control_Request_Headers="authorization", **origin)
        assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert talk.ask("/v1/completions", b"{}", **origin).status == 401
        assert talk.ask("/v1/completions", b"{}", key="one", **origin).headers["access-control-allow-origin"] == "https://app.example"


def test_a_root_path_opens_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, root_path="/llm") as server, server.talk() as talk:
        for target in ("/llm/tokenize", "/llm//tokenize", "/llm/health/../tokenize", "/tokenize"):
            assert talk.ask(target, b"{}").status == 401
        assert talk.ask("/llm/v1/load_lora_adapter", b"{}", key="one").status == 403
        assert talk.ask("/llm/tokenize", b"{}", key="one").reached
        assert talk.ask("/llm/health", method="GET").status == talk.ask("/health", method="GET").status == 200


# --- Size --------------------------------------------------------------------------------------------------------------


def test_a_client_that_sends_too_much_gets_the_whole_answer(server: Server) -> None:
    with server.talk() as talk:
        reply = talk.ask("/v1/completions", b"0" * 8 * LIMIT_BYTES, key="one")
        assert (reply.status, reply.reached) == (413, False)
        assert "engine.maxRequestSize" in reply.document["error"]["message"]
        assert talk.usable


def test_a_client_that_asks_first_sends_nothing_too_much(server: Server) -> None:
    with server.talk() as talk:
        talk.begin("/v1/completions", key="one", Content_Length=str(LIMIT_BYTES + 1), Expect="100-continue")
        assert talk.head().status == 413
    with server.talk() as talk:
        talk.begin("/v1/completions", key="one", Content_Length="2", Expect="100-continue")
        assert talk.head().status == 100
        talk.say(b"{}")
        assert talk.reply().status == 200


def test_chunks_are_counted(server: Server) -> None:
    chunk = b"%x\r\n%s\r\n" % (LIMIT_BYTES // 2, b"0" * (LIMIT_BYTES // 2))
    with server.talk() as talk:
        talk.begin("/v1/completions", key="one", Transfer_Encoding="chunked")
        talk.say(chunk * 2 + b"0\r\n\r\n")
        assert talk.reply().document["bytes"] == LIMIT_BYTES
        talk.begin("/v1/completions", key="one", Transfer_Encoding="chunked")
        talk.say(chunk * 2 + b"1\r\n0\r\n")  # And no end of it.
        reply = talk.reply()
        assert (reply.status, reply.reached) == (413, False)
        talk.say(chunk + b"0\r\n\r\n")
        assert talk.usable
    assert server.board.in_flight() == 0


# --- Ids and failures --------------------------------------------------------------------------------------------------


def test_every_answer_carries_the_id_that_the_application_saw(server: Server) -> None:
    with server.talk() as talk:
        reply = talk.ask("/v1/completions", key="one", X_Request_Id="mine")
        assert reply.document["id"] == reply.headers["x-request-id"] == "mine"
        reply = talk.ask("/v1/completions", key="one", X_Request_Id="not mine")
        assert reply.document["id"] == reply.headers["x-request-id"] != "not mine"
        for target, key in (("/v1/completions", None), ("/v1/nowhere", "one"), ("/v1/raise", "one")):
            assert talk.ask(target, key=key, X_Request_Id="mine").headers["x-request-id"] == "mine"


def test_a_dead_engine_is_told_as_something_to_try_again(stopping: Server) -> None:
    with stopping.talk() as talk:
        reply = talk.ask("/v1/die", key="one")
        assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (503, "5", "close")
        assert talk.closed


# --- Counting ----------------------------------------------------------------------------------------------------------


def test_a_stream_is_counted_until_its_client_leaves(server: Server) -> None:
    talk = server.talk()
    talk.begin("/v1/stream", key="one")
    talk.head()
    assert talk.chunk() == b"first\n"
    assert server.board.in_flight() == 1
    assert "llmfleet:requests_in_flight 1.0" in server.metrics()
    talk.leave()
    eventually(server.board.in_flight, lambda count: count == 0)
    assert "llmfleet:requests_in_flight 0.0" in server.metrics()


def test_an_upload_is_counted_from_its_head_until_its_client_leaves(server: Server) -> None:
    talk = server.talk()
    talk.begin("/v1/completions", key="one", Content_Length="100")
    eventually(server.board.in_flight, lambda count: count == 1)
    talk.leave()
    eventually(server.board.in_flight, lambda count: count == 0)


def _handshake(talk: Conversation, key: str | None) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    talk.begin("/v1/realtime", method="GET", key=key, **upgrade)


def test_a_websocket_needs_the_key_and_is_counted_while_it_is_open(server: Server) -> None:
    with server.talk() as talk:
        _handshake(talk, None)
        assert talk.head().status == 401
    with server.talk() as talk:
        _handshake(talk, "one")
        reply = talk.head()
        assert (reply.status, "x-request-id" in reply.headers) == (101, True)
        talk.say(b"\x81\x82\0\0\0\0hi")
        assert talk.read(4) == b"\x81\x02hi"
        assert server.board.in_flight() == 1
    eventually(server.board.in_flight, lambda count: count == 0)


def test_several_processes_are_one_number(tmp_path: Path) -> None:
    shared = tmp_path / "metrics"
    shared.mkdir()
    board = Board.create(tmp_path)
    with (
        serving(tmp_path, board=board, PROMETHEUS_MULTIPROC_DIR=str(shared)) as one,
        serving(tmp_path, board=board, PROMETHEUS_MULTIPROC_DIR=str(shared)) as other,
        one.talk() as first,
        other.talk() as second,
    ):
        for talk in (first, second):
            talk.begin("/v1/stream", key="one")
            talk.head()
        assert board.in_flight() == 2
        assert "llmfleet:requests_in_flight 2.0" in one.metrics()
        assert one.metrics() == other.metrics()
        os.kill(other.process.pid, signal.SIGKILL)
        eventually(board.in_flight, lambda count: count == 1)


# --- Draining and refusing ---------------------------------------------------------------------------------------------


def test_a_connection_of_a_serving_engine_stays_open(server: Server) -> None:
    with server.talk() as talk:
        assert "connection" not in talk.ask("/v1/completions", key="one").headers
        assert talk.usable


def test_a_draining_engine_answers_whole_and_closes_then(stopping: Server) -> None:
    with stopping.talk() as idle, stopping.talk() as talk, stopping.talk() as streaming:
        assert idle.usable
        streaming.begin("/v1/stream", key="one")
        assert "connection" not in streaming.head().headers
        stopping.board.drain()
        reply = talk.ask("/v1/completions", b"0" * 500_000, key="one")
        assert (reply.status, reply.headers["connection"], reply.document["bytes"]) == (200, "close", 500_000)
        assert talk.closed
        assert idle.ask("/health", method="GET").headers["connection"] == "close"  # Open until it is used: no request meets a closed one.
        assert idle.closed
        with stopping.talk() as new:
            new.begin("/v1/stream", key="one")
            assert new.head().headers["connection"] == "close"
            assert new.chunk() == streaming.chunk() == b"first\n"
            assert stopping.board.in_flight() == 2
            with stopping.talk() as other:
                other.ask("/v1/more", key="one")
            assert new.chunk() == streaming.chunk() == b"last\n"
            assert new.chunk() == streaming.chunk() == b""
            assert new.closed
        assert streaming.ask("/v1/completions", key="one").headers["connection"] == "close"  # Its stream had promised to go on.
        assert streaming.closed
    eventually(stopping.board.in_flight, lambda count: count == 0)


def test_a_stopping_engine_sends_new_requests_elsewhere_and_ends_what_runs(stopping: Server) -> None:
    with stopping.talk() as streaming, stopping.talk() as talk:
        streaming.begin("/v1/stream", key="one")
        streaming.head()
        assert streaming.chunk() == b"first\n"
        stopping.board.refuse()
        reply = talk.ask("/v1/completions", b"{}", key="one")
        assert (reply.status, reply.reached, reply.headers["retry-after"], reply.headers["connection"]) == (503, False, "1", "close")
        assert talk.closed
        assert stopping.board.in_flight() == 1
    eventually(stopping.board.in_flight, lambda count: count == 0)
