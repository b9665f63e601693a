import re
from pathlib import Path

from llmfleet_runtime.model.failure import Reason
from llmfleet_runtime.model.message import STEPS
from llmfleet_runtime.model.progress import Phase
from llmfleet_runtime.model.tensors import PATTERNS

PAGE = (Path(__file__).parents[4] / "docs/model-inspection.md").read_text()


def first_cells(after: str) -> list[str]:
    """First column of the first table after a line."""
    table = PAGE.split(after, 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| ([A-Za-z]+) \|", table, flags=re.MULTILINE)


def test_every_reason_is_explained() -> None:
    assert first_cells("| reason | meaning | what to do |\n") == list(Reason)


def test_the_parts_are_told_in_the_order_in_which_they_are_tried() -> None:
    assert first_cells("| part | names |\n") == list(dict.fromkeys(part for part, _ in PATTERNS))


def test_every_step_of_dropping_is_told() -> None:
    assert re.findall(r"^(\d)\. ", PAGE, flags=re.MULTILINE) == [str(number + 1) for number in range(len(STEPS))]


def test_every_phase_is_named() -> None:
    assert all(phase in PAGE for phase in Phase)
