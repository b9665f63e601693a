"""What the documents promise to list completely, they list."""

import re
from pathlib import Path

from llmfleet.names import ConditionType, Reason

DOCUMENTS = Path(__file__).parents[2]


def first_cells(document: str) -> set[str]:
    return set(re.findall(r"^\| ([A-Za-z]+) \|", (DOCUMENTS / document).read_text(), flags=re.MULTILINE))


def test_every_condition_type_and_reason_is_explained() -> None:
    explained = first_cells("docs/conditions.md") - {"type", "reason"}
    assert explained == {str(name) for name in (*ConditionType, *Reason)}


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for document in (*DOCUMENTS.glob("*.md"), *DOCUMENTS.glob("docs/*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []
