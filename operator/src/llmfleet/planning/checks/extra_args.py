"""engine.extraArgs, as vLLM would read them."""

from collections.abc import Iterator

from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import owned, versions
from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.command_line import read
from llmfleet.vllm.reading import Reading


def reading(subject: Subject) -> Reading:
    """What extraArgs say; for a version without a catalogue, as the nearest one would read them."""
    return read(subject.spec.engine.extra_args, subject.catalogue or catalogue(versions.nearest(subject.version)))


def owned_flags(subject: Subject) -> Iterator[Violation]:
    """No flag has two owners."""
    for occurrence in reading(subject).occurrences:
        if owner := owned.owner_of(occurrence):
            meaning = "" if occurrence.spelled == occurrence.flag.name else f"is {occurrence.flag.name}, which "
            yield Violation(_field(occurrence.index), occurrence.spelled, f"{meaning}belongs to {owner.name}", owner.remedy)


def refused_arguments(subject: Subject) -> Iterator[Violation]:
    """What stands there must be what vLLM takes, and all of it must count.

    An image of the user's own may hold plugins with further names; of a version without a catalogue nothing is known.
    """
    if subject.catalogue is None:
        return
    said = reading(subject)
    owned_items = {occurrence.index for occurrence in said.occurrences if owned.owner_of(occurrence)}
    for problem in said.problems:
        if problem.index not in owned_items and not (problem.pluggable and subject.own_image):
            yield Violation(_field(problem.index), problem.flag, problem.rule, problem.remedy)


def _field(index: int) -> str:
    return f"spec.engine.extraArgs[{index}]"
