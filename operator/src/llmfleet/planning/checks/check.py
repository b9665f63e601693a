"""What a check is: a pure function, and the fields that it is about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

Run = Callable[[Subject], Iterable[Violation]]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: a function from the subject to what is wrong with it."""

    run: Run
    fields: tuple[str, ...]
    """Paths below spec of the fields that decide."""

    def __call__(self, subject: Subject) -> Iterable[Violation]:
        """What is wrong."""
        return self.run(subject)

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.run.__name__

    @property
    def rule(self) -> str:
        """The rule in a sentence: the first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().split("\n", 1)[0]


def check(*fields: str) -> Callable[[Run], Check]:
    """Make a check of a function; `fields` are paths below spec without brackets for the items of lists."""
    return lambda run: Check(run, fields)
