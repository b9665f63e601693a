"""The reasons of docs/troubleshooting.md, from the runtime's table of failures: `python -m tools.troubleshooting docs/troubleshooting.md` writes them anew.

What stands before the marker is written by hand and stays.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from llmfleet_runtime import failure_patterns
from llmfleet_runtime.failure_patterns import PATTERNS, REMEDIES, RUN, Pattern, Reason
from llmfleet_runtime.failures import classify
from llmfleet_runtime.output import ErrorLines

MARKER: Final = "<!-- make generate writes what follows, from runtime/src/llmfleet_runtime/failure_patterns -->\n"

MESSAGE_CHARACTERS: Final = 240
"""Of a message that is shown: enough to know it again."""


def refreshed(document: str) -> str:
    """The document with every reason as the table has it now; ValueError where it has no marker."""
    head, marker, _ = document.partition(MARKER)
    if not marker:
        raise ValueError(f"no line {MARKER.strip()!r}")
    return head + marker + "".join(f"{line}\n" for line in _reasons())


def _reasons() -> Iterator[str]:
    meanings = _meanings()
    for reason in Reason:
        yield ""
        yield f"### {reason}"
        yield ""
        yield f"{meanings[reason.name]} In general: {REMEDIES[reason]}."
        yield ""
        yield "| what is told | what to do | who writes it |"
        yield "|---|---|---|"
        for row in PATTERNS:
            if row.reason is reason:
                yield f"| {_code(_message(row))} | {_cell(_remedy(row))} | {'seen here' if row.source == RUN else _cell(row.source)} |"


def _meanings() -> dict[str, str]:
    """The sentence that follows each reason in its module: Python keeps none of these."""
    source = Path(str(failure_patterns.__file__)).with_name("reason.py").read_text(encoding="utf-8")
    (listed,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    found: dict[str, str] = {}
    for assigned, explained in zip(listed.body, listed.body[1:], strict=False):
        if isinstance(assigned, ast.Assign) and isinstance(assigned.targets[0], ast.Name) and isinstance(explained, ast.Expr):
            found[assigned.targets[0].id] = str(ast.literal_eval(explained.value))
    return found


def _lines(row: Pattern) -> list[str]:
    errors = ErrorLines(lambda: 0.0)
    for line in row.example.splitlines():
        errors.feed(line)
    return errors.lines()


def _message(row: Pattern) -> str:
    message = classify(1, _lines(row)).message
    return message if len(message) <= MESSAGE_CHARACTERS else f"{message[:MESSAGE_CHARACTERS].rstrip()} ..."


def _remedy(row: Pattern) -> str:
    return classify(1, _lines(row)).remedy


def _code(text: str) -> str:
    """As code in a table, where a backtick ends code and a bar ends a cell."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
