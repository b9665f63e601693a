"""Where a model comes from: the grammar of `model.source`."""

import re
from dataclasses import dataclass
from typing import Final

HUGGING_FACE: Final = "hf"
CLAIM: Final = "pvc"

LATER: Final = ("modelscope", "s3", "gs", "oci")
"""Schemes of the design that this version does not serve; named, so that nobody takes the refusal for a spelling error."""

PATTERN: Final = (
    r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?(@[A-Za-z0-9][A-Za-z0-9._/-]{0,127})?"
    r"|pvc://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(/[A-Za-z0-9_@][A-Za-z0-9._@+-]*)*/?)$"
)
"""The grammar as one expression, the same for the API server's CEL (RE2) and here. A segment of a claim's path
begins with no dot: `..` cannot leave the volume."""

EXPECTED: Final = "must be hf://owner/repository, hf://owner/repository@revision or pvc://claim/path"
"""The refusal, in words; the API server gives the same."""


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A repository of the Hugging Face Hub."""

    repository: str
    """`owner/name`, or the bare name of an old repository such as gpt2."""
    revision: str | None
    """Branch, tag or commit; None is the repository's default branch."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A directory on a PersistentVolumeClaim in the service's namespace."""

    claim: str
    """Name of the claim."""
    path: str
    """Path below the volume's root, without a leading or trailing slash; empty is the root."""


Source = HuggingFace | Claim


def parse(source: str) -> Source:
    """Read a source; ValueError with the remedy for what is none."""
    scheme, separator, rest = source.partition("://")
    if separator and scheme in LATER:
        raise ValueError(f"{EXPECTED}; {scheme}:// is not supported yet")
    if not re.fullmatch(PATTERN, source):
        raise ValueError(EXPECTED)
    if scheme == HUGGING_FACE:
        repository, _, revision = rest.partition("@")
        return HuggingFace(repository=repository, revision=revision or None)
    claim, _, path = rest.partition("/")
    return Claim(claim=claim, path=path.rstrip("/"))
