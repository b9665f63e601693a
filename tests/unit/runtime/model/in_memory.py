"""A source at the edge: files in memory, with what real ones do wrong."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.store import Digest, File, Listing
from tests.integration.model_sources import models


@dataclass
class InMemory:
    """A store."""

    contents: Mapping[str, bytes]
    revision: str | None = "abc"
    refusals: list[ModelFailure] = field(default_factory=list)
    """Raised one after the other by what is asked next."""
    closed: frozenset[str] = frozenset()
    """Files whose content is refused."""
    most_per_read: int = 1 << 30
    """The source breaks off after so many bytes."""
    surplus: bytes = b""
    """Sent after what was asked for."""
    hashed: bool = True
    """Whether the source knows hashes."""
    versioned: bool = True
    """Whether the source tells one content from another."""
    reads: list[tuple[str, int]] = field(default_factory=list)

    def listing(self) -> Listing:
        self._refuse()
        return Listing(tuple(File(name, len(content), self._version(content)) for name, content in self.contents.items()), self.revision)

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        self._refuse()
        if file.name in self.closed:
            raise ModelFailure(Reason.MODEL_ACCESS_DENIED, "revoked")
        self.reads.append((file.name, start))
        stop = min(stop, start + self.most_per_read)
        for at in range(start, stop, 1000):
            yield self.contents[file.name][at : min(stop, at + 1000)]
        if self.surplus:
            yield self.surplus

    def digest(self, file: File) -> Digest | None:
        if not self.hashed:
            return None
        return Digest("sha256", hashlib.sha256(self.contents[file.name]).hexdigest())

    def _version(self, content: bytes) -> str:
        return hashlib.sha256(content).hexdigest() if self.versioned else ""

    def _refuse(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)


def safetensors(tensors: models.Shapes) -> bytes:
    """A file of safetensors."""
    head, zeros = models.safetensors(tensors)
    return head + bytes(zeros)


def file(name: str, size_bytes: int = 1) -> File:
    return File(name, size_bytes)


def files(*names: str) -> list[File]:
    return [file(name) for name in names]
