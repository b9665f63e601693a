"""vLLM's part in adapters, over HTTP: the answers of 0.32, and which requests it says are in flight. Also adapters as files."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ADMIN_TOKEN = "the launcher's own"
API_KEY = "the users'"


@dataclass
class FakeEngine:
    """What it has loaded, and what it has been asked."""

    port: int = 0
    loaded: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path to the status and message that loading it is answered with."""
    asked: list[str] = field(default_factory=list)
    """Loads and unloads, in their order."""
    in_flight: int = 0
    """Requests that the middleware counts."""
    running: int = 0
    waiting: int = 0
    named: tuple[str, ...] = ()
    """Adapters of requests that have had their first token."""
    says_what_runs: bool = True
    answers: bool = True
    holds: asyncio.Event | None = None
    """Loading takes until this is set."""

    def page(self) -> str:
        if not self.says_what_runs:
            return ""
        info = 'vllm:lora_requests_info{max_lora="4",running_lora_adapters="%s",waiting_lora_adapters="%s"} %s\n'
        return (
            f'vllm:num_requests_running{{engine="0"}} {float(self.running)}\nvllm:num_requests_waiting{{engine="0"}} {float(self.waiting)}\n'
            f"llmfleet:requests_in_flight {float(self.in_flight)}\n" + info % ("old", "old", 1.7e9) + info % (",".join(self.named), "", 1.7e9 + 1)
        )

    async def respond(self, path: str, document: dict[str, Any]) -> tuple[int, str]:
        match path.partition("?")[0]:
            case "/v1/models":
                models = [{"id": "tiny", "root": "/models/tiny", "parent": None}]
                return 200, json.dumps({"data": models + [{"id": name, "root": root, "parent": "tiny"} for name, root in self.loaded.items()]})
            case "/metrics/":
                return 200, self.page()
            case "/v1/load_lora_adapter":
                name, where = document["lora_name"], document["lora_path"]
                self.asked.append(f"load {name} {Path(where).name}")
                if self.holds is not None:
                    await self.holds.wait()
                if where in self.refuses:
                    return self.refused(*self.refuses[where])
                if name in self.loaded:
                    return self.refused(400, f"The lora adapter '{name}' has already been loaded.")
                self.loaded[name] = where
                return 200, f"Success: LoRA adapter '{name}' added successfully."
            case "/v1/unload_lora_adapter":
                name = document["lora_name"]
                self.asked.append(f"unload {name}")
                if self.loaded.pop(name, None) is None:
                    return self.refused(404, f"The lora adapter '{name}' cannot be found.")
                return 200, "Success"
            case _:
                return 404, '{"detail":"Not Found"}'

    def refused(self, status: int, message: str) -> tuple[int, str]:
        return status, json.dumps({"error": {"message": message, "type": "InternalServerError", "param": None, "code": status}})


@asynccontextmanager
async def serving() -> AsyncIterator[FakeEngine]:
    """The engine on a port of its own."""
    engine = FakeEngine()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        document = json.loads(await reader.readexactly(int(headers.get("Content-Length", 0))) or b"{}")
        status, body = await engine.respond(head.split(" ")[1], document)
        if "_lora_adapter" in head and headers.get("X-LLMFleet-Admin") != ADMIN_TOKEN:
            status, body = 403, "{}"
        if headers.get("Authorization") != f"Bearer {API_KEY}":
            status, body = 401, "{}"
        if engine.answers:
            writer.write(f"HTTP/1.1 {status} Fake\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    engine.port = server.sockets[0].getsockname()[1]
    async with server:
        yield engine


def write_adapter(path: Path, rank: int = 8, **config: Any) -> Path:
    """A directory as PEFT writes it, with weights that nobody reads."""
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj"], **config}))
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    return path


def write_list(file: Path, *items: dict[str, Any]) -> None:
    """As the kubelet exchanges it: at once."""
    scratch = file.with_name("..scratch")
    scratch.write_text(json.dumps(items))
    scratch.replace(file)
