"""A layer of an image, written as a tar stream straight from the files on disk, with no copy in between.

The same files give the same bytes: entries are sorted, times are dropped and owners are set, so that containerd recognises a layer that it has.
"""

from __future__ import annotations

import hashlib
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_BLOCK_BYTES = 512
_END_BLOCKS = 2
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Owner:
    """Numeric owner of a file in the image."""

    uid: int = 0
    gid: int = 0


ROOT = Owner()


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder of this machine and where it goes."""

    source: Path
    target: str = ""
    excluded_names: frozenset[str] = frozenset()
    excluded_paths: frozenset[str] = frozenset()
    """Relative to the source."""


@dataclass(frozen=True, slots=True)
class Text:
    """A file given by its content."""

    target: str
    content: bytes
    mode: int = 0o644
    owner: Owner = ROOT


@dataclass(frozen=True, slots=True)
class Directory:
    """A folder that exists with this owner and mode."""

    target: str
    mode: int = 0o755
    owner: Owner = ROOT


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str
    points_to: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of this machine."""

    target: str
    source: Path
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer holds; a later item of the same name wins, as a later layer would."""

    items: Sequence[Tree | Text | Directory | Link | File] = field(default_factory=tuple)

    def size_bytes(self) -> int:
        """Return the length of the tar stream, from headers and file sizes alone."""
        total = _END_BLOCKS * _BLOCK_BYTES
        for info, _ in self._entries():
            total += len(info.tobuf(tarfile.PAX_FORMAT)) + _padded(info.size if info.isreg() else 0)
        return total

    def write(self, stream: IO[bytes]) -> str:
        """Write the tar stream; return its SHA-256 in hexadecimal.

        Raises:
            OSError: a file changed its size meanwhile.

        """
        digest = hashlib.sha256()

        def emit(chunk: bytes) -> None:
            digest.update(chunk)
            stream.write(chunk)

        for info, content in self._entries():
            emit(info.tobuf(tarfile.PAX_FORMAT))
            if info.isreg():
                written = 0
                for chunk in _chunks(content):
                    written += len(chunk)
                    emit(chunk)
                if written != info.size:
                    raise OSError(f"{content!r} changed while it was read")
                emit(b"\0" * (_padded(info.size) - info.size))
        emit(b"\0" * _BLOCK_BYTES * _END_BLOCKS)
        return digest.hexdigest()

    def _entries(self) -> Iterator[tuple[tarfile.TarInfo, Path | bytes | None]]:
        found: dict[str, tuple[tarfile.TarInfo, Path | bytes | None]] = {}
        for item in self.items:
            match item:
                case Tree():
                    for info, path in _walk(item):
                        found[info.name] = (info, path)
                case Text(target, content, mode, owner):
                    info = _info(target, tarfile.REGTYPE, mode, owner)
                    info.size = len(content)
                    found[info.name] = (info, content)
                case File(target, source, mode):
                    info = _info(target, tarfile.REGTYPE, mode, ROOT)
                    info.size = source.stat().st_size
                    found[info.name] = (info, source)
                case Directory(target, mode, owner):
                    info = _info(target, tarfile.DIRTYPE, mode, owner)
                    found[info.name] = (info, None)
                case Link(target, points_to):
                    info = _info(target, tarfile.SYMTYPE, 0o777, ROOT)
                    info.linkname = points_to
                    found[info.name] = (info, None)
        for name in sorted(found):
            yield found[name]


def _info(target: str, kind: bytes, mode: int, owner: Owner) -> tarfile.TarInfo:
    info = tarfile.TarInfo(target.strip("/"))
    info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, owner.uid, owner.gid, 0
    return info


def _walk(tree: Tree) -> Iterator[tuple[tarfile.TarInfo, Path | None]]:
    pending = [tree.source]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            relative = str(path.relative_to(tree.source))
            if path.name in tree.excluded_names or relative in tree.excluded_paths:
                continue
            target = f"{tree.target.strip('/')}/{relative}".lstrip("/")
            found = path.lstat()
            owner = Owner(found.st_uid, found.st_gid)
            if path.is_symlink():
                info = _info(target, tarfile.SYMTYPE, 0o777, owner)
                info.linkname = str(path.readlink())
                yield info, None
            elif stat.S_ISDIR(found.st_mode):
                pending.append(path)
                yield _info(target, tarfile.DIRTYPE, stat.S_IMODE(found.st_mode), owner), None
            elif stat.S_ISREG(found.st_mode):
                info = _info(target, tarfile.REGTYPE, stat.S_IMODE(found.st_mode), owner)
                info.size = found.st_size
                yield info, path
            # Devices and sockets are left out: containers get their own /dev.


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


def _chunks(content: Path | bytes | None) -> Iterator[bytes]:
    if content is None:
        return
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
