"""As much of ModelScope's API as its client needs to list and to read models: ROOT/OWNER/NAME is the revision master."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class ModelScopeHub(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.private: set[str] = set()
        self.token = ""
        self.page: str | None = None
        """What every request is answered with, as a proxy does that wants a login."""
        self.overstated_bytes = 0
        """Every file is listed as so much larger than it is."""
        self.ranges: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """For MODELSCOPE_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ModelScopeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.server.page is not None:
            self._answer(200, self.server.page.encode(), {})
            return
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        parts = url.path.removeprefix("/api/v1/models/").split("/")
        repository, verb = "/".join(parts[:2]), "/".join(parts[2:])
        folder = self.server.root / repository
        if repository in self.server.private and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._json(403, {"Code": 10010403, "Message": "no permission", "Success": False})
        elif not folder.is_dir() or (verb != "revisions" and query.get("Revision", "master") != "master"):
            self._json(404, {"Code": 10010205001, "Message": "not found", "Success": False})
        elif verb == "revisions":
            self._json(200, {"Code": 200, "Data": {"RevisionMap": {"Branches": [{"Revision": "master"}], "Tags": [{"Revision": "v1.0"}]}}})
        elif verb == "repo/files":
            self._json(200, {"Code": 200, "Data": {"Files": [self._entry(folder, path) for path in sorted(folder.rglob("*"))]}})
        else:
            self._content(folder / query["FilePath"])

    def _entry(self, folder: Path, path: Path) -> dict[str, Any]:
        if path.is_dir():
            return {"Path": path.relative_to(folder).as_posix(), "Type": "tree", "Size": 0}
        return {
            "Path": path.relative_to(folder).as_posix(),
            "Type": "blob",
            "Size": path.stat().st_size + self.server.overstated_bytes,
            "Sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }

    def _content(self, path: Path) -> None:
        content, asked = path.read_bytes(), self.headers.get("Range")
        self.server.ranges.append((path.name, asked))
        first, _, last = (asked or f"bytes=0-{len(content) - 1}").removeprefix("bytes=").partition("-")
        if int(first) >= len(content):
            self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[int(first) : int(last) + 1]
        self._answer(206 if asked else 200, body, {"Content-Range": f"bytes {first}-{last}/{len(content)}"} if asked else {})

    def _json(self, status: int, document: Any) -> None:
        self._answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(root: Path) -> Iterator[ModelScopeHub]:
    """A hub in this process, on a free port."""
    hub = ModelScopeHub(root)
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
