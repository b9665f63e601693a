"""Client and server on real sockets, with the answers and requests that break careless ones."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

import pytest

from llmfleet_runtime import http_server
from llmfleet_runtime.http_client import NoAnswer, ask


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server of one path."""
    listening = http_server.listen(0)
    async with http_server.serve(listening, {"/state": lambda: (HTTPStatus.OK, {"state": "ü"})}):
        yield listening.getsockname()[1]


async def raw(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def answered_with(content: bytes) -> int:
    """Port of a server that answers anything with these bytes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_a_path_is_answered_as_json_on_a_connection_that_closes(port: int) -> None:
    answer = await ask(port, "/state?x=1")
    assert (answer.status, answer.json()) == (200, {"state": "ü"})
    assert b"Connection: close" in await raw(port, b"GET /state HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_pod_with_ipv6_alone_is_answered(port: int) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    assert (await ask(port, "/state", host="::1")).status == 200


async def test_head_has_no_body(port: int) -> None:
    answer = await raw(port, b"HEAD /state HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /else HTTP/1.1\r\n\r\n", 404),
        (b"POST /state HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /state HTTP/1.1\r\nX: " + b"x" * http_server.HEAD_BYTES * 2 + b"\r\n\r\n", 431),
    ],
)
async def test_other_requests_are_refused(port: int, request_bytes: bytes, status: int) -> None:
    assert (await raw(port, request_bytes)).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_client_that_sends_half_a_request_gets_nothing_and_harms_nobody(port: int) -> None:
    assert await raw(port, b"GET /st") == b""
    assert (await ask(port, "/state")).status == 200


async def test_idle_connections_do_not_keep_a_further_one_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 2)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    assert (await ask(port, "/state")).status == 200
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(idle[0][0].read(), 5) == b"", "the oldest gave way"
    for _, writer in idle:
        writer.close()


async def test_a_client_that_does_not_take_its_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.1)
    size = 32 * 1024 * 1024
    listening = http_server.listen(0)
    async with http_server.serve(listening, {"/": lambda: (HTTPStatus.OK, {"x": "x" * size})}):
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read(1)
        await asyncio.sleep(1)
        received = 1
        with suppress(ConnectionResetError):
            while chunk := await asyncio.wait_for(reader.read(65536), 5):
                received += len(chunk)
        assert received < size
        writer.close()


async def test_an_idle_connection_does_not_hold_up_the_end() -> None:
    listening = http_server.listen(0)
    port = listening.getsockname()[1]
    async with asyncio.timeout(5):
        async with http_server.serve(listening, {}):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.1)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_a_refused_connection_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NoAnswer, match="Connect call failed"):
        await ask(port, "/health")


async def test_a_server_that_says_nothing_is_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(NoAnswer, match=r"within 0\.1 s"):
        await ask(server.getsockname()[1], "/health", timeout_seconds=0.1)


@pytest.mark.parametrize(
    "content",
    [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"],
    ids=["nothing", "no HTTP", "cut short", "bad length", "half a head"],
)
async def test_an_answer_that_is_not_whole_is_no_answer(content: bytes) -> None:
    with pytest.raises(NoAnswer):
        await ask(await answered_with(content), "/health")


async def test_an_answer_without_a_length_is_read_to_its_end() -> None:
    answer = await ask(await answered_with(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000), "/metrics/")
    assert len(answer.body) == 100_000


async def test_an_answer_without_end_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="more than"):
        await ask(await answered_with(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 5_000_000), "/metrics/")
