"""What is rendered is taken by a real API server, field by field, in a namespace that enforces the restricted pod security profile."""

from typing import Any

import pytest

from e2e.kubectl import Kubectl
from llmfleet.resources.blueprint import Manifest
from llmfleet.resources.children import children
from llmfleet.resources.model_jobs import claim, download, inspection
from tests.unit.resources.blueprints import blueprint
from tests.unit.resources.specifications import SPECS


@pytest.fixture
def restricted(kubectl: Kubectl, namespace: str) -> str:
    """A namespace in which a pod outside the profile cannot be made."""
    kubectl.must("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
    return namespace


def rendered(spec: dict[str, Any], namespace: str) -> list[Manifest]:
    wanted = blueprint(spec)
    prepared = [manifest for manifest in (inspection(wanted), claim(wanted), download(wanted)) if manifest is not None]
    manifests = [*children(wanted), *prepared]
    return [{**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}} for manifest in manifests]


@pytest.mark.parametrize("name", SPECS)
def test_manifests_are_taken_with_strict_field_validation(name: str, kubectl: Kubectl, restricted: str) -> None:
    manifests = rendered(SPECS[name], restricted)
    answer = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=test", "-f", "-", given=manifests)
    assert answer.returncode == 0, answer.stderr
    assert "would violate PodSecurity" not in answer.stderr


@pytest.mark.parametrize("name", SPECS)
def test_pods_are_admitted_under_the_restricted_profile(name: str, kubectl: Kubectl, restricted: str) -> None:
    templates = [manifest["spec"]["template"] for manifest in rendered(SPECS[name], restricted) if "template" in manifest.get("spec", {})]
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": f"pod-{number}", "namespace": restricted},
            # Admission looks the account and the classes up; the profile is all that is in question here.
            "spec": {key: value for key, value in template["spec"].items() if key not in ("serviceAccountName", "priorityClassName", "runtimeClassName")},
        }
        for number, template in enumerate(templates)
    ]
    kubectl("-n", restricted, "create", "serviceaccount", "default")
    answer = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", given=pods)
    assert answer.returncode == 0, answer.stderr


def test_the_profile_really_is_enforced_here(kubectl: Kubectl, restricted: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": restricted}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    kubectl("-n", restricted, "create", "serviceaccount", "default")
    assert "violates PodSecurity" in kubectl("create", "--dry-run=server", "-f", "-", given=pod).stderr
