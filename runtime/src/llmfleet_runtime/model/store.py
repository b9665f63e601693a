"""Where models lie, as inspection and download see it: files with sizes, a revision, and bytes on request."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.source import Bucket, Directory, Repository, Scheme, Source


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model."""

    name: str
    """Path below the model's root, with slashes."""
    size_bytes: int
    version: str = ""
    """What the source calls this content: a hash, an ETag, a generation, a commit. Equal name, size and version: equal bytes. Empty: it has none."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What the bytes of a file must hash to, as its source says."""

    algorithm: str
    """sha256, md5, crc32c (base64, as Google writes it), or git (the SHA-1 of a git blob)."""
    value: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds."""

    files: tuple[File, ...]
    revision: str | None = None
    """The commit; None where the source has no such thing."""


class Store(Protocol):
    """One source. Every method raises ModelFailure in the words of that source; none of them waits and tries again."""

    def listing(self) -> Listing:
        """What is there now."""

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `start` to `stop` (exclusive) of a listed file, in chunks; fewer when the source breaks off."""

    def digest(self, file: File) -> Digest | None:
        """What the source knows of a listed file's content; None where it knows nothing that could be checked."""


def content(store: Store, file: File, start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` of a listed file at once; ModelFailure where the source breaks off."""
    found = b"".join(store.read(file, start, stop)) if stop > start else b""
    if len(found) != stop - start:
        raise ModelFailure(Reason.SOURCE_UNREACHABLE, f"{file.name}: the source broke off after {len(found)} of {stop - start} bytes; it is tried again")
    return found


def part(chunks: Iterator[bytes], at: int, start: int, stop: int) -> Iterator[bytes]:
    """Bytes `start` to `stop` of a file out of chunks that begin at `at`: servers without ranges send the whole file, wrong ones more than the range."""
    for chunk in chunks:
        wanted = chunk[max(0, start - at) : max(0, stop - at)]
        at += len(chunk)
        if wanted:
            yield wanted
        if at >= stop:
            return


def open_store(source: Source) -> Store:
    """The store of a source. Its library is imported here and nowhere else, so that one that is not needed costs nothing."""
    match source:
        case Directory():
            from llmfleet_runtime.model.directory import DirectoryStore

            return DirectoryStore(source)
        case Repository(scheme=Scheme.MODELSCOPE):
            from llmfleet_runtime.model.modelscope import ModelScope

            return ModelScope(source)
        case Repository():
            from llmfleet_runtime.model.hugging_face import HuggingFace

            return HuggingFace(source)
        case Bucket(scheme=Scheme.S3):
            from llmfleet_runtime.model.s3 import S3

            return S3(source)
        case Bucket():
            from llmfleet_runtime.model.google_cloud_storage import GoogleCloudStorage

            return GoogleCloudStorage(source)
