"""`llmfleet status` against a real API server, with the rights of whoever asks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from tests.integration.operator_process import Operator, service


def status(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig), "COLUMNS": "160"}
    return subprocess.run([sys.executable, "-m", "llmfleet", "status", *arguments], env=environment, capture_output=True, text=True, check=False)


STATUS = {
    "observedGeneration": 1,
    "replicas": 2,
    "readyReplicas": 1,
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "Loading", "message": "1 of 2", "lastTransitionTime": "2026-11-21T00:00:00Z", "observedGeneration": 1}
    ],
}


@pytest.fixture
def fleet(kubectl: Kubectl, namespace: str, installed: Path) -> str:
    """A service of which a status is known, and no operator: what is shown is what is stored."""
    assert installed.exists()
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=2))
    kubectl.must("-n", namespace, "patch", "llm/one", "--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS}))
    return namespace


def test_the_fleet_is_one_line_for_each(fleet: str, control_plane: ControlPlane) -> None:
    done = status(control_plane.kubeconfig, "-n", fleet)
    assert done.returncode == 0, done.stderr
    header, line = done.stdout.splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "READY", "REASON", "ANSWERING", "FITS", "ENGINE", "MODEL"]
    assert line.split()[:2] == [fleet, "one"]
    assert fleet in status(control_plane.kubeconfig, "-A").stdout


def test_one_service_shows_every_fact_with_its_evidence(fleet: str, control_plane: ControlPlane) -> None:
    done = status(control_plane.kubeconfig, "one", "-n", fleet, "-o", "json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["services"]
    facts = {fact["fact"]: fact for fact in found["facts"]}
    assert facts["replicas"]["declared"] == "2"
    assert facts["model"]["declared"] == "pvc://models/tiny"
    assert "observed" in facts["Ready"]


def test_what_does_not_exist_and_who_may_not_ask_is_said(fleet: str, control_plane: ControlPlane, operator: Operator, tmp_path: Path) -> None:
    missing = status(control_plane.kubeconfig, "other", "-n", fleet)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert f"there is no LLMService {fleet}/other" in missing.stderr

    nobody = tmp_path / "nobody"
    nobody.write_text(control_plane.kubeconfig.read_text().replace("client-certificate", "x-client-certificate").replace("client-key", "x-client-key"))
    refused = status(nobody, "-n", fleet)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "error: https://" in refused.stderr

    gone = tmp_path / "gone"
    gone.write_text(control_plane.kubeconfig.read_text().replace(control_plane.server, "https://127.0.0.1:1"))
    assert status(gone, "-n", fleet).returncode == 3
    unset = status(tmp_path / "nowhere")
    assert unset.returncode == 3
    assert "set KUBECONFIG" in unset.stderr
