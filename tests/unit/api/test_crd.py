"""The CustomResourceDefinitions and their files."""

from pathlib import Path

import pytest
import yaml

from llmfleet.api.crd import COLUMNS, accelerator_profile_crd, crds, llmservice_crd

REPOSITORY = Path(__file__).parents[3]
VERSION = llmservice_crd()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]


FILES = pytest.mark.parametrize(("name", "content"), crds())


@FILES
@pytest.mark.parametrize("folder", ["crds", "charts/llmfleet/files"])
def test_the_files_are_fresh(folder: str, name: str, content: str) -> None:
    assert (REPOSITORY / folder / name).read_text(encoding="utf-8") == content, "stale: run make generate"


def test_there_is_a_file_for_each_kind_and_no_other() -> None:
    assert sorted(path.name for path in (REPOSITORY / "crds").iterdir()) == sorted(name for name, _ in crds())
    assert [name for name, _ in crds()] == ["llmfleet.dev_llmservices.yaml", "llmfleet.dev_acceleratorprofiles.yaml"]


@FILES
def test_a_file_fits_into_the_annotation_of_a_client_side_apply(name: str, content: str) -> None:
    assert len(content) < 256 * 1024, name


@FILES
def test_a_file_has_no_anchors(name: str, content: str) -> None:
    assert "&id" not in content, name


@FILES
def test_a_file_is_named_as_controller_gen_names_it(name: str, content: str) -> None:
    spec = yaml.safe_load(content)["spec"]
    assert name == f"{spec['group']}_{spec['names']['plural']}.yaml"


def test_a_profile_is_of_the_whole_cluster_and_has_no_status() -> None:
    spec = accelerator_profile_crd()["spec"]
    assert (spec["scope"], spec["names"]["shortNames"]) == ("Cluster", ["accel"])
    (version,) = spec["versions"]
    assert "subresources" not in version
    assert "status" not in version["schema"]["openAPIV3Schema"]["properties"]


def test_kubectl_scale_finds_replicas_and_selector() -> None:
    scale = VERSION["subresources"]["scale"]
    for path in scale.values():
        _, part, field = path.split(".")
        assert field in ROOT["properties"][part]["properties"]


def test_kubectl_get_says_whether_and_why() -> None:
    assert [column["name"] for column in COLUMNS if not column.get("priority")] == ["Ready", "Reason", "Replicas", "Answering", "Model", "Download", "Age"]


def test_the_refusal_of_two_owners_of_replicas_names_the_object() -> None:
    rule = next(rule for rule in ROOT["x-kubernetes-validations"] if rule.get("fieldPath") == ".spec.replicas")
    assert 'kubectl patch llm NAME --type=json -p \'[{"op":"remove","path":"/spec/replicas"}]\'' in rule["message"]
    assert "self.metadata.name" in rule["messageExpression"]


def test_replicas_has_no_default_or_autoscaling_could_never_be_chosen() -> None:
    assert "default" not in ROOT["properties"]["spec"]["properties"]["replicas"]
