"""Arguments of `vllm serve`, read as vLLM reads them.

The rules are those of vLLM's FlexibleArgumentParser (vllm/utils/argparse_utils.py) on top of Python's argparse, the same in all versions that have a catalogue:
underscores for dashes, any prefix that is unique, `=` or a following item, dotted keys of JSON flags with `+` for lists, -O3, short flags of one letter with
their value attached. What they refuse is a problem here, and so is what they take without a word and ignore.

No message repeats a value: it may be a key, and messages end up in conditions and logs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from llmfleet.vllm import versions
from llmfleet.vllm.catalogue import Catalogue, Flag, Kind
from llmfleet.vllm.command_rules import COMMAND_RULES
from llmfleet.vllm.flag_values import PLUGIN_FLAGS, value_faults, value_of
from llmfleet.vllm.reading import Occurrence, Reading
from llmfleet.vllm.suggestions import nearest
from llmfleet.vllm.tokens import NEGATIVE_NUMBER, Problem, Token, tokenised

MOST_PROBLEMS: Final = 16
"""After so many, values are no longer looked into and nothing is suggested: nobody reads further, and looking for near names takes 10 ms each."""
_ATTACHED: Final = re.compile(r"(-[a-z]{2,})(\d+)")


@dataclass(slots=True)
class _Reader:
    """One pass over the items."""

    catalogue: Catalogue
    occurrences: list[Occurrence] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, token: Token, rule: str, remedy: str, *, flag: str | None = None) -> None:
        self.problems.append(Problem(token.index, token.spelled if flag is None else flag, rule, remedy))

    def read(self, items: Sequence[str]) -> Reading:
        tokens, self.problems = tokenised(items)
        position, absorbs = 0, False
        while position < len(tokens):
            token = tokens[position]
            if token.text == "--":
                self.problem(token, "ends the flags: vLLM would take what follows for a second model", "remove it")
                break
            if self.is_value(token.text):
                if not absorbs:
                    self.stray(token, tokens[position - 1] if position else None)
                position, absorbs = position + 1, True
                continue
            end = position + 1
            while end < len(tokens) and tokens[end].text != "--" and self.is_value(tokens[end].text):
                end += 1
            taken = self.flag(token, tokens[position + 1 : end])
            # How many values an unknown flag takes is unknown: what follows it is left alone.
            position, absorbs = (end, False) if taken is None else (position + 1 + taken, False)
        self.check_values()
        self.check_repetitions()
        self.check_together()
        return Reading(tuple(self.occurrences), tuple(sorted(self.problems, key=lambda problem: problem.index)))

    def stray(self, token: Token, before: Token | None) -> None:
        """A value that belongs to no flag."""
        if token.text.startswith("-") and " " in token.text:
            spelled = token.text.split(" ", 1)[0].split("=", 1)[0]
            self.problem(token, "holds a flag and its value in one item", "write two items, or one with '=' between them", flag=spelled)
        elif before is None:
            rule = "stands before the first flag: vLLM would take it for a second model"
            self.problem(token, rule, "begin with a flag such as --enable-prefix-caching", flag="")
        else:
            rule = f"is a value behind {before.spelled or 'another value'}, which takes no further one: vLLM would take it for a second model"
            self.problem(token, rule, "remove it, or put the flag that it belongs to before it", flag="")

    def is_value(self, text: str) -> bool:
        """Whether argparse takes a text for a value (ArgumentParser._parse_optional)."""
        if not text.startswith("-") or text == "-":
            return True
        if text in self.catalogue.spellings or text.partition("=")[0] in self.catalogue.spellings or any(self.completions(text)):
            return False
        return bool(NEGATIVE_NUMBER.match(text)) or " " in text

    def completions(self, text: str) -> Iterator[tuple[str, Flag, str | None]]:
        """The (spelling, flag, attached value) that a text may stand for (ArgumentParser._get_option_tuples)."""
        if text.startswith("--"):
            prefix, equals, value = text.partition("=")
            yield from ((spelling, flag, value if equals else None) for spelling, flag in self.catalogue.abbreviated(prefix))
            return
        for spelling, flag in self.catalogue.spellings.items():
            if spelling == text[:2]:
                yield spelling, flag, text[2:]
            elif spelling.startswith(text):
                yield spelling, flag, None

    def flag(self, token: Token, following: Sequence[Token]) -> int | None:
        """Take one flag and those of the following values that are its own; how many those are, or None if that cannot be known."""
        spelling, equals, value = token.text.partition("=")
        flag = self.catalogue.spellings.get(token.text) or self.catalogue.spellings.get(spelling)
        attached = value if equals else None
        if flag is None:
            if removed := versions.absent(spelling, self.catalogue.version):
                self.problem(token, removed.rule, removed.remedy)
                return None
            candidates = list(self.completions(token.text))
            if len(candidates) != 1:
                return self.unknown(token, [candidate[0] for candidate in candidates], following)
            spelling, flag, attached = candidates[0]
        texts, taken = [attached], 0
        if attached is None:
            taken = {Kind.PAIR: 0, Kind.SWITCH: 0, Kind.LIST: len(following)}.get(flag.kind, min(1, len(following)))
            texts = [following[index].text for index in range(taken)]
        if attached == "--":
            self.problem(token, "is given -- as its value, which vLLM drops", "give it another value")
            texts = []
        elif attached is not None and not flag.takes_value:
            forms = " or ".join((flag.name, *flag.negative))
            self.problem(token, "takes no value", f"write {forms}")
            texts = []
        elif flag.takes_value and not texts and flag.kind is not Kind.OPTIONAL_VALUE:
            self.problem(token, "is given no value", "add one; if it begins with a dash, join it to the flag with '='")
        self.occurrences.append(
            Occurrence(flag, token.index, token.spelled, tuple(text for text in texts if text is not None), negated=spelling in flag.negative)
        )
        return taken

    def unknown(self, token: Token, candidates: list[str], following: Sequence[Token]) -> int | None:
        """A flag that is none, or may be several."""
        if candidates:
            shown = ", ".join(sorted(candidates)[:8]) + (", ..." if len(candidates) > 8 else "")
            self.problem(token, "is the beginning of several flags of vLLM", f"write one of {shown}")
            return None
        if (short := _ATTACHED.fullmatch(token.text)) and (flag := self.catalogue.spellings.get(short[1])):
            self.problem(token, "has its value attached, which vLLM takes only for flags of one letter", f"write two items: {short[1]} and its value")
            # Said all the same, so that who owns the flag can say so.
            self.occurrences.append(Occurrence(flag, token.index, short[1], (short[2],)))
            return 0
        spelling = token.text.partition("=")[0]
        near = nearest(spelling, self.catalogue.spellings) if len(self.problems) < MOST_PROBLEMS else []
        remedy = f"did you mean {', '.join(near)}?" if near else "see the flags of that version in vLLM's documentation"
        self.problem(token, f"is no flag of vLLM {self.catalogue.version}", remedy)
        return None

    def check_values(self) -> None:
        """Read the values, and tell what vLLM refuses in them."""
        plugins = frozenset(occurrence.flag.name for occurrence in self.occurrences) & {*PLUGIN_FLAGS.values()}
        for place, occurrence in enumerate(self.occurrences):
            if len(self.problems) >= MOST_PROBLEMS:
                return
            flag, values = occurrence.flag, []
            for text in occurrence.texts:
                try:
                    value = value_of(text, flag)
                except ValueError as error:
                    self.problems.append(Problem(occurrence.index, occurrence.spelled, str(error), ""))
                    continue
                values.append(value)
                for fault in islice(value_faults(text, value, flag, self.catalogue, plugins), MOST_PROBLEMS):
                    spelled = f"{flag.name}.{fault.path}" if fault.path else occurrence.spelled
                    self.problems.append(Problem(occurrence.index, spelled, fault.rule, fault.remedy, fault.pluggable))
            self.occurrences[place] = Occurrence(flag, occurrence.index, occurrence.spelled, occurrence.texts, tuple(values), occurrence.negated)

    def check_repetitions(self) -> None:
        """Of a flag that is given twice vLLM takes the last; of JSON and dotted keys of one flag, the dotted keys alone."""
        given: dict[str, Occurrence] = {}
        for occurrence in self.occurrences:
            if occurrence.flag.kind is Kind.APPEND:
                continue
            if earlier := given.get(occurrence.flag.name):
                rule = f"says again what {earlier.spelled} at [{earlier.index}] says: vLLM takes one of them and ignores the other"
                remedy = "put all of it into one" if occurrence.flag.object or occurrence.flag.kind is Kind.LIST else "keep one of them"
                self.problems.append(Problem(occurrence.index, occurrence.spelled, rule, remedy))
            given[occurrence.flag.name] = occurrence

    def check_together(self) -> None:
        """What vLLM refuses of several flags that it takes one by one."""
        reading = Reading(tuple(self.occurrences), ())
        for rule in COMMAND_RULES:
            if rule.broken(reading):
                occurrence = reading.of(rule.flag)[-1]
                self.problems.append(Problem(occurrence.index, occurrence.spelled, rule.rule, rule.remedy))


def read(items: Sequence[str], catalogue: Catalogue) -> Reading:
    """What items that stand after the model say to the vLLM of a catalogue."""
    return _Reader(catalogue).read(items)
