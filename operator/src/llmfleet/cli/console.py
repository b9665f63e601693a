"""Where tables go: a terminal with its colours, or a pipe without."""

import os
from typing import Final

from rich.console import Console
from rich.table import Table

PIPE_COLUMNS: Final = 140
"""Width of a table that goes to a file or a pipe, unless COLUMNS says otherwise."""


def console() -> Console:
    """Standard output. rich takes colours away by itself where there is no terminal, and where NO_COLOR is set."""
    # Fields are written with brackets: nothing is markup.
    made = Console(markup=False, highlight=False, emoji=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").strip("0"):
        made.width = PIPE_COLUMNS
    return made


def table(*columns: str, numbers: frozenset[str] = frozenset()) -> Table:
    """A table without a frame, as kubectl shows one; columns in `numbers` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def harmless(text: str) -> str:
    """What pods and people wrote may hold a terminal's control sequences: they are shown, not obeyed."""
    return "".join(character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in text)
