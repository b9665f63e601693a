"""What a launcher says of its engine: the JSON of `/report`, described in docs/engine-pod.md.

Reader and writer are two programs of two versions, so every field may be absent, and an unknown one is no error.
"""

import json
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


def parse(content: bytes) -> Report:
    """The report in an answer; a field of another type than documented counts as absent."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedReportError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedReportError("not a JSON object")
    limits = document.get("limits")
    slots = limits.get("maxSequences") if isinstance(limits, dict) else None
    return Report(max_sequences=slots if isinstance(slots, int) and not isinstance(slots, bool) and slots > 0 else None)
