"""A hub that speaks as much of Hugging Face's API as its clients need to list and to read models, over directories.

ROOT/OWNER/NAME is a repository's main branch, ROOT/OWNER/NAME@REVISION another revision of it. Also a program, for whoever needs it in another process:
python -m tests.integration.model_sources.hub --root DIR --port N [--gated OWNER/NAME --private OWNER/NAME --token T --powerless-token T --rate-limited N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS_ENDINGS = (".safetensors", ".bin", ".gguf", ".pth")
"""Kept apart from git, as the hub does: hashed with SHA-256, and served from elsewhere."""

_CHUNK_BYTES = 1 << 16


@dataclass
class Rules:
    """What the hub refuses, and how it misbehaves."""

    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    """Tokens whose account may read everything."""
    powerless_tokens: set[str] = field(default_factory=set)
    """Tokens of accounts that may read only what is public."""
    rate_limited: int = 0
    """So many requests are answered 429."""
    retry_after: str = "1"
    broken: int = 0
    """So many requests are answered 503."""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """File name to the bytes after which its next answers break off, one entry per answer."""
    corrupt: dict[str, int] = field(default_factory=dict)
    """File name to the number of answers that carry other bytes."""
    without_sizes: bool = False
    """As mirrors that leave them out."""
    overstated_bytes: int = 0
    """Every file is listed as so much larger than it is."""
    without_ranges: bool = False
    """As servers that answer with the whole file."""
    content_elsewhere: bool = False
    """Large files lie on another host, as far as a client can tell."""
    page: str | None = None
    """What every request is answered with, as a proxy does that wants a login."""
    page_status: int = 200
    before_chunk: Callable[[str, int], None] | None = None
    """Called with file name and offset before each piece of a file is sent; may wait."""


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    path: str
    range: str | None
    authorization: str | None


class Hub(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True

    def __init__(self, root: Path, rules: Rules | None = None, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__((host, port), _Handler)
        self.host = host
        self.root = root
        self.rules = rules or Rules()
        self.seen: list[Seen] = []
        self.guard = threading.Lock()
        self._hashes: dict[tuple[str, int, int], tuple[str, str]] = {}

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://{self.host}:{self.server_address[1]}"

    def read_of(self, name: str) -> list[Seen]:
        """Requests for the content of a file."""
        return [seen for seen in self.seen if seen.method == "GET" and seen.path.endswith(f"/{name}") and "/content/" in seen.path]

    def directory(self, repository: str, revision: str) -> Path | None:
        """Where a revision lies: by its name, or by its commit."""
        main = self.root / repository
        candidates = [main, *main.parent.glob(f"{main.name}@*")] if main.parent.is_dir() else []
        for candidate in candidates:
            name = candidate.name.partition("@")[2] or "main"
            if candidate.is_dir() and revision in (name, self.commit(candidate)):
                return candidate
        return None

    def files(self, directory: Path) -> list[Path]:
        return [path for path in sorted(directory.rglob("*")) if path.is_file()]

    def commit(self, directory: Path) -> str:
        """Forty hex digits of the content."""
        lines = [f"{path.relative_to(directory)} {self.hashes(path)[0]}" for path in self.files(directory)]
        return hashlib.sha1("\n".join(lines).encode()).hexdigest()

    def hashes(self, path: Path) -> tuple[str, str]:
        """git's hash and SHA-256."""
        found = path.stat()
        key = (str(path), found.st_size, found.st_mtime_ns)
        if key not in self._hashes:
            git, sha256 = hashlib.sha1(b"blob %d\0" % found.st_size), hashlib.sha256()
            with path.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    git.update(chunk)
                    sha256.update(chunk)
            self._hashes[key] = (git.hexdigest(), sha256.hexdigest())
        return self._hashes[key]


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        hub, rules = self.server, self.server.rules
        url = urlsplit(self.path)
        path = unquote(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with hub.guard:
            hub.seen.append(Seen(self.command, path, self.headers.get("Range"), self.headers.get("Authorization")))
            limited, rules.rate_limited = rules.rate_limited > 0, max(0, rules.rate_limited - 1)
            broken, rules.broken = not limited and rules.broken > 0, rules.broken if limited else max(0, rules.broken - 1)
        parts = path.strip("/").split("/")
        if rules.page is not None:
            self._page(rules.page_status, rules.page)
        elif limited:
            self._json(429, {"error": "Too many requests"}, {"Retry-After": rules.retry_after})
        elif broken:
            self._json(503, {"error": "Service unavailable"})
        elif path.startswith("/content/"):  # the content network: the address is the permission
            self._content(hub.root / path.split("/", 3)[3], parts[-1])
        elif parts[:2] == ["api", "models"]:
            self._api(parts[2:], parse_qs(url.query), body)
        elif "resolve" in parts:
            at = parts.index("resolve")
            # A revision with a slash comes quoted; this hub has none.
            self._resolve("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]))
        else:
            self._json(404, {"error": "Not found"})

    def _account(self) -> str | None:
        """reader, powerless, anonymous; None for a token that does not exist."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not token:
            return "anonymous"
        if token in self.server.rules.tokens:
            return "reader"
        return "powerless" if token in self.server.rules.powerless_tokens else None

    def _repository(self, repository: str, revision: str) -> Path | None:
        """The directory; None after an answer that refuses."""
        account = self._account()
        if account is None:
            self._error(401, None, "Invalid credentials in Authorization header")
            return None
        hidden = repository in self.server.rules.private and account != "reader"
        if hidden or not (self.server.root / repository).is_dir():
            self._error(401 if account == "anonymous" else 404, "RepoNotFound", "Repository not found")
            return None
        directory = self.server.directory(repository, revision)
        if directory is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return directory

    def _api(self, parts: list[str], query: dict[str, list[str]], body: bytes) -> None:
        at = next((number for number, part in enumerate(parts) if part in ("revision", "tree", "paths-info")), len(parts))
        repository, verb, rest = "/".join(parts[:at]), "".join(parts[at : at + 1]), parts[at + 1 :]
        directory = self._repository(repository, rest[0] if rest else "main")
        if directory is None:
            return
        entries = [self._entry(directory, path) for path in self.server.files(directory)]
        if verb == "tree":
            self._json(200, [entry for entry in entries if entry["path"].startswith("/".join(rest[1:]))])
        elif verb == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            self._json(200, [entry for entry in entries if entry["path"] in wanted])
        else:
            self._info(repository, directory, entries, with_files="blobs" in query and not self.server.rules.without_sizes)

    def _info(self, repository: str, directory: Path, entries: list[dict[str, Any]], *, with_files: bool) -> None:
        siblings = []
        for entry in entries:
            sibling = {"rfilename": entry["path"]}
            if with_files:
                lfs = {"sha256": entry["lfs"]["oid"], "size": entry["size"], "pointerSize": 134} if "lfs" in entry else None
                sibling |= {"size": entry["size"], "blobId": entry["oid"]} | ({"lfs": lfs} if lfs else {})
            siblings.append(sibling)
        gated = "manual" if repository in self.server.rules.gated else False
        self._json(200, {"id": repository, "modelId": repository, "sha": self.server.commit(directory), "private": False, "gated": gated, "siblings": siblings})

    def _entry(self, directory: Path, path: Path) -> dict[str, Any]:
        git, sha256 = self.server.hashes(path)
        size = path.stat().st_size + self.server.rules.overstated_bytes
        entry = {"type": "file", "path": path.relative_to(directory).as_posix(), "size": size, "oid": git}
        if path.name.endswith(LFS_ENDINGS):
            entry["lfs"] = {"oid": sha256, "size": size, "pointerSize": 134}
        return entry

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        directory = self._repository(repository, revision)
        if directory is None:
            return
        path = directory / name
        if repository in self.server.rules.gated and self._account() != "reader":
            status = 401 if self._account() == "anonymous" else 403
            self._error(status, "GatedRepo", f"Access to model {repository} is restricted.")
        elif not path.is_file():
            self._error(404, "EntryNotFound", "Entry not found")
        else:
            self._found(directory, path, name)

    def _found(self, directory: Path, path: Path, name: str) -> None:
        git, sha256 = self.server.hashes(path)
        headers = {"X-Repo-Commit": self.server.commit(directory), "X-Linked-Size": str(path.stat().st_size)}
        if name.endswith(LFS_ENDINGS):
            host = self.server.url.replace("127.0.0.1", "localhost") if self.server.rules.content_elsewhere else self.server.url
            location = f"{host}/content/{sha256}/{path.relative_to(self.server.root).as_posix()}"
            self._json(302, {}, {**headers, "X-Linked-Etag": f'"{sha256}"', "Location": location})
        else:
            self._content(path, name, {**headers, "ETag": f'"{git}"'})

    def _content(self, path: Path, name: str, headers: dict[str, str] | None = None) -> None:
        rules, size = self.server.rules, path.stat().st_size
        start, stop, status = 0, size, 200
        if (asked := self.headers.get("Range")) and not rules.without_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop, status = int(first), min(size, int(last) + 1 if last else size), 206
            if start >= size:
                self._json(416, {}, {"Content-Range": f"bytes */{size}"})
                return
        self.send_response(status)
        ranged = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if status == 206 else {}
        for key, value in {"Accept-Ranges": "bytes", "Content-Length": str(stop - start), **ranged, **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(path, name, start, stop)

    def _send(self, path: Path, name: str, start: int, stop: int) -> None:
        rules = self.server.rules
        with self.server.guard:
            breaks = rules.breaks.get(name)
            after = breaks.pop(0) if breaks else None
            corrupt = rules.corrupt.get(name, 0) > 0
            rules.corrupt[name] = max(0, rules.corrupt.get(name, 0) - 1)
        sent = 0
        with path.open("rb") as stream:
            stream.seek(start)
            while start + sent < stop and (chunk := stream.read(min(_CHUNK_BYTES, stop - start - sent))):
                if rules.before_chunk is not None:
                    rules.before_chunk(name, start + sent)
                if after is not None and sent + len(chunk) > after:
                    self.wfile.write(chunk[: after - sent])
                    self.close_connection = True
                    return
                self.wfile.write(bytes(len(chunk) * [255]) if corrupt else chunk)
                sent += len(chunk)

    def _error(self, status: int, code: str | None, message: str) -> None:
        self._json(status, {"error": message}, {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})})

    def _page(self, status: int, page: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page.encode())

    def _json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(root: Path, rules: Rules | None = None) -> Iterator[Hub]:
    """A hub in this process, on a free port."""
    hub = Hub(root, rules)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gated", action="append", default=[])
    parser.add_argument("--private", action="append", default=[])
    parser.add_argument("--token", action="append", default=[])
    parser.add_argument("--powerless-token", action="append", default=[])
    parser.add_argument("--rate-limited", type=int, default=0)
    options = parser.parse_args()
    rules = Rules(set(options.gated), set(options.private), set(options.token), set(options.powerless_token), options.rate_limited)
    hub = Hub(options.root, rules, options.port)
    print(hub.url, flush=True)
    hub.serve_forever()


if __name__ == "__main__":
    main()
