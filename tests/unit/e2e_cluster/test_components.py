"""The control plane's flags, in a cluster and alone."""

from pathlib import Path

import pytest

from e2e.cluster import components
from e2e.cluster.components import ControlPlaneSettings, Ports
from e2e.cluster.processes import Program

BINARIES = {name: Path("/bin") / name for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")}
ALONE = ControlPlaneSettings(Path("/state"), BINARIES, address="127.0.0.1", bind_address="127.0.0.1", ports=Ports(1, 2, 3))
CLUSTER = ControlPlaneSettings(Path("/state"), BINARIES, address="10.99.0.2", bind_address="0.0.0.0", network_namespace="llmfleet-node0")


def _flags(program: Program) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in program.command[1:])


@pytest.mark.parametrize("settings", [ALONE, CLUSTER])
def test_every_request_is_audited_before_it_is_answered(settings: ControlPlaneSettings) -> None:
    flags = _flags(components.api_server(settings))
    assert flags["audit-log-path"] == str(settings.audit_log)
    assert flags["audit-log-mode"] == "blocking-strict"
    assert {"level": "Metadata"} in components.AUDIT_POLICY["rules"]


def test_alone_it_listens_on_the_loopback_and_has_no_endpoints() -> None:
    flags = _flags(components.api_server(ALONE))
    assert (flags["bind-address"], flags["secure-port"], flags["endpoint-reconciler-type"]) == ("127.0.0.1", "3", "none")


def test_cluster_advertises_the_address_that_pods_reach() -> None:
    flags = _flags(components.api_server(CLUSTER))
    assert flags["advertise-address"] == "10.99.0.2"
    assert "endpoint-reconciler-type" not in flags


def test_api_server_finds_etcd() -> None:
    assert _flags(components.api_server(ALONE))["etcd-servers"] == _flags(components.etcd(ALONE))["listen-client-urls"]


def test_alone_the_controller_manager_serves_nothing() -> None:
    assert _flags(components.controller_manager(ALONE))["secure-port"] == "0"
    assert "secure-port" not in _flags(components.controller_manager(CLUSTER))


def test_autoscaling_is_looked_at_every_five_seconds() -> None:
    assert _flags(components.controller_manager(CLUSTER))["horizontal-pod-autoscaler-sync-period"] == "5s"


def test_programs_of_a_cluster_run_in_the_nodes_namespace() -> None:
    assert components.scheduler(CLUSTER).network_namespace == "llmfleet-node0"
    assert components.etcd(ALONE).network_namespace is None
