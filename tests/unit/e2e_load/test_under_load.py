"""What counts as lost, and the table of it."""

from dataclasses import replace

import pytest

from e2e.load import Answer
from e2e.under_load import Phase, table, whole

WHOLE = Answer(0, "raw", "kept", True, 1.0, 1.5, 200, 8, "length", True, None, 3, 0.5, None)
CUT = replace(WHOLE, tokens=0, finish_reason=None, done=False, error="IncompleteRead")
REFUSED = replace(WHOLE, status=None, tokens=0, finish_reason=None, done=False, error="Connection refused", client="openai", connection="new", streamed=False)


def test_an_answer_is_whole_only_with_marker_reason_and_every_token() -> None:
    assert whole(WHOLE, 8)


@pytest.mark.parametrize(
    "answer", [CUT, REFUSED, replace(WHOLE, tokens=7), replace(WHOLE, finish_reason="abort"), replace(WHOLE, done=False), replace(WHOLE, error="no")]
)
def test_an_answer_that_lacks_one_of_them_is_lost(answer: Answer) -> None:
    assert not whole(answer, 8)


def test_the_table_counts_each_disruption_and_sums_only_those_that_may_cost_nothing() -> None:
    phases = [
        Phase("scale", 0.0, True, 10.0, [WHOLE] * 3),
        Phase("drain", 10.0, True, 15.0, [WHOLE, CUT, REFUSED]),
        Phase("kill", 15.0, False, 18.0, [CUT]),
    ]
    head, *lines = table(phases, 8).splitlines()
    columns = head.split()[1:8]
    rows = {line.split()[0]: dict(zip(columns, map(int, line.split()[1:8]), strict=True)) for line in lines[:2]}
    assert rows["scale"] == {"s": 10, "requests": 3, "streams": 3, "kept": 3, "openai": 0, "failed": 0, "cut": 0}
    assert rows["drain"] == {"s": 5, "requests": 3, "streams": 2, "kept": 2, "openai": 1, "failed": 1, "cut": 1}
    assert lines[2].split()[3:10] == ["15", "6", "5", "5", "1", "1", "1"]
    assert lines[3].split()[0] == "kill"
    assert len(lines) == 7
    assert "Connection refused" in table(phases, 8)
