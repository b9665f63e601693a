"""A load that goes on until it is told to stop: clients of several kinds, each with one request at a time, none of which is ever repeated.

A program of its own, `python -m e2e.load`, because it runs inside the cluster's network namespace, where the addresses of Services are routed. It prints one
JSON object per answer as they come, and stops when its standard input ends: each client finishes the request that it has begun.

A client is the openai package or plain HTTP, over one connection that it keeps or over a new one for each request; each asks for a stream every other time.
Like every client that keeps connections, these look whether the server has closed theirs before they send something over it. After that nothing is mended:
what a server lets fall once it may have seen the request is lost.
"""

import argparse
import asyncio
import http.client
import json
import random
import re
import select
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionUserMessageParam

TIMEOUT_SECONDS = 120.0
"""Of one wait for the next bytes: far beyond what a busy machine takes, so that only an answer that never comes ends by it."""

CONNECTIONS = Path("/proc/net/nf_conntrack")
"""The kernel's table of translated connections in this network namespace: whom a Service's address meant."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    number: int
    """Of the client."""
    client: str
    """`openai` or `raw`."""
    connection: str
    """`kept` or `new`."""
    streamed: bool
    began: float
    """Seconds of the epoch, when nothing was sent yet."""
    ended: float
    status: int | None
    """Of HTTP; None when none came."""
    tokens: int
    """Completion tokens by the engine's own count, which comes last."""
    finish_reason: str | None
    done: bool
    """The end marker has come: `[DONE]` of a stream, else the whole body."""
    error: str | None
    carried: int | None
    """Requests that this connection had carried before; None where the client does not tell."""
    idle_seconds: float | None
    """How long that connection had rested when the request was sent; None for a fresh one, and where the client does not tell."""
    pod: str | None
    """Address of the pod, where something went wrong and it can be told."""


class Kind:
    """One client: asks once, and says what came of it."""

    name: str

    def __init__(self, number: int, model: str, max_tokens: int, *, kept: bool) -> None:
        self.kept = kept
        self._number = number
        self._model = model
        self._max_tokens = max_tokens

    async def ask(self, words: str, *, streamed: bool) -> Answer:
        """Send one request that ends by its length."""
        began, heard = time.time(), Heard()
        try:
            await self._ask(heard, words, streamed=streamed)
        except Exception as problem:  # whatever a client says when its answer does not come is an answer to us
            heard.error = _words(problem)
            self.leave()
        ended, connection = time.time(), "kept" if self.kept else "new"
        return Answer(self._number, self.name, connection, streamed, began, ended, pod=self.pod() if heard.error else None, **asdict(heard))

    def leave(self) -> None:
        """Forget the connection: the next request is sent over a new one."""

    def pod(self) -> str | None:
        """Return the pod of the last request, if that can be told."""
        return None

    async def _ask(self, heard: "Heard", words: str, *, streamed: bool) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class Heard:
    """What has come of an answer so far."""

    status: int | None = None
    tokens: int = 0
    finish_reason: str | None = None
    done: bool = False
    error: str | None = None
    carried: int | None = None
    idle_seconds: float | None = None

    def part(self, part: dict[str, Any]) -> None:
        """Take a chunk, or a whole answer."""
        if "error" in part:
            self.error = f"error in the answer: {json.dumps(part['error'])}"
        for choice in part.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if part.get("usage"):
            self.tokens = part["usage"]["completion_tokens"]


class OpenAiClient(Kind):
    """The openai package; told not to try again."""

    name = "openai"

    def __init__(self, number: int, url: str, model: str, max_tokens: int, *, kept: bool) -> None:
        super().__init__(number, model, max_tokens, kept=kept)
        headers = {} if kept else {"Connection": "close"}
        # The other one, openai.OpenAI, gives the connection up after every stream.
        self._client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=TIMEOUT_SECONDS, default_headers=headers)

    async def _ask(self, heard: Heard, words: str, *, streamed: bool) -> None:
        create, options = self._client.chat.completions.create, {"ignore_eos": True}
        message: ChatCompletionUserMessageParam = {"role": "user", "content": words}
        try:
            if streamed:
                stream = await create(
                    model=self._model, messages=[message], max_tokens=self._max_tokens, extra_body=options, stream=True, stream_options={"include_usage": True}
                )
                heard.status = http.HTTPStatus.OK
                # One that ends without its marker ends the loop as well: it has told no count of tokens then, which comes last but one.
                async for part in stream:
                    heard.part(part.to_dict())
            else:
                heard.part((await create(model=self._model, messages=[message], max_tokens=self._max_tokens, extra_body=options)).to_dict())
        except openai.APIStatusError as error:
            heard.status = error.status_code
            raise
        heard.status, heard.done = http.HTTPStatus.OK, True


class RawClient(Kind):
    """HTTP/1.1 as the standard library speaks it."""

    name = "raw"

    def __init__(self, number: int, url: str, model: str, max_tokens: int, *, kept: bool) -> None:
        super().__init__(number, model, max_tokens, kept=kept)
        parts = urlsplit(url)
        self._path = f"{parts.path}/chat/completions"
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_SECONDS)
        self._port: int | None = None
        self._carried = 0
        self._rests_since = 0.0

    def leave(self) -> None:
        """Close the connection."""
        self._connection.close()

    def pod(self) -> str | None:
        """Return who answered to the last connection."""
        return None if self._port is None else pod_of(self._port)

    async def _ask(self, heard: Heard, words: str, *, streamed: bool) -> None:
        await asyncio.to_thread(self._send, heard, words, streamed=streamed)

    def _send(self, heard: Heard, words: str, *, streamed: bool) -> None:
        if not self.kept or closed_by_the_server(self._connection.sock):
            self.leave()
        self._port = None
        if self._connection.sock is None:
            self._carried = 0
            self._connection.connect()
        if self._carried:
            heard.idle_seconds = round(time.monotonic() - self._rests_since, 3)
        heard.carried, self._carried = self._carried, self._carried + 1
        self._port = self._connection.sock.getsockname()[1]
        options = {"stream_options": {"include_usage": True}} if streamed else {}
        body = {"model": self._model, "messages": [{"role": "user", "content": words}], "max_tokens": self._max_tokens, "ignore_eos": True}
        self._connection.request("POST", self._path, json.dumps({**body, "stream": streamed, **options}), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        heard.status = answer.status
        if answer.status != http.HTTPStatus.OK:
            retry = answer.getheader("Retry-After")
            heard.error = f"HTTP {answer.status}, Retry-After {retry}: {answer.read().decode(errors='replace')}"
        elif streamed:
            for data in events(answer):
                if data == "[DONE]":
                    heard.done = True
                else:
                    heard.part(json.loads(data))
        else:
            heard.part(json.loads(answer.read()))
            heard.done = True
        self._rests_since = time.monotonic()


def events(answer: http.client.HTTPResponse) -> Iterator[str]:
    """Yield the data of each server-sent event, to the last byte of the body; an IncompleteRead when that does not come."""
    rest = b""
    # Not readline(): that takes the cut of a chunked answer for its end.
    while part := answer.read1(65536):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                yield line.removeprefix(b"data: ").strip().decode()


def closed_by_the_server(sock: socket.socket | None) -> bool:
    """Whether nothing can be sent any more over a connection that is idle: it is readable, which only its end makes it."""
    return sock is not None and bool(select.select([sock], [], [], 0)[0])


def pod_of(port: int, table: Path = CONNECTIONS) -> str | None:
    """Return who answers to a port of this machine, by the kernel's table: the source of the answers."""
    try:
        text = table.read_text()
    except OSError:
        return None
    found = re.search(rf"sport={port} dport=\d+ .*?src=(\S+) dst=\S+ sport=\d+ dport={port}\b", text)
    return found[1] if found else None


def _words(problem: BaseException) -> str:
    causes = []
    cause: BaseException | None = problem
    while cause is not None:
        causes.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return " <- ".join(dict.fromkeys(causes))


def main() -> int:
    """Go on until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m e2e.load", description=__doc__)
    parser.add_argument("--url", required=True, help="base URL, ending in /v1")
    parser.add_argument("--model", required=True)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="the mean time from an answer to the client's next request")
    options = parser.parse_args()
    asyncio.run(run(options.url, options.model, options.clients, options.max_tokens, options.pause_seconds))
    return 0


async def run(url: str, model: str, clients: int, max_tokens: int, pause_seconds: float) -> None:
    """Let the clients work side by side until the standard input ends."""
    stop = asyncio.Event()
    with ThreadPoolExecutor(clients + 1) as threads:  # one for each, and one that waits for the end of the input
        asyncio.get_running_loop().set_default_executor(threads)

        async def work(number: int) -> None:
            kind = (OpenAiClient, RawClient)[number % 2]
            client = kind(number, url, model, max_tokens, kept=number // 2 % 2 == 0)
            chance, request = random.Random(number), number // 4
            while not stop.is_set():
                answer = await client.ask(f"Tell me about number {number} and {request}.", streamed=request % 2 == 0)
                print(json.dumps(asdict(answer)), flush=True)
                request += 1
                await asyncio.sleep(chance.uniform(0, 2 * pause_seconds))

        working = asyncio.gather(*(work(number) for number in range(clients)))
        await asyncio.to_thread(sys.stdin.read)
        stop.set()
        await working


if __name__ == "__main__":
    sys.exit(main())
