"""What a command line says, once it is read."""

from dataclasses import dataclass

from llmfleet.vllm.catalogue import Flag
from llmfleet.vllm.tokens import Problem


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One flag that is given."""

    flag: Flag
    index: int
    """Of the item that holds it; of the first one where dotted keys are gathered."""
    spelled: str
    """As it was written, without its value."""
    texts: tuple[str, ...] = ()
    """Its values as they stand there; of dotted keys, the JSON that vLLM makes of them."""
    values: tuple[object, ...] = ()
    """What vLLM makes of the texts; those that it refuses are left out."""
    negated: bool = False
    """Whether it is the --no- form."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the items say."""

    occurrences: tuple[Occurrence, ...]
    """In vLLM's order: dotted keys come last."""
    problems: tuple[Problem, ...]
    """In the order of the items."""

    def of(self, flag: str) -> tuple[Occurrence, ...]:
        """The occurrences of a flag, by its name in the catalogue."""
        return tuple(occurrence for occurrence in self.occurrences if occurrence.flag.name == flag)

    def is_on(self, flag: str) -> bool:
        """Whether a flag without values is given and not by its --no- form."""
        return any(not occurrence.negated for occurrence in self.of(flag))
