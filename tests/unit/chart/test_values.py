"""The chart's values: generated schema, documented defaults, and the settings they become."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from llmfleet.server import values_schema
from llmfleet.server.settings import Settings
from llmfleet.server.values_schema import SET_BY_THE_CHART

CHART = Path(__file__).parents[3] / "charts/llmfleet"
CRDS = Path(__file__).parents[3] / "crds"


@pytest.fixture
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def refusals(values: dict[str, Any]) -> list[str]:
    validator = jsonschema.validators.validator_for(values_schema.schema())(values_schema.schema())
    return [error.message for error in validator.iter_errors(values)]


def test_the_schema_file_is_generated() -> None:
    stored = (CHART / "values.schema.json").read_text()
    assert stored == values_schema.rendered(), "stale: run `make generate`"


def test_the_charts_copy_of_the_crds_is_the_repositorys() -> None:
    stored = {path.name: path.read_text() for path in (CHART / "files").glob("*.yaml")}
    assert stored == {path.name: path.read_text() for path in CRDS.glob("*.yaml")}, "stale: run `make generate`"


def test_the_defaults_are_accepted(values: dict[str, Any]) -> None:
    assert refusals(values) == []


def test_every_value_stands_in_values_yaml_with_its_default(values: dict[str, Any]) -> None:
    schema = values_schema.schema()
    assert values.keys() == schema["properties"].keys() - {"global"}
    assert values["operator"] == {name: part["default"] for name, part in schema["$defs"]["Operator"]["properties"].items()}


def test_every_setting_reaches_the_process() -> None:
    deployment = (CHART / "templates/deployment.yaml").read_text()
    assert [name for name in sorted(SET_BY_THE_CHART) if f"name: LLMFLEET_{name.upper()}\n" not in deployment] == []
    assert Settings.model_fields.keys() >= SET_BY_THE_CHART


@pytest.mark.parametrize(
    "change",
    [
        {"replica": 2},
        {"replicas": "2"},
        {"image": {"repository": "x", "tags": "1"}},
        {"operator": {"logLevel": "loud"}},
        {"operator": {"loglevel": "info"}},
        {"operator": {"workers": 0}},
        {"operator": {"namespace": "elsewhere"}},
        {"metricsApi": {"enabled": "yes"}},
        {"resources": {"request": {"cpu": 1}}},
        {"tolerations": [{"keys": "x"}]},
    ],
    ids=json.dumps,
)
def test_misspelt_and_ill_typed_values_are_refused(values: dict[str, Any], change: dict[str, Any]) -> None:
    assert refusals({**values, **change}) != []


def test_the_values_of_a_parent_chart_are_no_error(values: dict[str, Any]) -> None:
    assert refusals({**values, "global": {"imageRegistry": "registry.example"}}) == []
