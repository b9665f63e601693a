"""The smallest HTTP client that asks vLLM correctly: one request, one connection, read to its end.

HTTP/1.0 on purpose: the server then neither chunks nor keeps the connection, so there is nothing to parse but a head.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

MAX_BYTES: Final = 4 * 1024 * 1024
"""Most that is read of an answer; the whole metrics page of a server with adapters has 61 kB."""


class NoAnswer(Exception):  # noqa: N818 it is no one's error
    """The server did not answer: refused, too slow, cut short, or no HTTP. The message says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; NoAnswer where it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NoAnswer(f"not JSON: {self.body[:200]!r}") from error


async def ask(
    port: int,
    path: str,
    *,
    document: Mapping[str, Any] | None = None,
    bearer: str | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout_seconds: float = 10.0,
    host: str = "127.0.0.1",
) -> Answer:
    """GET, or POST of a JSON document; NoAnswer where there is no whole answer within the time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _ask(host, port, path, document, {**headers, **({} if bearer is None else {"Authorization": f"Bearer {bearer}"})})
    except TimeoutError as error:
        raise NoAnswer(f"{path}: no answer within {timeout_seconds:g} s") from error
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise NoAnswer(f"{path}: {error}") from error


async def _ask(host: str, port: int, path: str, document: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        body = b"" if document is None else json.dumps(document).encode()
        head = [f"{'GET' if document is None else 'POST'} {path} HTTP/1.0", f"Host: {host}:{port}", "Accept: */*", "User-Agent: llmfleet-runtime"]
        if document is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        content = bytearray()
        while chunk := await reader.read(65536):
            content += chunk
            if len(content) > MAX_BYTES:
                raise NoAnswer(f"{path}: more than {MAX_BYTES:,} bytes")
        return _parse(path, bytes(content))
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _parse(path: str, content: bytes) -> Answer:
    head, separator, body = content.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    words = status_line.split(None, 2)
    if not separator or len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise NoAnswer(f"{path}: not an HTTP answer: {content[:80]!r}")
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length" and int(value) != len(body):
            raise NoAnswer(f"{path}: {len(body)} of {int(value)} bytes")
    return Answer(int(words[1]), body)
