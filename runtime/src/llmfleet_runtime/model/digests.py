"""Hashes as sources name them, taken while the bytes go by."""

import base64
import hashlib
from typing import Protocol

from llmfleet_runtime.model.store import Digest


class Hash(Protocol):
    """A hash under way."""

    def update(self, data: bytes, /) -> None:
        """Take these bytes in."""

    def hexdigest(self) -> str:
        """The hash as its source writes it."""


def begin(digest: Digest | None, size_bytes: int) -> Hash | None:
    """A hash of the kind of `digest` for a file of this size; None where there is nothing to compare with."""
    match digest:
        case None:
            return None
        case Digest(algorithm="git"):  # as `git hash-object` does
            return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
        case Digest(algorithm="crc32c"):
            return _Crc32c()
        case Digest():
            return hashlib.new(digest.algorithm, usedforsecurity=False)


class _Crc32c:
    """Google's checksum of objects; the only one of composed objects."""

    def __init__(self) -> None:
        from google_crc32c import Checksum

        self._checksum = Checksum()

    def update(self, data: bytes, /) -> None:
        self._checksum.update(data)

    def hexdigest(self) -> str:
        return base64.b64encode(self._checksum.digest()).decode()
