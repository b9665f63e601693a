"""What people write, as a real API server keeps it or refuses it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.kubectl import Kubectl
from llmfleet.api.accelerator import AcceleratorProfileObject, built_in_profiles

BUILT_IN = built_in_profiles()


def profile(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_profile_could_be_an_object(name: str, installed: Path, kubectl: Kubectl) -> None:
    stored = kubectl.must("apply", "--dry-run=server", "--validate=strict", "-o", "yaml", "-f", "-", given=profile(name, **BUILT_IN[name].to_wire()))
    read = AcceleratorProfileObject.model_validate(yaml.safe_load(stored), strict=True, by_alias=True, by_name=False)
    assert read.spec == BUILT_IN[name]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"computeCapability": "9.0"}, "set vendor: nvidia, or remove it"),
        ({"computeCapability": "9.0", "vendor": "amd"}, "set vendor: nvidia, or remove it"),
        ({"computeCapability": "90", "vendor": "nvidia"}, "such as 8.0 or 10.0"),
        ({"resourceName": "gpu"}, "such as nvidia.com/gpu"),
        ({"perNode": 8}, "set resourceName, or remove perNode"),
        ({"memory": "80GB"}, "must be a Kubernetes quantity"),
        ({"vendor": "acme"}, 'supported values: "nvidia"'),
        ({"images": {"*": "with space:1"}}, "spec.images"),
        ({"images": {"v0.32.0": "mine:1"}}, "such as 0.32.0 without a v"),
        ({"computeCapabilty": "9.0"}, 'unknown field "spec.computeCapabilty"'),
    ],
)
def test_a_wrong_profile_is_refused_where_it_is_written(spec: dict[str, Any], words: str, installed: Path, kubectl: Kubectl) -> None:
    answer = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=profile("wrong", **spec))
    assert answer.returncode != 0
    assert words in answer.stderr


def test_the_short_name_shows_what_a_person_looks_for(installed: Path, kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", given=profile("shown", **BUILT_IN["nvidia-h100-80gb"].to_wire()))
    header, row = kubectl.must("get", "accel", "shown").splitlines()
    assert header.split()[:2] == ["NAME", "RESOURCE"]
    assert row.split()[:5] == ["shown", "nvidia.com/gpu", "81559Mi", "9.0", "8"]


TEMPLATE = {"metadata": {"labels": {"team": "a"}}, "spec": {"nodeSelector": {"nvidia.com/gpu.product": None, "a": "b"}, "runtimeClassName": None}}


def stored_template(kubectl: Kubectl, namespace: str, *way: str) -> Any:
    """What is kept of TEMPLATE when it is written in this way."""
    metadata = {"name": "one", "namespace": namespace}
    spec = {"model": {"source": "hf://a/b"}, "template": TEMPLATE}
    kubectl.must(*way, "-f", "-", given={"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": spec})
    stored = kubectl.get("llm", "one", namespace)
    assert stored is not None
    return stored["spec"]["template"]


@pytest.mark.parametrize("way", [("apply", "--server-side", "--field-manager=test"), ("create",)])
def test_a_null_in_the_template_is_kept(way: tuple[str, ...], installed: Path, kubectl: Kubectl, namespace: str) -> None:
    assert stored_template(kubectl, namespace, *way) == TEMPLATE


def test_a_client_side_apply_drops_nulls_before_anyone_sees_them(installed: Path, kubectl: Kubectl, namespace: str) -> None:
    """Hence the word about --server-side where a null is recommended."""
    assert stored_template(kubectl, namespace, "apply")["spec"] == {"nodeSelector": {"a": "b"}}


def test_every_example_is_taken(installed: Path, kubectl: Kubectl, namespace: str) -> None:
    examples = Path(__file__).parents[3] / "examples"
    kubectl.must("-n", namespace, "apply", "--dry-run=server", "--validate=strict", "-f", str(examples))
