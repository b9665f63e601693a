"""The nodes' network: namespaces, one bridge on the host, a veth pair per node. The host's own interfaces, addresses and firewall rules stay untouched.

Everything here asks first and then acts, so it can be repeated after an interruption at any line.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import mounts
from e2e.cluster.node import BRIDGE, HOST_IP, NETWORK_PREFIX_LENGTH, Node

_NAMESPACES = Path("/run/netns")


def ensure(nodes: Sequence[Node]) -> None:
    """Make the bridge, and each node's namespace with its addresses and its routes to the other nodes' pods."""
    if not _exists(BRIDGE):
        _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "replace", f"{HOST_IP}/{NETWORK_PREFIX_LENGTH}", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for node in nodes:
        _ensure_node(node)
    for node in nodes:
        for other in nodes:
            if other != node:
                _ip("-n", node.namespace, "route", "replace", other.pod_range, "via", other.ip)


def remove(nodes: Sequence[Node]) -> None:
    """Remove what `ensure` made; what is not there is no error."""
    for node in nodes:
        remove_node(node)
    if _exists(BRIDGE):
        _ip("link", "delete", BRIDGE)
    if _NAMESPACES.is_dir() and not any(_NAMESPACES.iterdir()):  # `ip netns add` makes it, and mounts it on itself, for the first namespace
        mounts.unmount_below(_NAMESPACES)
        _NAMESPACES.rmdir()


def remove_node(node: Node) -> None:
    """Remove what belongs to one node; the others' routes to its pods lead to nobody then."""
    if namespace_exists(node):
        _ip("netns", "delete", node.namespace)
    if _exists(node.host_interface):  # the kernel removes it with its peer, only not at once
        subprocess.run(["ip", "link", "delete", node.host_interface], capture_output=True, check=False)


def namespace_exists(node: Node) -> bool:
    """Whether the node's namespace is there and is a mount, not the file that a killed `ip netns add` leaves."""
    return (_NAMESPACES / node.namespace).is_mount() or _is_namespace(node)


def _is_namespace(node: Node) -> bool:
    return subprocess.run(["ip", "netns", "exec", node.namespace, "true"], capture_output=True, check=False).returncode == 0


def _ensure_node(node: Node) -> None:
    if not namespace_exists(node):
        (_NAMESPACES / node.namespace).unlink(missing_ok=True)
        _ip("netns", "add", node.namespace)
    if not _exists("eth0", node.namespace):
        if _exists(node.host_interface):
            _ip("link", "delete", node.host_interface)
        _ip("link", "add", node.host_interface, "type", "veth", "peer", "name", "eth0", "netns", node.namespace)
    _ip("link", "set", node.host_interface, "master", BRIDGE, "up")
    _ip("-n", node.namespace, "addr", "replace", f"{node.ip}/{NETWORK_PREFIX_LENGTH}", "dev", "eth0")
    for interface in ("lo", "eth0"):
        _ip("-n", node.namespace, "link", "set", interface, "up")
    _ip("-n", node.namespace, "route", "replace", "default", "via", HOST_IP)
    # A setting of the namespace, not of the machine; without the program sysctl, which a small machine lacks.
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    subprocess.run(["nsenter", f"--net=/run/netns/{node.namespace}", "sh", "-c", forward], check=True)


def _exists(interface: str, namespace: str | None = None) -> bool:
    scope = [] if namespace is None else ["-n", namespace]
    listed = subprocess.run(["ip", *scope, "-json", "link", "show"], capture_output=True, text=True, check=True).stdout
    return any(link["ifname"] == interface for link in json.loads(listed))


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
