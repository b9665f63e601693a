"""`llmfleet validate`: what admission and the operator would say, in CI."""

import json
from dataclasses import dataclass

from llmfleet.cli.documents import Input
from llmfleet.cli.exit_status import ExitStatus
from llmfleet.cli.objects import Finding, findings, ours
from llmfleet.planning.review import Surroundings


@dataclass(frozen=True, slots=True)
class Validation:
    """What was said of an input."""

    checked: int
    """Objects of our API group."""
    skipped: int
    """Objects of others."""
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...]

    @property
    def refused(self) -> int:
        """Objects that are refused."""
        return len({id(finding.document) for finding in self.findings if not finding.violation.warning})

    @property
    def status(self) -> ExitStatus:
        """What cannot be read weighs more than what is refused: nobody knows what is in it."""
        if self.unreadable:
            return ExitStatus.USAGE
        return ExitStatus.REFUSED if self.refused else ExitStatus.OK

    @property
    def summary(self) -> str:
        """One line."""
        words = [f"{self.checked - self.refused} of {_count(self.checked, 'object')} valid"]
        if warnings := sum(finding.violation.warning for finding in self.findings):
            words.append(_count(warnings, "warning"))
        if self.skipped:
            words.append(f"{_count(self.skipped, 'object')} of other kinds skipped")
        return ", ".join(words)


def validate(given: Input, around: Surroundings) -> Validation:
    """Look at every object of the input."""
    checked = len(ours(given))
    return Validation(checked, len(given.objects) - checked, tuple(findings(given, around)), tuple(given.unreadable))


def as_json(validation: Validation) -> str:
    """For programs; a key never changes its meaning."""
    return json.dumps(
        {
            "checked": validation.checked,
            "refused": validation.refused,
            "skipped": validation.skipped,
            "unreadable": list(validation.unreadable),
            "findings": [
                {
                    "severity": "warning" if finding.violation.warning else "error",
                    "file": finding.document.file,
                    "line": finding.document.node.at(finding.violation.field).line,
                    "kind": finding.document.kind,
                    "namespace": finding.document.namespace,
                    "name": finding.document.name,
                    "reason": finding.violation.reason.value,
                    "field": finding.violation.field,
                    "value": finding.violation.value,
                    "rule": finding.violation.rule,
                    "remedy": finding.violation.remedy,
                    "message": finding.violation.message,
                }
                for finding in validation.findings
            ],
        },
        indent=2,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
