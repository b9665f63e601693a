"""The middleware in a real vLLM: one server for all, with keys, development endpoints, adapters and a middleware of the user's. It dies in the end."""

import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from e2e.cluster import tiny_model, vllm_environment
from e2e.ports import free_port
from llmfleet_runtime.board import Board
from llmfleet_runtime.engine_command import engine_command
from llmfleet_runtime.guard import OPEN_PATHS, Access, access
from tests.integration.runtime.conversations import Conversation, Reply
from tests.integration.runtime.launched import eventually

START_SECONDS = 300
KEYS = ("sk-one", "sk-two")
TOKEN = secrets.token_hex(16)
LIMIT_BYTES = 100_000
MESSAGES: Any = [{"role": "user", "content": "The quick brown fox"}]
USERS_MIDDLEWARE = """
class Mine:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        async def marking(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-mine", b"yes")]
            await send(message)
        await self.app(scope, receive, marking)
"""

pytestmark = pytest.mark.timeout(START_SECONDS + 60)


@dataclass
class Vllm:
    """A running `vllm serve`."""

    process: subprocess.Popen[bytes]
    port: int
    board: Board
    log: Path

    def talk(self) -> Conversation:
        return Conversation(self.port)

    def client(self, key: str = KEYS[0], retries: int = 0) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, max_retries=retries)

    def begin(self, talk: Conversation, *, stream: bool, tokens: int) -> None:
        request = {"model": "tiny", "prompt": "The quick", "max_tokens": tokens, "ignore_eos": True, "stream": stream}
        talk.begin("/v1/completions", json.dumps(request).encode(), key=KEYS[0], Content_Type="application/json")

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-5000:]
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        return False


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    directory = tmp_path_factory.mktemp("vllm")
    (directory / "mine.py").write_text(USERS_MIDDLEWARE)
    board, port, log = Board.create(directory), free_port(), directory / "log"
    quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(directory / "cache"), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    more = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true", "PYTHONPATH": str(directory)}
    command, environment = engine_command(
        [
            *(str(vllm_environment.host_python().with_name("vllm")), "serve", str(tiny_model.ensure()), "--served-model-name", "tiny"),
            *("--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--kv-cache-memory-bytes", "64M", "--max-num-seqs", "4"),
            *("--enable-lora", "--max-lora-rank", "8", "--allowed-origins", '["https://app.example"]', "--middleware", "mine.Mine", "--api-key", *KEYS),
        ],
        {**os.environ, **quiet, **more},
        board.path,
        max_request_bytes=LIMIT_BYTES,
        admin_token=TOKEN,
    )
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        running = Vllm(process, port, board, log)
        deadline = time.monotonic() + START_SECONDS
        while not running.answers():
            assert time.monotonic() < deadline, log.read_text()[-5000:]
            time.sleep(0.1)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# --- Who may ask -------------------------------------------------------------------------------------------------------


def test_every_path_of_vllm_asks_for_a_key_or_for_the_launcher_but_for_the_known_few(vllm: Vllm) -> None:
    routes = re.findall(r"Route: (/\S*), Methods: ([A-Z, ]+)", vllm.log.read_text())
    paths = {(method, path) for path, methods in routes for method in methods.split(", ")}
    assert len(paths) > 30
    for method, path in paths:
        if path not in OPEN_PATHS or method not in ("GET", "HEAD"):
            with vllm.talk() as talk:
                assert talk.ask(path, method=method).status in (401, 403), (method, path)


def test_what_a_key_opens_outside_of_v1_is_known(vllm: Vllm) -> None:
    """A path that a new vLLM brings is opened by a key until someone says that it is administration: this test makes us look."""
    routes = re.findall(r"Route: (/\S*), Methods: ([A-Z, ]+)", vllm.log.read_text())
    keyed = {path for path, methods in routes for method in methods.split(", ") if access(method, path, "") is Access.KEY and not path.startswith("/v1/")}
    assert keyed - OPEN_PATHS == {
        *("/tokenize", "/detokenize", "/invocations", "/inference/v1/generate", "/inference/v1/abort_requests", "/generative_scoring", "/kv_event_sources"),
    }


@pytest.mark.parametrize(("path", "request_body"), [("/tokenize", {"prompt": "The"}), ("/invocations", {"prompt": "The", "max_tokens": 1})])
def test_a_key_opens_what_vllm_leaves_open(vllm: Vllm, path: str, request_body: dict[str, Any]) -> None:
    body = json.dumps({"model": "tiny", **request_body}).encode()
    with vllm.talk() as talk:
        assert talk.ask(path, body, Content_Type="application/json").status == 401
        for key in KEYS:
            assert talk.ask(path, body, key=key, Content_Type="application/json").status == 200


def test_the_openai_client_understands_our_errors(vllm: Vllm) -> None:
    with pytest.raises(openai.AuthenticationError, match="API keys of the service"):
        vllm.client("sk-three").models.list()
    with pytest.raises(openai.APIStatusError, match=r"engine\.maxRequestSize") as refused:
        vllm.client().completions.create(model="tiny", prompt="The " * LIMIT_BYTES)
    assert refused.value.status_code == 413


def test_adapters_are_the_launchers(vllm: Vllm) -> None:
    body = json.dumps({"lora_name": "sql", "lora_path": str(tiny_model.ensure("adapter"))}).encode()
    for path in ("/v1/load_lora_adapter", "/adapters"):
        with vllm.talk() as talk:
            refused = talk.ask(path, body, key=KEYS[0], Content_Type="application/json")
            assert (refused.status, "spec.adapters.items" in refused.document["error"]["message"]) == (403, True)
    with vllm.talk() as talk:
        assert talk.ask("/v1/load_lora_adapter", body, key=KEYS[0], Content_Type="application/json", X_LLMFleet_Admin=TOKEN).status == 200
    assert [model.id for model in vllm.client().models.list()] == ["tiny", "sql"]
    with vllm.talk() as talk:
        unload = json.dumps({"lora_name": "sql"}).encode()
        assert talk.ask("/v1/unload_lora_adapter", unload, key=KEYS[0], Content_Type="application/json", X_LLMFleet_Admin=TOKEN).status == 200


def test_a_browsers_question_goes_through(vllm: Vllm) -> None:
    with vllm.talk() as talk:
        asked = talk.ask("/v1/completions", method="OPTIONS", Origin="https://app.example", Access_Control_Request_Method="POST")
        assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, "https://app.example")


def test_a_middleware_of_the_users_goes_on_working(vllm: Vllm) -> None:
    with vllm.talk() as talk:
        assert talk.ask("/v1/models", method="GET", key=KEYS[0]).headers["x-mine"] == "yes"
        assert "x-mine" not in talk.ask("/v1/models", method="GET").headers


# --- Ids and counts ----------------------------------------------------------------------------------------------------


def test_the_id_of_a_request_is_vllms_own(vllm: Vllm) -> None:
    answer = vllm.client().chat.completions.with_raw_response.create(model="tiny", messages=MESSAGES, max_tokens=1, extra_headers={"X-Request-Id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert answer.parse().id == "chatcmpl-mine"
    answer = vllm.client().chat.completions.with_raw_response.create(model="tiny", messages=MESSAGES, max_tokens=1)
    assert answer.parse().id == f"chatcmpl-{answer.headers['x-request-id']}"


def test_requests_are_counted_from_first_to_last_byte(vllm: Vllm) -> None:
    def page() -> str:
        with vllm.talk() as talk:
            return talk.ask("/metrics/?name[]=llmfleet:requests_in_flight&name[]=vllm:num_requests_waiting", method="GET").body.decode()

    assert vllm.board.in_flight() == 0
    with vllm.talk() as talk:
        vllm.begin(talk, stream=True, tokens=1500)
        talk.head()
        talk.chunk()
        assert vllm.board.in_flight() == 1
        assert "\nllmfleet:requests_in_flight 1.0\n" in page()
    eventually(vllm.board.in_flight, lambda count: count == 0)  # The client has left.
    assert "\nllmfleet:requests_in_flight 0.0\n" in page()
    with vllm.client().chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=20, stream=True, extra_body={"ignore_eos": True}) as stream:
        assert sum(bool(chunk.choices) for chunk in stream) >= 20
    eventually(vllm.board.in_flight, lambda count: count == 0)


# --- The end -----------------------------------------------------------------------------------------------------------


def test_a_draining_vllm_moves_its_clients(vllm: Vllm) -> None:
    with vllm.talk() as talk, vllm.talk() as streaming:
        assert "connection" not in talk.ask("/v1/models", method="GET", key=KEYS[0]).headers
        vllm.begin(streaming, stream=True, tokens=50)
        assert "connection" not in streaming.head().headers
        vllm.board.drain()
        assert talk.ask("/v1/models", method="GET", key=KEYS[0]).headers["connection"] == "close"
        assert talk.closed
        assert b"".join(iter(streaming.chunk, b"")).endswith(b"data: [DONE]\n\n")
        vllm.begin(streaming, stream=True, tokens=20)
        assert streaming.head().headers["connection"] == "close"
        assert b"".join(iter(streaming.chunk, b"")).endswith(b"data: [DONE]\n\n")
        assert streaming.closed


@dataclass(frozen=True)
class Death:
    """What clients got when the engine was killed under them."""

    streamed: bytes
    whole: Reply
    new: Reply | None
    """None: the server was gone already."""
    in_flight: int | None


@pytest.fixture(scope="module")
def death(vllm: Vllm) -> Death:
    children = {int(pid) for pid in Path(f"/proc/{vllm.process.pid}/task/{vllm.process.pid}/children").read_text().split()}
    (engine,) = [pid for pid in children if "EngineCore" in Path(f"/proc/{pid}/cmdline").read_text()]
    with vllm.talk() as streaming, vllm.talk() as waiting, vllm.talk() as new:
        vllm.begin(streaming, stream=True, tokens=1500)
        streaming.head()
        streaming.chunk()
        vllm.begin(waiting, stream=False, tokens=1500)
        eventually(vllm.board.in_flight, lambda count: count == 2)
        os.kill(engine, signal.SIGKILL)
        streamed = b"".join(iter(streaming.chunk, b""))
        whole = waiting.reply()
        late: Reply | None = None
        with contextlib.suppress(OSError, IndexError):
            vllm.begin(new, stream=False, tokens=1)
            late = new.reply()
        vllm.process.wait(60)
        return Death(streamed, whole, late, vllm.board.in_flight())


def test_a_request_that_got_nothing_from_an_engine_that_died_is_to_be_sent_again(death: Death) -> None:
    assert (death.whole.status, death.whole.headers["retry-after"], death.whole.headers["connection"]) == (503, "5", "close")
    assert "send the request again" in death.whole.document["error"]["message"]
    assert death.new is None or death.new.status == 503


def test_a_stream_that_had_begun_ends_with_vllms_own_error(death: Death) -> None:
    *_, error, done = [line.removeprefix(b"data: ") for line in death.streamed.split(b"\n\n") if line]
    assert done == b"[DONE]"
    assert json.loads(error)["error"]["code"] == 500


def test_a_vllm_that_is_gone_has_nothing_in_flight(death: Death) -> None:
    assert death.in_flight == 0


def test_no_secret_is_in_the_log(vllm: Vllm, death: Death) -> None:
    """vLLM itself logs its arguments with the keys hidden; ours must not undo that."""
    text = vllm.log.read_text()
    for secret in (TOKEN, "sk-three"):
        assert secret not in text
