"""What one check answers, by the paths that it names."""

from collections.abc import Callable, Iterable
from typing import Any

from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from tests.unit.planning.checks.subjects import subject

CheckFunction = Callable[[Subject], Iterable[Violation]]


def found(check: CheckFunction, **fields: Any) -> list[Violation]:
    """Everything that it says."""
    return list(check(subject(**fields)))


def fields_found(check: CheckFunction, **fields: Any) -> list[str]:
    """The paths that it names."""
    return [violation.field for violation in found(check, **fields)]


def only(check: CheckFunction, **fields: Any) -> Violation:
    """The one thing that it says."""
    (violation,) = found(check, **fields)
    return violation
