"""Every example passes the checks that the operator makes, says at its top what it is for, and those on a volume suit the demo cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmfleet.api.accelerator import AcceleratorProfileObject
from llmfleet.api.v1alpha1 import LLMService
from llmfleet.planning.checks import Subject, violations
from llmfleet.planning.parse import parse
from llmfleet.planning.profiles import profiles_with

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
DEMO_IMAGE = "localhost/vllm-cpu:0.32.0"


def documents(path: Path, kind: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document["kind"] == kind]


def manifest(path: Path) -> dict[str, Any]:
    """The service of an example: each has one."""
    (found,) = documents(path, "LLMService")
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_accepted(path: Path) -> None:
    service = parse(manifest(path))
    assert isinstance(service, LLMService), [violation.message for violation in service]
    profiles = profiles_with(documents(path, "AcceleratorProfile")).valid
    found = violations(Subject(name=service.metadata.name, spec=service.spec, profiles=profiles))
    assert [violation.message for violation in found] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_profiles_can_be_read(path: Path) -> None:
    for document in documents(path, "AcceleratorProfile"):
        AcceleratorProfileObject.model_validate(document, strict=True, by_alias=True, by_name=False)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_begins_with_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_the_names_differ_so_that_all_fit_into_one_namespace() -> None:
    names = [manifest(path)["metadata"]["name"] for path in EXAMPLES]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.stem.startswith("pvc-")], ids=lambda path: path.stem)
def test_one_on_a_volume_fits_the_demo_cluster(path: Path) -> None:
    spec = manifest(path)["spec"]
    assert spec["model"]["source"] == "pvc://models/tiny"
    assert spec["engine"]["image"] == DEMO_IMAGE
    assert spec["accelerator"]["profile"] == "cpu"
    assert max(spec.get("replicas", 1), spec.get("autoscaling", {}).get("maxReplicas", 1)) <= 2, "more than two engines do not fit a small machine"
