"""Talking to a node's containerd through `ctr`: images in, what a dead run left out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import IO

from e2e.cluster.node import Node

_INPUTS_LABEL = "llmfleet.dev/inputs"


class Containerd:
    """The containerd of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def answers(self) -> bool:
        """Whether it serves requests."""
        return self._node.socket.exists() and self._ctr("version").returncode == 0

    def inputs_of(self, reference: str) -> str | None:
        """Return the hash of what the image was made from, or None when the image is not there whole."""
        for line in self._ctr("images", "list", f"name=={reference}").stdout.splitlines():
            if line.startswith(f"{reference} "):
                for label in line.split()[-1].split(","):
                    name, _, value = label.partition("=")
                    if name == _INPUTS_LABEL:
                        return value
        return None

    def import_archive(self, write: Callable[[IO[bytes]], None]) -> None:
        """Import the docker-archive that `write` writes into a stream: no copy of it lies on the disk.

        Raises:
            RuntimeError: containerd refused it.

        """
        importer = subprocess.Popen(
            [*self._command(), "images", "import", "--snapshotter", "overlayfs", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if importer.stdin is None or importer.stdout is None:
            raise AssertionError("both are pipes")
        broken = False
        try:
            write(importer.stdin)
            importer.stdin.close()
        except BrokenPipeError:
            broken = True
        except BaseException:
            importer.kill()
            importer.wait()
            raise
        output = importer.stdout.read().decode(errors="replace")
        if importer.wait() != 0 or broken:
            raise RuntimeError(f"ctr images import: {output.strip()[-1000:]}")

    def mark(self, reference: str, inputs: str) -> None:
        """Note on a whole image what it was made from; done last, so that an interrupted import is repeated."""
        done = self._ctr("images", "label", reference, f"{_INPUTS_LABEL}={inputs}")
        if done.returncode != 0:
            raise RuntimeError(f"ctr images label {reference}: {done.stderr.strip()}")

    def forget_containers(self) -> int:
        """Delete the records of containers whose processes are gone; return how many there were."""
        names = self._ctr("containers", "list", "--quiet").stdout.split()
        for name in names:
            self._ctr("tasks", "delete", "--force", name)
            self._ctr("containers", "delete", name)
        return len(names)

    def _command(self) -> list[str]:
        return ["ctr", "--address", str(self._node.socket), "--namespace", "k8s.io"]

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._command(), *arguments], capture_output=True, text=True, check=False)
