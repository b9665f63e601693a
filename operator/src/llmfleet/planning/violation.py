"""One thing that is to be said of a specification: why it is refused, or what it costs."""

import json
from dataclasses import dataclass
from typing import Final

from llmfleet.names import Reason

LONGEST_VALUE: Final = 100
"""Characters of a wrong value that a message repeats: it must be recognised, not reproduced (a condition holds 32 KiB)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field, and what to do."""

    field: str
    """Path as people write it: spec.engine.extraArgs[2]."""
    value: str
    """What was given; empty where the value is a whole object or missing."""
    rule: str
    """What it breaks."""
    remedy: str
    """What to do; empty where the rule says it already."""
    warning: bool = False
    """Worth saying, and not refused."""
    reason: Reason = Reason.INVALID
    """Reason of the condition Accepted when this is what refuses the specification."""

    @property
    def message(self) -> str:
        """One sentence for a condition or a terminal."""
        subject = f"{self.field} {self.value[:LONGEST_VALUE]!r}" if self.value else self.field
        return f"{subject}: {self.rule}" + (f"; {self.remedy}" if self.remedy else "")


def shown(value: object) -> str:
    """A wrong value as it is written, for `Violation.value`; a whole object is not repeated."""
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, int | float) else ""
