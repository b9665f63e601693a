"""What docs/troubleshooting.md says of failures is what the runtime's table says."""

from pathlib import Path

import pytest

from llmfleet_runtime.failure_patterns import PATTERNS, Reason
from tools.troubleshooting import MARKER, refreshed

DOCUMENT = Path(__file__).parents[3] / "docs/troubleshooting.md"


def test_the_document_has_the_table_as_it_is() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert refreshed(document) == document, "stale: make generate"


def test_every_reason_is_a_heading_with_all_of_its_rows() -> None:
    document = refreshed(MARKER)
    assert [line.removeprefix("### ") for line in document.splitlines() if line.startswith("### ")] == list(Reason)
    rows = [line for line in document.splitlines() if line.startswith("| ") and not line.startswith("| what is told")]
    assert len(rows) == len(PATTERNS)
    assert all(line.replace("\\|", "").count("|") == 4 for line in rows)


def test_what_is_written_by_hand_stays() -> None:
    assert refreshed(f"by hand\n{MARKER}old\n").startswith(f"by hand\n{MARKER}\n### ")


def test_a_document_without_the_marker_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no line"):
        refreshed("by hand")
