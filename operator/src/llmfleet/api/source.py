"""Where a model, an adapter or a tokenizer comes from: the grammar of `source`."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scheme(StrEnum):
    """Kinds of sources."""

    HUGGING_FACE = "hf"
    MODELSCOPE = "modelscope"
    S3 = "s3"
    GCS = "gs"
    IMAGE = "oci"
    CLAIM = "pvc"


_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REVISION: Final = r"(@[A-Za-z0-9][A-Za-z0-9._/-]{0,127})?"
_SEGMENTS: Final = r"(/[A-Za-z0-9_@][A-Za-z0-9._@+=-]*)*/?"

PATTERN: Final = (
    rf"^(hf://{_NAME}(/{_NAME})?{_REVISION}"
    rf"|modelscope://{_NAME}/{_NAME}{_REVISION}"
    rf"|(s3|gs)://[a-z0-9][a-z0-9._-]{{1,220}}[a-z0-9]{_SEGMENTS}"
    r"|oci://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[a-f0-9]{64})?"
    rf"|pvc://[a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?{_SEGMENTS})$"
)
"""The grammar as one expression, the same for the API server's CEL (RE2) and here. A segment of a path begins with no dot: `..` cannot leave the volume."""

EXPECTED: Final = (
    "must be hf://owner/repository, modelscope://owner/repository (each with @revision to pin it), s3://bucket/path, gs://bucket/path, "
    "oci://registry/repository:tag or pvc://claim/path"
)
"""The refusal, in words; the API server gives the same."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of a model hub: Hugging Face's or ModelScope's."""

    scheme: Scheme
    repository: str
    """`owner/name`, or the bare name of an old repository such as gpt2."""
    revision: str | None
    """Branch, tag or commit; None is the repository's default branch."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix in object storage: S3 or Google Cloud Storage."""

    scheme: Scheme
    bucket: str
    path: str
    """Without a leading or trailing slash; empty is the whole bucket."""

    @property
    def url(self) -> str:
        """As vLLM's streaming loader takes it."""
        return f"{self.scheme}://{self.bucket}/{self.path}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Image:
    """An OCI image or artifact whose root is the model's directory; the kubelet pulls and mounts it."""

    reference: str
    """As in a pod: registry/repository:tag."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A directory on a PersistentVolumeClaim in the service's namespace."""

    claim: str
    """Name of the claim."""
    path: str
    """Path below the volume's root, without a leading or trailing slash; empty is the root."""


Source = Repository | Bucket | Image | Claim


def parse(source: str) -> Source:
    """Read a source; ValueError with the remedy for what is none."""
    if not re.fullmatch(PATTERN, source):
        raise ValueError(EXPECTED)
    name, _, rest = source.partition("://")
    scheme = Scheme(name)
    if scheme in (Scheme.HUGGING_FACE, Scheme.MODELSCOPE):
        repository, _, revision = rest.partition("@")
        return Repository(scheme, repository, revision or None)
    if scheme is Scheme.IMAGE:
        return Image(rest)
    first, _, path = rest.partition("/")
    if scheme is Scheme.CLAIM:
        return Claim(claim=first, path=path.rstrip("/"))
    return Bucket(scheme, first, path.rstrip("/"))
