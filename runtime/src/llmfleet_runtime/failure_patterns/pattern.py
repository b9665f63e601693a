"""A row of the table."""

from dataclasses import dataclass
from typing import Final

from llmfleet_runtime.failure_patterns.reason import Reason

RUN: Final = "run"
"""Source of a line that vLLM 0.32.0 on the CPU, or a library below it, wrote here; tests/integration/runtime/test_failure_patterns.py has most of them
written again."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is written when something is the case."""

    reason: Reason
    pattern: str
    """Searched in an error line without the logger's prefix (output.py). Its group `message` is what is told, where it has one; else the whole line is.
    What differs from attempt to attempt stays outside of it, or is taken out (failures.py): a condition must hold still."""
    remedy: str
    """What to do, one sentence without a full stop, with the names of our fields; `{group}` is a group of the match."""
    example: str
    """What the log has: a line, or the lines that belong together."""
    source: str
    """RUN, or who prints it: project and version, file."""
