"""vLLM as the launcher sees it: a process that starts late, answers five paths, streams, and dies in the ways of the real one. Standard library only.

The test steers it by the options of its command line and, while it runs, by POST /steer with a JSON object of fields of `Fake`.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REFUSE = 2
"""Orders.REFUSE of the board."""


@dataclass
class Fake:
    """What it answers now."""

    health: int = 200
    running: int = 0
    waiting: int = 0
    steps: int = 10
    metrics: bool = True
    shows_streams: bool = True
    """Whether a running stream is in the gauges; False is the gap before and after that vLLM's gauges have."""
    completions: int = 200
    embeddings: int = 404
    adapters: dict[str, str] = field(default_factory=dict)
    """Path of each that is loaded."""
    slot: Any = None
    """Of the board, where requests are counted as the middleware does."""
    core: "subprocess.Popen[bytes] | None" = None
    """Stands for the engine's process: nothing is computed while it is stopped, and the server ends when it dies."""
    exit_code: int | None = None
    """End now, with this code, saying `last_words`."""
    last_words: str = ""
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    """Of the requests below /v1."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Streams end once it is set."""

    def page(self) -> str:
        if not self.metrics:
            return ""
        if self.core is not None and self.running and not is_stopped(self.core.pid):
            self.steps += 1
        label = '{engine="0",model_name="tiny"}'
        return (
            f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{label} {float(self.running)}\n"
            f"vllm:num_requests_waiting{label} {float(self.waiting)}\nvllm:iteration_tokens_total_count{label} {float(self.steps)}\n"
            'vllm:cache_config_info{block_size="128",engine="0",kv_cache_size_tokens="131072",num_gpu_blocks="1024"} 1.0\n'
        )


def is_stopped(pid: int) -> bool:
    """By SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def answer(fake: Fake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = head.split("\r\n")[0].split(" ")
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
    fake.asked.append(f"{method} {path.partition('?')[0]}")
    if path.startswith("/v1"):
        fake.authorizations.append(headers.get("authorization", ""))
    counted = fake.slot is not None and method == "POST" and path != "/steer"
    orders = fake.slot.begin() if counted else 0
    try:
        while method == "POST" and path.startswith("/v1") and fake.core is not None and is_stopped(fake.core.pid):  # noqa: ASYNC110 another process
            await asyncio.sleep(0.01)
        if orders == REFUSE:
            writer.write(b"HTTP/1.1 503 Fake\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        elif body.get("stream"):
            await stream(fake, writer)
        else:
            status, document = respond(fake, path, body)
            content = document.encode()
            writer.write(f"HTTP/1.1 {status} Fake\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
        await writer.drain()
    finally:
        if counted:
            fake.slot.end()


def respond(fake: Fake, path: str, body: dict[str, object]) -> tuple[int, str]:
    match path.partition("?")[0]:
        case "/health":
            return fake.health, ""
        case "/version":
            return 200, json.dumps({"version": "0.32.0"})
        case "/v1/models":
            loaded = [{"id": name, "root": path, "parent": "tiny"} for name, path in fake.adapters.items()]
            return 200, json.dumps({"object": "list", "data": [{"id": "tiny", "max_model_len": 1024}, *loaded]})
        case "/v1/load_lora_adapter":
            fake.adapters[str(body["lora_name"])] = str(body["lora_path"])
            return 200, "Success"
        case "/v1/unload_lora_adapter":
            return (200, "Success") if fake.adapters.pop(str(body["lora_name"]), None) else (404, "{}")
        case "/v1/completions":
            return (fake.completions, json.dumps({"choices": []})) if body["model"] == "tiny" and body["max_tokens"] == 1 else (422, "{}")
        case "/v1/embeddings":
            return fake.embeddings, json.dumps({"data": []})
        case "/metrics/":
            return 200, fake.page()
        case "/steer":
            for name, value in body.items():
                if name == "go_on":
                    fake.go_on.set()
                else:
                    setattr(fake, name, value)
            if fake.exit_code is not None:
                sys.stderr.write(fake.last_words)
                sys.stderr.flush()
                os._exit(fake.exit_code)
            orders = fake.slot.orders if fake.slot else None
            return 200, json.dumps({"asked": fake.asked, "authorizations": fake.authorizations, "adapters": fake.adapters, "orders": orders})
        case _:
            return 404, "{}"


async def stream(fake: Fake, writer: asyncio.StreamWriter) -> None:
    """Two chunks, the second when the test says so."""
    if fake.shows_streams:
        fake.running += 1
    writer.write(b"HTTP/1.1 200 Fake\r\nConnection: close\r\n\r\ndata: first\n\n")
    await writer.drain()
    await fake.go_on.wait()
    if fake.shows_streams:
        fake.running -= 1
    writer.write(b"data: [DONE]\n\n")
    await writer.drain()


async def serve(options: argparse.Namespace, core: "subprocess.Popen[bytes] | None") -> None:
    fake = Fake(completions=options.completions, embeddings=options.embeddings, metrics=options.metrics, core=core)
    if options.counts:
        sys.path.insert(0, os.environ["PYTHONPATH"].split(os.pathsep)[0])
        from llmfleet_runtime.board import Slot

        fake.slot = Slot(Path(json.loads(os.environ["LLMFLEET_MIDDLEWARE"])["board"]))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await answer(fake, reader, writer)
        writer.close()

    while options.listens_when is not None and not options.listens_when.exists():  # noqa: ASYNC110 another process makes it
        await asyncio.sleep(0.01)
    stopped = asyncio.Event()
    if not options.ignores_sigterm:
        # As vLLM does by default: what runs is aborted.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await asyncio.start_server(connected, "127.0.0.1", options.port)
    sys.stdout.write("fake vLLM listens\n")
    sys.stdout.flush()
    await stopped.wait()


def die_with(core: "subprocess.Popen[bytes]") -> None:
    """As vLLM does: with exit code 0, and lines that tell no cause."""
    core.wait()
    sys.stderr.write("ERROR 11-21 09:30:12 [core_client.py:710] Engine core proc EngineCore died unexpectedly, shutting down client.\n")
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="vllm serve")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--listens-when", type=Path, help="listen once this file exists")
    parser.add_argument("--completions", type=int, default=200)
    parser.add_argument("--embeddings", type=int, default=404)
    parser.add_argument("--metrics", type=int, default=1)
    parser.add_argument("--ignores-sigterm", action="store_true")
    parser.add_argument("--worker", type=Path, help="start a worker that ignores SIGTERM, and write its pid to this file")
    parser.add_argument("--escaped-worker", type=Path, help="the same, of a process in a session of its own that holds the output open")
    parser.add_argument("words", nargs="*", help="`serve MODEL`, which nobody reads here")
    parser.add_argument("--core", type=Path, help="start an engine's process and write its pid to this file")
    parser.add_argument("--orphan", type=Path, help="start a process whose parent ends, and write its pid to this file")
    parser.add_argument("--pid", type=Path, help="write its own pid to this file")
    parser.add_argument("--middleware")
    parser.add_argument("--counts", action="store_true", help="count requests on the launcher's board")
    parser.add_argument("--api-key")
    parser.add_argument("--max-num-seqs")
    parser.add_argument("--says", default="", help="write this on stderr first")
    parser.add_argument("--exits", type=int, help="then end with this code")
    parser.add_argument("--killed-by", type=int, help="or by this signal")
    options = parser.parse_args()
    if options.ignores_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.worker is not None:
        worker = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN) and None)
        options.worker.write_text(str(worker.pid))
    if options.escaped_worker is not None:
        escaped = subprocess.Popen(["sleep", "60"], start_new_session=True)
        options.escaped_worker.write_text(str(escaped.pid))
    if options.orphan is not None:
        subprocess.run(["sh", "-c", f"sleep 60 & echo $! > {options.orphan}"], check=True)
    if options.pid is not None:
        options.pid.write_text(str(os.getpid()))
    sys.stderr.write(options.says)
    sys.stderr.flush()
    if options.killed_by is not None:
        os.kill(os.getpid(), options.killed_by)
    if options.exits is not None:
        os._exit(options.exits)
    core = subprocess.Popen(["sleep", "60"]) if options.core else None
    if core is not None:
        options.core.write_text(str(core.pid))
        threading.Thread(target=die_with, args=(core,), daemon=True).start()
    asyncio.run(serve(options, core))


if __name__ == "__main__":
    main()
