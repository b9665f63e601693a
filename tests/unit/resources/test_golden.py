"""What the operator would apply, byte for byte. Regenerate with `UPDATE_GOLDEN=1 pytest tests/unit/resources`, and read the difference."""

import json
import os
from pathlib import Path

import pytest
import yaml

from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.resources.children import children
from llmfleet.resources.model_jobs import claim, download, inspection
from tests.unit.resources.blueprints import blueprint
from tests.unit.resources.specifications import SPECS

GOLDEN = Path(__file__).parent / "golden"


def prepared(wanted: Blueprint) -> list[Manifest]:
    """What comes before the engines."""
    return [manifest for manifest in (inspection(wanted), claim(wanted), download(wanted)) if manifest is not None]


@pytest.mark.parametrize("part", ["children", "preparation"])
@pytest.mark.parametrize("name", SPECS)
def test_manifests_are_rendered_as_reviewed(name: str, part: str) -> None:
    wanted = blueprint(SPECS[name], configuration={"settings": "0123456789abcdef"} if "configmap" in name else {})
    manifests = list(children(wanted)) if part == "children" else prepared(wanted)
    rendered = yaml.safe_dump_all(json.loads(json.dumps(manifests)), sort_keys=False, width=150)
    path = GOLDEN / (f"{name}.yaml" if part == "children" else f"{name}.preparation.yaml")
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(rendered)
    assert path.read_text() == rendered


def test_every_golden_file_belongs_to_a_specification() -> None:
    assert {path.name.split(".")[0] for path in GOLDEN.iterdir()} == set(SPECS)
