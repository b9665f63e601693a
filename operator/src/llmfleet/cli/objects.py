"""Objects of ours among what was read, and what there is to say of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from llmfleet import names
from llmfleet.api.facts import ModelFacts
from llmfleet.cli.documents import Document, Input
from llmfleet.planning.profiles import profiles_with
from llmfleet.planning.review import KINDS, Surroundings, review
from llmfleet.planning.violation import Violation


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say of one object."""

    document: Document
    violation: Violation

    @property
    def line(self) -> str:
        """`FILE:LINE: llmservice chat/qwen: spec.x 'y': rule; remedy`, as compilers say it."""
        warning = "warning: " if self.violation.warning else ""
        return f"{self.document.where(self.violation.field)}: {self.document.about}: {warning}{self.violation.message}"


def ours(given: Input) -> list[Document]:
    """The objects of our API group, whatever their kind."""
    return [document for document in given.objects if document.group == names.GROUP]


def surroundings(given: Input, default_profile: str, facts: Callable[[str], ModelFacts | None]) -> Surroundings:
    """What the objects are looked at with: the built-in profiles, and those among what was read, which win by name."""
    profiles = profiles_with(document.content for document in given.of_kind(names.ACCELERATOR_PROFILE) if document.name)
    return Surroundings(profiles.valid, default_profile, facts)


def findings(given: Input, around: Surroundings) -> Iterator[Finding]:
    """Everything there is to say of the objects of our API group, in the order of the input."""
    for document in ours(given):
        found = review(document.content, around) if document.kind in KINDS else (_no_kind(document),)
        yield from (Finding(document, violation) for violation in found)


def _no_kind(document: Document) -> Violation:
    # Of another case or a letter away; a List of them has been taken apart already.
    near = get_close_matches(document.kind.lower(), {kind.lower(): kind for kind in KINDS}, n=1)
    remedy = next((f"did you mean {kind}?" for kind in KINDS if kind.lower() in near), f"choose one of {', '.join(KINDS)}")
    return Violation("kind", document.kind, f"is no kind of {names.API_VERSION}", remedy)
