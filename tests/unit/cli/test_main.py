"""The verbs that need no cluster."""

from pathlib import Path

import yaml
from typer.testing import CliRunner

from llmfleet.api.crd import llmservice_crd
from llmfleet.cli.main import app

REPOSITORY = Path(__file__).parents[3]


def test_crds_prints_what_kubectl_applies() -> None:
    result = CliRunner().invoke(app, ["crds"])
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout) == llmservice_crd()


def test_crds_writes_the_file(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["crds", "--output-dir", str(tmp_path / "crds")]).exit_code == 0
    assert [path.name for path in (tmp_path / "crds").iterdir()] == ["llmfleet.dev_llmservices.yaml"]


def test_the_reference_in_docs_is_fresh() -> None:
    printed = CliRunner().invoke(app, ["crds", "--reference"]).stdout
    assert (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8") == printed, "stale: run llmfleet crds --reference > docs/reference.md"


def test_without_a_verb_it_helps() -> None:
    assert "crds" in CliRunner().invoke(app, []).output
