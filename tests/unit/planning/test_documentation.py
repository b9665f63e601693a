"""docs/planning.md is what the present arithmetic says."""

from pathlib import Path

from llmfleet.planning.documentation import page
from tests.unit.planning.models import FACTS, example


def test_the_page_is_not_stale() -> None:
    models = {path.stem: example(path.stem) for path in sorted(FACTS.glob("*.json"))}

    assert len(models) == 10
    assert (Path(__file__).parents[3] / "docs" / "planning.md").read_text(encoding="utf-8") == page(models), "run: make generate"
