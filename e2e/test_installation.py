"""Uninstall and what it leaves behind. It takes the operator away for a while and brings it back, so nothing else may run beside it."""

import pytest

from e2e.fleet import RELEASE, SYSTEM, Fleet


@pytest.mark.timeout(600)
def test_an_uninstall_keeps_the_models_and_lets_namespaces_be_deleted_at_once(fleet: Fleet, namespace: str) -> None:
    service = {
        "apiVersion": "llmfleet.dev/v1alpha1",
        "kind": "LLMService",
        "metadata": {"name": "kept", "namespace": namespace},
        "spec": {"model": {"source": "pvc://models/tiny"}, "replicas": 0},
    }
    fleet.kubectl.must("apply", "-f", "-", given=service)
    fleet.kubectl.must("-n", namespace, "wait", "--for=condition=Ready", "llm/kept", "--timeout=60s")
    fleet.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "90s")
    try:
        assert fleet.kubectl.get("llm", "kept", namespace) is not None
        fleet.kubectl.must("delete", "namespace", "after-uninstall", "--ignore-not-found", "--timeout=30s")  # of a killed run
        fleet.kubectl.must("create", "namespace", "after-uninstall")
        # With the APIService left behind, the namespace controller would wait for it for ever.
        fleet.kubectl.must("delete", "namespace", "after-uninstall", "--timeout=30s")
        left = fleet.kubectl.must("-n", SYSTEM, "get", "deployments,services,pods,secrets,leases", "-o", "name").split()
        assert [name for name in left if "pod/" not in name] == []
    finally:
        fleet.install()
    fleet.kubectl.must("-n", namespace, "delete", "llm", "kept", "--timeout=30s")


def test_the_operators_pods_run_in_a_namespace_that_enforces_the_restricted_profile(fleet: Fleet) -> None:
    found = fleet.kubectl.get("namespace", SYSTEM, SYSTEM)
    assert found is not None
    assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = fleet.kubectl.items("pods", SYSTEM, "-l", "app.kubernetes.io/name=llmfleet")
    assert sum(pod["status"]["phase"] == "Running" for pod in pods) >= 2
