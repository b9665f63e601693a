"""The command as a shell runs it, in this process."""

from dataclasses import dataclass

from typer.testing import CliRunner

from llmfleet.cli.main import app


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


def llmfleet(*arguments: str, given: str | bytes | None = None, columns: int = 160) -> Done:
    result = CliRunner().invoke(app, list(arguments), input=given, env={"COLUMNS": str(columns)})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
