"""HTTP by hand: what goes over one connection, byte by byte, and when the other side closes it."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def reached(self) -> bool:
        """Whether the application was asked."""
        return "x-reached" in self.headers


class Conversation:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close without a word."""
        self._file.close()
        self._socket.close()

    def say(self, text: bytes) -> None:
        self._socket.sendall(text)

    def ask(self, target: str, body: bytes = b"", /, *, method: str = "POST", key: str | None = None, **headers: str) -> Reply:
        """One request and its whole answer."""
        self.begin(target, body, method=method, key=key, **headers)
        return self.reply()

    def begin(self, target: str, body: bytes = b"", /, *, method: str = "POST", key: str | None = None, **headers: str) -> None:
        """One request; underscores in the names of headers stand for dashes."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if method not in ("GET", "HEAD", "OPTIONS") and "Transfer_Encoding" not in headers:
            headers.setdefault("Content_Length", str(len(body)))
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.say("\r\n".join([*lines, "", ""]).encode() + body)

    def head(self) -> Reply:
        """Status and headers of the next answer."""
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().decode().strip():
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        return Reply(status, headers, b"")

    def reply(self) -> Reply:
        """The next answer, whole."""
        reply = self.head()
        if reply.headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self._file.read(int(reply.headers.get("content-length", 0)))
        return Reply(reply.status, reply.headers, body)

    def chunk(self) -> bytes:
        """The next chunk of a stream; empty at its end."""
        chunk = self._file.read(int(self._file.readline(), 16))
        assert self._file.readline() == b"\r\n"
        return chunk

    def read(self, length: int) -> bytes:
        return self._file.read(length)

    @property
    def closed(self) -> bool:
        """Whether the other side closes, now that everything was read; waits for it."""
        return self._file.read(1) == b""

    @property
    def usable(self) -> bool:
        """Whether another request is answered on this connection."""
        return self.ask("/health", method="GET").status == 200
