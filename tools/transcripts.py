"""Commands of `llmfleet` in documents, with what they really print: `python -m tools.transcripts docs/cli.md` runs them and writes their output anew.

A transcript is a fenced block of `console`. A line that begins with `$ ` is a command, run from the repository's root; `$ echo $?` gives the status of the one
before. What follows is its output: standard error and output together, as a terminal shows them. A line of three dots stands for what follows up to the next
command and stays as it is.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from llmfleet.cli.main import app

COLUMNS: Final = "120"
BLOCK: Final = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
ELLIPSIS: Final = "..."


def refreshed(document: str) -> str:
    """The document with the output of every transcript as it is now."""
    return BLOCK.sub(lambda block: "".join(f"{line}\n" for line in _run(block[1].splitlines())), document)


def _run(lines: list[str]) -> Iterator[str]:
    status = 0
    for position, line in enumerate(lines):
        if not line.startswith("$ "):
            continue
        yield line
        if line == "$ echo $?":
            yield str(status)
            continue
        program, *arguments = shlex.split(line.removeprefix("$ "))
        if program != "llmfleet":
            raise ValueError(f"a transcript runs nothing but llmfleet: {line}")
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": COLUMNS})
        status = result.exit_code
        output = [printed.rstrip() for printed in result.output.splitlines()]
        yield from _shortened(output, _expected(lines[position + 1 :]))


def _expected(lines: list[str]) -> list[str]:
    """What stands there up to the next command."""
    end = next((position for position, line in enumerate(lines) if line.startswith("$ ")), len(lines))
    return lines[:end]


def _shortened(output: list[str], expected: list[str]) -> list[str]:
    """As many lines as were shown before the dots, and the dots."""
    return [*output[: expected.index(ELLIPSIS)], ELLIPSIS] if ELLIPSIS in expected else output


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
