import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmfleet.api.facts import ModelFacts
from llmfleet_runtime.model.inspection import inspect
from llmfleet_runtime.model.message import termination_message
from llmfleet_runtime.model.source import Directory, parse
from llmfleet_runtime.model.store import open_store
from tests.integration.model_sources import models
from tests.unit.runtime.model import facts_schema
from tests.unit.runtime.model.giants import GIANTS

SCHEMA = Path(__file__).parents[4] / "docs/facts.schema.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def test_the_contract_is_what_the_operator_reads(schema: dict[str, Any]) -> None:
    assert schema == facts_schema.schema(), "renew it: python -m tests.unit.runtime.model.facts_schema > docs/facts.schema.json"


@pytest.mark.parametrize("config", [models.LLAMA, *GIANTS.values()])
def test_the_contract_is_what_the_runtime_writes(schema: dict[str, Any], config: dict[str, Any], tmp_path: Path) -> None:
    source = parse(str(models.single_file(tmp_path / "model", config)))
    assert isinstance(source, Directory)
    facts = inspect(source, open_store(source))
    for document in (facts, json.loads(termination_message(facts))):
        jsonschema.validate(document, schema)
        ModelFacts.model_validate(document, by_alias=True, by_name=False)
