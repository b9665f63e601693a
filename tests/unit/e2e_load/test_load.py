"""The load's clients against servers that let an answer fall in every way: each is seen, and only a whole answer counts as one."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.load import Answer, Kind, OpenAiClient, RawClient, pod_of

CLIENTS = (OpenAiClient, RawClient)
TOKENS = 3


def _chunk(part: dict[str, object]) -> bytes:
    return b"data: " + json.dumps({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", **part}).encode() + b"\n\n"


WORD = _chunk({"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}]})
LAST = _chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
USAGE = _chunk({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": TOKENS, "total_tokens": 4}})
DONE = b"data: [DONE]\n\n"
WHOLE = json.dumps(
    {
        "id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": TOKENS, "total_tokens": 4},
        "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "word"}}],
    }
).encode()  # fmt: skip


def stream(*events: bytes, ended: bool = True) -> bytes:
    """Server-sent events in chunks, each its own; without the last one the answer is cut."""
    body = b"".join(f"{len(event):x}\r\n".encode() + event + b"\r\n" for event in events) + (b"0\r\n\r\n" if ended else b"")
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def whole(body: bytes = WHOLE, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


@contextmanager
def server(*answers: bytes, closes: bool = False) -> Iterator[tuple[str, list[int], threading.Semaphore]]:
    """A server that gives these answers, one per request, the last for ever; with the ports that asked, one per request, and a count of closed connections.

    After an answer it closes the connection without a word if told to, and whenever the answer is empty or not whole.
    """
    left, asked, closed = list(answers), list[int](), threading.Semaphore(0)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self._head():
                self.rfile.read(int(head["content-length"]))
                asked.append(self.client_address[1])
                answer = left.pop(0) if len(left) > 1 else left[0]
                self.wfile.write(answer)
                if closes or not answer or (b"chunked" in answer and not answer.endswith(b"0\r\n\r\n")):
                    return

        def _head(self) -> dict[str, str]:
            lines = iter(self.rfile.readline, b"\r\n")
            fields = (line.decode().partition(":") for line in lines if line) if self.rfile.peek(1) else ()  # type: ignore[attr-defined]
            return {name.lower(): value.strip() for name, _, value in fields}

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            closed.release()

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}/v1", asked, closed
        finally:
            running.shutdown()
            thread.join()


async def ask(kind: type[OpenAiClient] | type[RawClient], *answers: bytes, streamed: bool) -> Answer:
    with server(*answers) as (url, *_):
        return await kind(0, url, "m", TOKENS, kept=True).ask("Hello", streamed=streamed)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("answer", "streamed"), [(stream(WORD, LAST, USAGE, DONE), True), (whole(), False)])
async def test_a_whole_answer_has_its_end_its_reason_and_its_tokens(kind: type[OpenAiClient] | type[RawClient], answer: bytes, streamed: bool) -> None:
    found = await ask(kind, answer, streamed=streamed)
    assert (found.status, found.done, found.finish_reason, found.tokens, found.error) == (200, True, "length", TOKENS, None)
    assert (found.client, found.connection, found.streamed) == (kind.name, "kept", streamed)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    "answer",
    [b"", stream(WORD, ended=False), stream(WORD, LAST, ended=False), stream(WORD, LAST, USAGE, ended=False)],
    ids=["nothing", "a word", "all words", "all but the marker"],
)
async def test_a_stream_that_is_cut_is_an_error(kind: type[OpenAiClient] | type[RawClient], answer: bytes) -> None:
    found = await ask(kind, answer, streamed=True)
    assert found.error
    assert not found.done


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_whole_answer_that_is_cut_is_an_error(kind: type[OpenAiClient] | type[RawClient]) -> None:
    with server(whole()[:-10], closes=True) as (url, *_):
        assert (await kind(0, url, "m", TOKENS, kept=True).ask("Hello", streamed=False)).error


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_stream_that_ends_early_and_politely_lacks_its_tokens(kind: type[OpenAiClient] | type[RawClient]) -> None:
    found = await ask(kind, stream(WORD), streamed=True)
    assert (found.finish_reason, found.tokens) == (None, 0)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_an_error_within_a_stream_is_one_although_the_marker_follows(kind: type[OpenAiClient] | type[RawClient]) -> None:
    found = await ask(kind, stream(WORD, b'data: {"error": {"message": "EngineCore encountered an issue", "code": 500}}\n\n', DONE), streamed=True)
    assert found.error
    assert "EngineCore" in found.error


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_refusal_keeps_its_status_and_is_not_tried_again(kind: type[OpenAiClient] | type[RawClient]) -> None:
    with server(whole(b'{"error": {"message": "draining"}}', "503 Service Unavailable", "Retry-After: 1\r\n"), whole()) as (url, asked, _):
        found = await kind(0, url, "m", TOKENS, kept=True).ask("Hello", streamed=False)
    assert (found.status, len(asked)) == (503, 1)
    assert found.error
    assert "draining" in found.error


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("kept", "connections"), [(True, 1), (False, 4)])
async def test_connections_are_kept_or_new(kind: type[OpenAiClient] | type[RawClient], kept: bool, connections: int) -> None:
    with server(stream(WORD, LAST, USAGE, DONE), whole()) as (url, asked, _):
        client = kind(0, url, "m", TOKENS, kept=kept)
        for streamed in (True, False, False, False):
            assert (await client.ask("Hello", streamed=streamed)).error is None
    assert (len(asked), len(set(asked))) == (4, connections)


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("answer", [whole(), whole(headers="Connection: close\r\n")], ids=["silently", "with notice"])
async def test_a_connection_that_the_server_has_closed_is_not_used_again(kind: type[OpenAiClient] | type[RawClient], answer: bytes) -> None:
    with server(answer, closes=True) as (url, asked, closed):
        client = kind(0, url, "m", TOKENS, kept=True)
        for _ in range(3):
            assert (await client.ask("Hello", streamed=False)).error is None
            assert closed.acquire(timeout=10)
    assert len(set(asked)) == 3


async def test_a_server_that_is_not_there_is_an_error_of_the_connection() -> None:
    with server(whole()) as (url, *_):
        pass
    makers: tuple[Callable[..., Kind], ...] = CLIENTS
    for make in makers:
        found = await make(0, url, "m", TOKENS, kept=True).ask("Hello", streamed=False)
        assert found.status is None
        assert "refused" in (found.error or "") or "All connection attempts failed" in (found.error or ""), found.error


def test_the_pod_behind_a_service_is_told_by_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "nf_conntrack"
    table.write_text(
        "ipv4     2 tcp      6 112 TIME_WAIT src=10.99.0.2 dst=10.0.0.5 sport=44462 dport=80 "
        "src=10.244.1.7 dst=10.99.0.2 sport=8000 dport=44462 [ASSURED] mark=0 zone=0 use=2\n"
    )
    assert pod_of(44462, table) == "10.244.1.7"
    assert pod_of(4446, table) is None
    assert pod_of(44462, tmp_path / "none") is None
