"""A node as a value: its name, its addresses, its folders. Everything that a second node must not share is derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.locations import cache_folder

POD_RANGE = "10.244.0.0/16"
BRIDGE = "llmfleet-br"
HOST_IP = "10.99.0.1"
NETWORK_PREFIX_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Node:
    """One node, living in a network namespace of its own, joined to the host's bridge by a veth pair."""

    index: int
    cluster_state: Path

    @property
    def name(self) -> str:
        """The node's name in Kubernetes; node0 carries the control plane."""
        return f"node{self.index}"

    @property
    def namespace(self) -> str:
        """The network namespace."""
        return f"llmfleet-{self.name}"

    @property
    def host_interface(self) -> str:
        """The veth end on the host; the kernel allows fifteen characters."""
        return f"llmfleet-n{self.index}"

    @property
    def ip(self) -> str:
        """The node's address on the bridge's network."""
        return f"10.99.0.{self.index + 2}"

    @property
    def pod_range(self) -> str:
        """The addresses of this node's pods."""
        return f"10.244.{self.index}.0/24"

    @property
    def state(self) -> Path:
        """What belongs to this node alone."""
        return self.cluster_state / self.name

    @property
    def containerd_root(self) -> Path:
        """The content store: in the cache, so that images survive `down` and the next `up` skips the import."""
        return cache_folder() / "cluster" / "containerd" / self.name

    @property
    def containerd_state(self) -> Path:
        """Containerd's and runc's run-time files and mounts."""
        return self.state / "containerd"

    @property
    def socket(self) -> Path:
        """Containerd's socket."""
        return self.state / "containerd.sock"

    @property
    def pod_logs(self) -> Path:
        """The pods' log folder: with a shared one each kubelet deletes the logs of the other's pods."""
        return self.state / "pod-logs"

    @property
    def cni_addresses(self) -> Path:
        """Which pod has which address."""
        return self.state / "cni-addresses"

    @property
    def kubelet_port(self) -> int:
        """Where the API server reaches the kubelet."""
        return 10250 + 10 * self.index

    @property
    def kubelet_health_port(self) -> int:
        """The kubelet's health check."""
        return 10248 + 10 * self.index
