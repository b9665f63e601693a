"""A node's programs: containerd, kubelet and kube-proxy, how they start and what is left of their pods."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from e2e.cluster import kubeconfig, mounts, node_configuration, processes
from e2e.cluster.components import ControlPlaneSettings
from e2e.cluster.node import Node
from e2e.cluster.pki import Certificate
from e2e.cluster.processes import Process, Program
from e2e.cluster.python_packages import content_key

_CGROUPS = Path("/sys/fs/cgroup")
_SHIM = "containerd-shim"
_CONTAINER_LOG_LINKS = Path("/var/log/containers")  # fixed in the kubelet: legacyContainerLogsDir
_CNI_RESULTS = Path("/var/lib/cni/results")  # fixed in libcni as containerd uses it
_ROUNDS = 20  # a process may fork between the look at its group and its end; its child is found in the next round
_GROUP_SECONDS = 10.0


def write_files(node: Node, settings: ControlPlaneSettings) -> None:
    """Write the node's certificate and its programs' configuration."""
    settings.pki.ensure([Certificate(node.name, f"/O=system:nodes/CN=system:node:{node.name}", (f"DNS:{node.name}", f"IP:{node.ip}"))])
    for folder in (node.state / "cni", node.pod_logs, node.containerd_root):
        folder.mkdir(parents=True, exist_ok=True)
    kubeconfig.write(_kubeconfig(node), kubeconfig.render(settings.server, settings.pki, node.name))
    kubeconfig.write(_containerd_file(node), node_configuration.containerd(node))
    kubeconfig.write(node.state / "registries" / "_default" / "hosts.toml", node_configuration.registries())
    kubeconfig.write(node.state / "cni" / "10-llmfleet.conflist", node_configuration.cni(node))
    kubeconfig.write(_kubelet_file(node), node_configuration.kubelet(node, settings.pki))
    kubeconfig.write(_proxy_file(node), node_configuration.kube_proxy(node, settings.state / "kube-proxy.kubeconfig"))


def containerd(node: Node) -> Program:
    """Return the node's own containerd; a system-wide one, if there is any, is another."""
    return _program(f"containerd-{node.name}", ("containerd", "--config", str(_containerd_file(node))), node, _containerd_file(node))


def kubelet(node: Node, settings: ControlPlaneSettings) -> Program:
    """Return the kubelet."""
    command = (
        str(settings.binaries["kubelet"]), f"--kubeconfig={_kubeconfig(node)}", f"--config={_kubelet_file(node)}", f"--root-dir={node.state / 'kubelet'}",
        f"--hostname-override={node.name}", f"--node-ip={node.ip}",
    )  # fmt: skip
    return _program(f"kubelet-{node.name}", command, node, _kubelet_file(node))


def kube_proxy(node: Node, settings: ControlPlaneSettings) -> Program:
    """Return kube-proxy, whose rules live in the node's namespace."""
    return _program(f"kube-proxy-{node.name}", (str(settings.binaries["kube-proxy"]), f"--config={_proxy_file(node)}"), node, _proxy_file(node))


def is_shim(process: Process) -> bool:
    """Whether the process is the parent of a pod's containers."""
    try:
        return Path(f"/proc/{process.pid}/comm").read_text().startswith(_SHIM)
    except (FileNotFoundError, ProcessLookupError):
        return False


def end_pods(node: Node) -> int:
    """Kill every process in the control groups of this node's containers; return how many there were.

    They carry neither our mark nor a record, for containerd gives a container its own environment; their control group says whose they are.
    """
    ended = 0
    for _ in range(_ROUNDS):
        found = _processes_in(_container_groups(node))
        if not found:
            break
        processes.terminate(found, grace_seconds=0.0)
        ended += len(found)
    return ended


def processes_of(node: Node, container_id: str) -> list[Process]:
    """Return the processes of one container; none when it is another node's, or has ended."""
    return _processes_in(group for group in _container_groups(node) if group.name == container_id)


def _processes_in(groups: Iterable[Path]) -> list[Process]:
    found: dict[int, Process] = {}  # control groups of version 1 name each process once per controller
    for file in (file for group in groups for file in group.rglob("cgroup.procs")):
        with contextlib.suppress(OSError):  # a group that vanishes while we look
            for pid in map(int, file.read_text().split()):
                ticks = processes.start_ticks(pid)
                if ticks is not None:
                    found[pid] = Process(pid, ticks)
    return list(found.values())


def remove_traces(node: Node) -> None:
    """Remove what the node's programs leave outside the state folder; its processes must have ended."""
    for group in _container_groups(node):
        for folder in (*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group):
            remove_group(folder)
    for hierarchy in _hierarchies():
        with contextlib.suppress(OSError):  # not there, or another containerd's containers are in it
            (hierarchy / "k8s.io").rmdir()
    for link in _CONTAINER_LOG_LINKS.glob("*.log") if _CONTAINER_LOG_LINKS.is_dir() else []:
        if link.is_symlink() and str(link.readlink()).startswith(f"{node.pod_logs}/"):
            link.unlink()
    ours = set(_container_ids(node))
    for result in _CNI_RESULTS.iterdir() if _CNI_RESULTS.is_dir() else []:
        if ours.intersection(result.name.split("-")):
            result.unlink()
    for address in node.containerd_state.rglob("address"):  # a shim's socket lies in a folder shared with other containerds
        Path(address.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
    mounts.unmount_below(node.containerd_state)
    shutil.rmtree(node.cni_addresses, ignore_errors=True)


def remove_group(folder: Path) -> None:
    """Remove a control group, which is busy for a moment after its last process was killed: the kernel still gives gigabytes back.

    Raises:
        OSError: it is still busy after some seconds.

    """
    patience_ends = time.monotonic() + _GROUP_SECONDS
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > patience_ends:
                raise
            time.sleep(0.02)
        else:
            return


def _container_ids(node: Node) -> list[str]:
    """Return the containers that have, or had until containerd was killed, a process: each has a folder, made before its first process."""
    bundles = node.containerd_state / "io.containerd.runtime.v2.task" / "k8s.io"
    return sorted(path.name for path in bundles.iterdir()) if bundles.is_dir() else []


def _container_groups(node: Node) -> list[Path]:
    groups = [hierarchy / "k8s.io" / name for hierarchy in _hierarchies() for name in _container_ids(node)]
    return [group for group in groups if group.is_dir()]


def _hierarchies() -> list[Path]:
    """Return the roots of the control groups: one in version 2, one per controller in version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in sorted(_CGROUPS.iterdir()) if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()]


def _kubeconfig(node: Node) -> Path:
    return node.state / "kubelet.kubeconfig"


def _containerd_file(node: Node) -> Path:
    return node.state / "containerd.toml"


def _kubelet_file(node: Node) -> Path:
    return node.state / "kubelet.json"


def _proxy_file(node: Node) -> Path:
    return node.state / "kube-proxy.json"


def _program(name: str, command: tuple[str, ...], node: Node, configuration: Path) -> Program:
    return Program(name, command, node.namespace, fingerprint=content_key(files=[configuration]))
