"""What docs/cli.md shows is what the command prints."""

from pathlib import Path

import pytest

from tools.transcripts import refreshed

REPOSITORY = Path(__file__).parents[3]


def test_the_documented_commands_print_what_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    document = Path("docs/cli.md").read_text(encoding="utf-8")
    assert "$ llmfleet plan" in document
    assert refreshed(document) == document, "stale: make generate"


def test_dots_stand_for_the_rest_of_an_output() -> None:
    shown = refreshed("```console\n$ llmfleet --help\nold\nold\n...\n$ echo $?\n7\n```\n")
    lines = shown.splitlines()
    assert lines[2].startswith("Usage: ")
    assert lines[4:] == ["...", "$ echo $?", "0", "```"]


def test_nothing_but_llmfleet_is_run() -> None:
    with pytest.raises(ValueError, match="runs nothing but llmfleet"):
        refreshed("```console\n$ rm -rf x\n```\n")
