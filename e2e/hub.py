"""A model hub that pods can reach: the one of the model sources' tests, on the node's address, with a door that holds a download in the middle.

A program of its own, `python -m e2e.hub`, because it runs inside the cluster's network namespace.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from e2e.fleet import REPOSITORY, Fleet
from tests.integration.model_sources.hub import Hub, Rules, Seen

TOKEN = "a-token-that-may-read"
"""Token of an account that may read the gated repositories."""


class HubProcess:
    """The hub of one test module.

    Args:
        fleet: the cluster whose pods shall reach it.
        folder: an empty folder for what it serves and writes.
        repositories: folder of each repository, by `owner/name`.
        gated: those that need the token.
        hold: file and offset at which sending stops while the door is shut.

    """

    def __init__(self, fleet: Fleet, folder: Path, repositories: Mapping[str, Path], *, gated: tuple[str, ...] = (), hold: tuple[str, int]) -> None:
        root = folder / "repositories"
        for name, source in repositories.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(source)
        self._door, self._log = folder / "door-is-shut", folder / "requests.jsonl"
        node = json.loads(fleet.kubectl.must("get", "node", "node0", "-o", "json"))  # whose network namespace it runs in
        address = next(found["address"] for found in node["status"]["addresses"] if found["type"] == "InternalIP")
        flags = [f"--gated={name}" for name in gated]
        where = ["--root", str(root), "--host", address, "--door", str(self._door), "--log", str(self._log), "--hold", hold[0], str(hold[1])]
        self._process = subprocess.Popen(
            fleet.cluster.inside([sys.executable, "-m", "e2e.hub", *where, *flags]), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        """For HF_ENDPOINT."""
        assert self.url, "the hub did not start"

    def __enter__(self) -> HubProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(10)

    def shut(self) -> None:
        """From now on nothing of the held file is sent beyond the offset."""
        self._door.touch()

    def open(self) -> None:
        """Let it go on."""
        self._door.unlink()

    def requests(self) -> list[dict[str, Any]]:
        """Return what it was asked for, oldest first."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def reads(self, name: str) -> list[dict[str, Any]]:
        """Return the requests for the content of a file."""
        return [seen for seen in self.requests() if seen["method"] == "GET" and "/content/" in seen["path"] and seen["path"].endswith(f"/{name}")]


class _Noted(list[Seen]):
    """Requests, each written down as it comes."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def append(self, seen: Seen) -> None:
        with self._log.open("a") as stream:
            stream.write(json.dumps(asdict(seen)) + "\n")
        super().append(seen)


def main() -> None:
    """Serve until killed; the first line says where."""
    parser = argparse.ArgumentParser(prog="python -m e2e.hub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--door", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--hold", nargs=2, required=True)
    parser.add_argument("--gated", action="append", default=[])
    options = parser.parse_args()
    held, offset = options.hold[0], int(options.hold[1])

    def before_chunk(name: str, start: int) -> None:
        while name == held and start >= offset and options.door.exists():
            time.sleep(0.05)

    hub = Hub(options.root, Rules(gated=set(options.gated), tokens={TOKEN}, before_chunk=before_chunk), 0, options.host)
    hub.seen = _Noted(options.log)
    print(hub.url, flush=True)
    hub.serve_forever()


if __name__ == "__main__":
    main()
