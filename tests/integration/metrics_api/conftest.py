"""The chart's Secret and APIService, led to this machine's loopback: one for the cluster, so it goes after each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from tests.integration.operator_process import NAMESPACE, rendered_chart

API_SERVICE = "v1beta2.custom.metrics.k8s.io"
SECRET = "llmfleet-certificate"
SERVICE = "llmfleet"

InstallApi = Callable[[int], None]
"""Installs the APIService, or leads it elsewhere: to a port of the loopback."""


@pytest.fixture
def install_api(installed: Path, control_plane: ControlPlane, kubectl: Kubectl) -> Iterator[InstallApi]:
    """Install the APIService as the chart does; where nothing has been written to the Secret and the caBundle yet."""
    assert installed.exists()
    chart = {(doc["kind"], doc["metadata"]["name"]): doc for doc in rendered_chart()}
    secret, api_service = chart["Secret", SECRET], chart["APIService", API_SERVICE]
    kubectl.must("apply", "-f", "-", given=[secret, control_plane.loopback_service(NAMESPACE, SERVICE)])

    def install(port: int) -> None:
        api_service["spec"]["service"]["port"] = port
        kubectl.must("apply", "-f", "-", given=api_service)

    yield install
    kubectl.must("delete", "apiservice", API_SERVICE, "--ignore-not-found")
    kubectl.must("-n", NAMESPACE, "delete", f"secret/{SECRET}", f"service/{SERVICE}")
