"""SOURCE, the argument that says where a model lies. The operator checks spec.model.source by the same grammar (llmfleet.api.source)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class Scheme(StrEnum):
    """Kinds of sources that are reached over the network."""

    HUGGING_FACE = "hf"
    MODELSCOPE = "modelscope"
    S3 = "s3"
    GOOGLE_CLOUD_STORAGE = "gs"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of a model hub."""

    scheme: Scheme
    repository: str
    """`owner/name`, or the bare name of an old one such as gpt2."""
    revision: str | None
    """Branch, tag or commit; None is the default branch."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.repository}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix in object storage."""

    scheme: Scheme
    bucket: str
    path: str
    """Without a leading or trailing slash; empty is the whole bucket."""

    @property
    def prefix(self) -> str:
        """What the names of the model's objects begin with: with a slash, so that `a/b` does not take in `a/b2`."""
        return f"{self.path}/" if self.path else ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.path}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of this pod: a mounted claim, or an image volume."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Source = Repository | Bucket | Directory

_REPOSITORY: Final = re.compile(r"(hf|modelscope)://([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?", re.ASCII)
_BUCKET: Final = re.compile(r"(s3|gs)://([a-z0-9][a-z0-9._-]*)(?:/(.*))?")


def parse(text: str) -> Source:
    """Read a source; ValueError in words for what is none."""
    if match := _REPOSITORY.fullmatch(text):
        return Repository(Scheme(match[1]), match[2], match[3])
    if match := _BUCKET.fullmatch(text):
        return Bucket(Scheme(match[1]), match[2], (match[3] or "").strip("/"))
    if text.startswith("/"):
        return Directory(Path(text))
    raise ValueError(f"{text!r} is none of hf://owner/repository[@revision], modelscope://..., s3://bucket/path, gs://bucket/path, /absolute/directory")
