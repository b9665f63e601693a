"""The files of a node: read back as their programs would, and shared with no other node."""

import json
import tomllib
from pathlib import Path

import pytest

from e2e.cluster import node_configuration
from e2e.cluster.node import Node
from e2e.cluster.pki import Pki

STATE = Path("/state")
FIRST, SECOND = Node(0, STATE), Node(1, STATE)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_nodes_share_no_name_address_folder_or_port() -> None:
    for attribute in (
        "name", "namespace", "host_interface", "ip", "pod_range", "state", "containerd_root", "containerd_state", "socket", "pod_logs",
        "cni_addresses", "kubelet_port", "kubelet_health_port",
    ):  # fmt: skip
        assert getattr(FIRST, attribute) != getattr(SECOND, attribute), attribute


def test_interface_name_fits_the_kernel() -> None:
    assert len(Node(7, STATE).host_interface) <= 15


def test_health_port_of_no_node_is_another_nodes_kubelet_port() -> None:
    nodes = [Node(index, STATE) for index in range(8)]
    assert {node.kubelet_port for node in nodes}.isdisjoint(node.kubelet_health_port for node in nodes)


def test_containerd_keeps_everything_in_the_nodes_folders() -> None:
    read = tomllib.loads(node_configuration.containerd(FIRST))
    cri = read["plugins"]["io.containerd.grpc.v1.cri"]
    assert (read["root"], read["state"], read["grpc"]["address"]) == (str(FIRST.containerd_root), "/state/node0/containerd", "/state/node0/containerd.sock")
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["containerd"]["runtimes"]["runc"]["options"]["Root"].startswith("/state/node0/")


def test_no_image_is_asked_for_outside_the_machine() -> None:
    read = tomllib.loads(node_configuration.registries())
    assert read["server"].startswith("http://127.0.0.1:")
    assert [host.startswith("http://127.0.0.1:") for host in read["host"]] == [True]
    cri = tomllib.loads(node_configuration.containerd(FIRST))["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["registry"]["config_path"] == "/state/node0/registries"


def test_pods_get_addresses_of_their_node() -> None:
    [bridge, _] = json.loads(node_configuration.cni(SECOND))["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]


def test_kubelet_talks_to_its_own_containerd_and_evicts_nothing() -> None:
    read = json.loads(node_configuration.kubelet(SECOND, Pki(STATE / "pki")))
    assert read["containerRuntimeEndpoint"] == "unix:///state/node1/containerd.sock"
    assert read["podLogsDir"] == "/state/node1/pod-logs"
    assert read["evictionHard"] == {}


def test_kube_proxy_leaves_the_machines_conntrack_limits_alone() -> None:
    read = json.loads(node_configuration.kube_proxy(FIRST, STATE / "kube-proxy.kubeconfig"))
    assert read["mode"] == "nftables"
    assert read["conntrack"]["maxPerCore"] == 0
