"""What a check before the start says when the engine need not be started."""

from dataclasses import dataclass

from llmfleet_runtime.failure_patterns import Reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the engine could not start."""

    reason: Reason
    message: str
    """What is wrong, with the values: one sentence without a full stop."""
    remedy: str = ""
    """What to do; empty: what the reason says."""
