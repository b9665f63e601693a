"""What a launcher says of its engine: the JSON of `/report`, described in docs/engine-pod.md.

Reader and writer are two programs of two versions, so every field may be absent, and an unknown one is no error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PATH: Final = "/report"

MAX_BYTES: Final = 256 * 1024
"""Most that is read of a report: arguments and phases take a few kilobytes."""


class MalformedReportError(ValueError):
    """The answer is not a JSON object."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the operator needs of it; None is what the launcher does not know or its version does not say."""

    max_sequences: int | None = None
    """Requests that the replica runs at once."""
    kv_tokens: int | None = None
    """Tokens that the KV cache of the replica holds."""
    weights_bytes: int | None = None
    """Weights on one accelerator."""
    kv_cache_bytes: int | None = None
    """KV cache on one accelerator."""


def document_of(content: bytes) -> Mapping[str, object]:
    """The JSON object of an answer; MalformedReportError where it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedReportError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedReportError("not a JSON object")
    return document


def parse(content: bytes) -> Report:
    """The report in an answer; a field of another type than documented counts as absent."""
    document = document_of(content)
    return Report(
        max_sequences=_count(document, "limits", "maxSequences"),
        kv_tokens=_count(document, "kvCache", "tokens"),
        weights_bytes=_count(document, "memory", "weightsBytes"),
        kv_cache_bytes=_count(document, "memory", "kvCacheBytes"),
    )


def _count(document: Mapping[str, object], part: str, field: str) -> int | None:
    """A number above 0; in place of anything else None."""
    fields = document.get(part)
    value = fields.get(field) if isinstance(fields, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
