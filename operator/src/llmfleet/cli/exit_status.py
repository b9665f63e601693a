"""How the command ends: part of its interface, docs/cli.md has the table."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """A status never changes its meaning."""

    OK = 0
    """Done; warnings may have been said."""
    REFUSED = 1
    """What was looked at is refused, or does not fit."""
    USAGE = 2
    """The command line is wrong, or what it names cannot be read."""
    UNREACHABLE = 3
    """The cluster cannot be reached, or refuses to answer."""


class CommandError(Exception):
    """Ends the command: a message that says what to do next, and the exit status."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.USAGE) -> None:
        super().__init__(message)
        self.status = status
