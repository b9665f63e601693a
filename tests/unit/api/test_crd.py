"""The CustomResourceDefinition and its file."""

from pathlib import Path

from llmfleet.api.crd import COLUMNS, FILE_NAME, llmservice_crd, llmservice_crd_yaml

REPOSITORY = Path(__file__).parents[3]
VERSION = llmservice_crd()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]


def test_the_file_in_crds_is_fresh() -> None:
    assert (REPOSITORY / "crds" / FILE_NAME).read_text(encoding="utf-8") == llmservice_crd_yaml(), "stale: run llmfleet crds --output-dir crds"


def test_the_file_fits_into_the_annotation_of_a_client_side_apply() -> None:
    assert len(llmservice_crd_yaml()) < 256 * 1024


def test_the_file_has_no_anchors() -> None:
    assert "&id" not in llmservice_crd_yaml()


def test_kubectl_scale_finds_replicas_and_selector() -> None:
    scale = VERSION["subresources"]["scale"]
    for path in scale.values():
        _, part, field = path.split(".")
        assert field in ROOT["properties"][part]["properties"]


def test_kubectl_get_says_whether_and_why() -> None:
    assert [column["name"] for column in COLUMNS if not column.get("priority")] == ["Ready", "Reason", "Replicas", "Answering", "Model", "Age"]


def test_the_refusal_of_two_owners_of_replicas_names_the_object() -> None:
    rule = next(rule for rule in ROOT["x-kubernetes-validations"] if rule.get("fieldPath") == ".spec.replicas")
    assert 'kubectl patch llm NAME --type=json -p \'[{"op":"remove","path":"/spec/replicas"}]\'' in rule["message"]
    assert "self.metadata.name" in rule["messageExpression"]


def test_replicas_has_no_default_or_autoscaling_could_never_be_chosen() -> None:
    assert "default" not in ROOT["properties"]["spec"]["properties"]["replicas"]
