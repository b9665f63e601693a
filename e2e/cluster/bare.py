"""A cluster of processes on this machine, as root, on Debian: each node in a network namespace of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from e2e.cluster import (
    addons,
    binaries,
    components,
    controlplane,
    images,
    mounts,
    network,
    node_processes,
    packages,
    prerequisites,
    processes,
    sysctls,
    tiny_model,
)
from e2e.cluster.components import ControlPlaneSettings
from e2e.cluster.containerd import Containerd
from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import cache_folder, state_folder
from e2e.cluster.node import Node
from e2e.cluster.processes import Process, Program, Supervisor
from e2e.cluster.progress import say, step
from e2e.cluster.provider import ACCELERATOR, Component
from e2e.cluster.readiness import ApiClient, NotReadyError, wait_until

_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "pause")
_READY_SECONDS = 120.0  # seen: 4 for the API server, 5 for a node, 8 for DNS; a busy machine takes several times that
MAX_NODES = 8
_DRAIN_SECONDS = 60
_ALWAYS_LOADED = ("pause", "coredns")


class BareCluster:
    """The `bare` provider; see ClusterProvider."""

    def __init__(self, *, nodes: int = 1, accelerators: int = 4) -> None:
        if not 1 <= nodes <= MAX_NODES:
            raise ValueError(f"between 1 and {MAX_NODES} nodes, not {nodes}")
        self._state = state_folder()
        self._nodes = [Node(index, self._state) for index in range(nodes)]
        self._accelerators = accelerators
        self._supervisor = Supervisor(self._state)

    def kubeconfig(self) -> Path:
        """See ClusterProvider."""
        return self._state / "kubeconfig"

    def audit_log(self) -> Path:
        """See ClusterProvider."""
        return self._state / "audit.log"

    def up(self) -> None:
        """See ClusterProvider."""
        prerequisites.check(root=True)
        controlplane.end_orphans()
        packages.ensure()
        paths = binaries.ensure((*_PROGRAMS, "helm"))
        with self._lock():
            settings = self._settings(paths)
            self._state.mkdir(parents=True, exist_ok=True)
            self._end_unrecorded()
            if any(not network.namespace_exists(node) for node in (self._nodes[0], *self._present_nodes())):
                self._end_everything()  # processes of a namespace that is gone, or half of a first start: begin again
            if any(not network.namespace_exists(node) for node in self._nodes):
                with step("network namespaces, bridge and routes"):
                    network.ensure(self._nodes)
            self._start_control_plane(settings)
            for node in self._all_nodes():
                if node not in self._nodes and node.state.is_dir():  # the folder goes last, so a removal that was killed is repeated
                    self._remove_node(node, settings)
            addons.apply_pod_policy(self._client())
            sysctls.remember(self._state / "sysctls.json")
            for node in self._nodes:
                self._start_node(node, settings)
            self._start_dns()
            self.add_accelerators(ACCELERATOR, self._accelerators)

    def down(self, *, purge: bool = False) -> None:
        """See ClusterProvider."""
        prerequisites.check_root()
        controlplane.end_orphans()
        with self._lock():
            # The state folder is made first and removed last: without it nothing of ours is there, and what has our names is another cache's cluster.
            if self._state.is_dir():
                self._remove()
            else:
                say("there is no cluster")
            if purge:
                with step(f"delete {cache_folder()}"):
                    for child in cache_folder().iterdir():
                        if child.name != "cluster.lock":
                            mounts.remove_tree(child) if child.is_dir() else child.unlink()
        packages.ensure([])  # what a killed installation left half done, and its policy for services
        say(f"Debian packages stay installed: {', '.join(packages.NEEDED)}")
        if not purge:
            say(f"Programs and images stay in {cache_folder()}, so the next `up` is quick; `down --purge` deletes them too")

    def _remove(self) -> None:
        with step("end the processes and remove the pods' traces"):
            self._end_everything()
        with step("remove namespaces, mounts and state"):
            network.remove(self._all_nodes())
            for name in sysctls.restore(self._state / "sysctls.json"):
                say(f"  put back {name.replace('/', '.')}")
            mounts.remove_tree(self._state)

    def status(self) -> Sequence[Component]:
        """See ClusterProvider."""
        if not self._state.is_dir():
            return []
        found = [
            Component(name, record.process.alive, f"pid {record.process.pid}, {_memory_mb(record.process.pid)} MB" if record.process.alive else "has ended")
            for name, record in self._supervisor.records.all().items()
        ]
        if not self.kubeconfig().exists():
            return found
        client = self._client()
        found.append(Component("API", client.ok("/readyz"), self._settings({}).server))
        status, nodes = client.request("GET", "/api/v1/nodes")
        for node in nodes["items"] if status == 200 else []:
            gpus = node["status"].get("allocatable", {}).get(ACCELERATOR, "0")
            found.append(Component(f"node {node['metadata']['name']}", _node_ready(node), f"{ACCELERATOR}: {gpus}"))
        found.append(Component("DNS", addons.dns_ready(client), "coredns in kube-system"))
        return found

    def load_image(self, name: str) -> None:
        """See ClusterProvider."""
        with self._lock():
            nodes = self._present_nodes()
            if not nodes:
                raise RuntimeError("there is no node to load images on; run `python -m e2e.cluster up` first")
            for node in nodes:
                images.ensure([name], Containerd(node))

    def add_accelerators(self, resource: str = ACCELERATOR, count: int = 4) -> None:
        """See ClusterProvider."""
        patch = {"status": {"capacity": {resource: str(count)}, "allocatable": {resource: str(count)}}}
        for node in self._present_nodes():
            status, answer = self._client().request("PATCH", f"/api/v1/nodes/{node.name}/status", patch, content_type="application/strategic-merge-patch+json")
            if status != 200:
                raise RuntimeError(f"{resource} on {node.name}: {status} {answer}")

    def ensure_model(self, namespace: str, claim: str) -> None:
        """See ClusterProvider."""
        volume, volume_claim = tiny_model.volume_and_claim(namespace, claim, tiny_model.ensure().parent)
        client = self._client()
        path = f"/api/v1/persistentvolumes/{volume['metadata']['name']}"
        old_status, old = client.request("GET", path)
        claim_status, old_claim = client.request("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
        if old_status == 200 and tiny_model.is_of_a_dead_claim(old, old_claim if claim_status == 200 else None):
            # A volume is bound to its first claim for ever: it points to a folder, so make it anew.
            client.request("DELETE", path)
            # The controller lets it go only when it has seen that the claim is gone, at its next round at the latest: every 15 s.
            wait_until(lambda: client.request("GET", path)[0] == 404, "deletion of the volume", timeout_seconds=60)
        client.apply(volume, "persistentvolumes")
        client.apply(volume_claim, "persistentvolumeclaims")

    def processes_of(self, container_id: str) -> Sequence[Process]:
        """See ClusterProvider."""
        name = container_id.removeprefix("containerd://")
        return [process for node in self._present_nodes() for process in node_processes.processes_of(node, name)]

    def inside(self, command: Sequence[str]) -> list[str]:
        """See ClusterProvider."""
        # Marked, so that what a killed test started there is found and ended.
        mark = [f"{name}={value}" for name, value in controlplane.owner_mark().items()]
        return ["env", *mark, "nsenter", f"--net=/run/netns/{self._nodes[0].namespace}", *command]

    def _lock(self) -> AbstractContextManager[None]:
        return exclusive(cache_folder() / "cluster.lock", "another run of e2e.cluster")

    def _settings(self, paths: dict[str, Path]) -> ControlPlaneSettings:
        first = self._nodes[0]
        return ControlPlaneSettings(self._state, paths, address=first.ip, bind_address="0.0.0.0", network_namespace=first.namespace)

    def _client(self) -> ApiClient:
        settings = self._settings({})
        return ApiClient(settings.server, settings.pki)

    def _all_nodes(self) -> list[Node]:
        """Return every node that there might be: an earlier run may have had more of them."""
        return [Node(index, self._state) for index in range(MAX_NODES)]

    def _present_nodes(self) -> list[Node]:
        return [node for node in self._all_nodes() if self._supervisor.records.read(f"kubelet-{node.name}") is not None]

    def _start_control_plane(self, settings: ControlPlaneSettings) -> None:
        components.write_files(settings)
        self._ensure(components.etcd(settings), components.api_server(settings))
        self._wait("kube-apiserver", lambda: self._client().ok("/readyz"), needs=["etcd", "kube-apiserver"])
        self._ensure(components.controller_manager(settings), components.scheduler(settings))

    def _start_node(self, node: Node, settings: ControlPlaneSettings) -> None:
        node_processes.write_files(node, settings)
        program = node_processes.containerd(node)
        started = self._ensure(program)
        self._wait(program.name, Containerd(node).answers, needs=[program.name])
        no_pods = not any(node_processes.is_shim(process) for process in processes.of_cluster(self._state))
        if started and no_pods and Containerd(node).forget_containers():
            # Its Kubernetes half read those records at start: without them it must read again.
            self._supervisor.stop([program.name])
            self._ensure(program)
            self._wait(program.name, Containerd(node).answers, needs=[program.name])
        images.ensure(_ALWAYS_LOADED, Containerd(node))
        self._ensure(node_processes.kubelet(node, settings), node_processes.kube_proxy(node, settings))
        self._wait(node.name, lambda: self._node_is_ready(node), needs=[f"kubelet-{node.name}", program.name])

    def _remove_node(self, node: Node, settings: ControlPlaneSettings) -> None:
        """Take a node away as an administrator would: drained first, so that its pods go on elsewhere."""
        with step(f"remove {node.name}"):
            drain = ("drain", node.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--grace-period=5", f"--timeout={_DRAIN_SECONDS}s")
            # What does not let itself be evicted in time ends with the node.
            subprocess.run([settings.binaries["kubectl"], f"--kubeconfig={settings.kubeconfig}", *drain], capture_output=True, check=False)
            self._supervisor.stop([f"kubelet-{node.name}", f"kube-proxy-{node.name}", f"containerd-{node.name}"], grace_seconds=3.0)
            node_processes.end_pods(node)
            self._client().request("DELETE", f"/api/v1/nodes/{node.name}")
            node_processes.remove_traces(node)
            network.remove_node(node)
            mounts.remove_tree(node.state)

    def _start_dns(self) -> None:
        client = self._client()
        if not addons.dns_ready(client):
            addons.apply_dns(client)
            self._wait("DNS", lambda: addons.dns_ready(client), needs=[f"kubelet-{self._nodes[0].name}", "kube-controller-manager", "kube-scheduler"])

    def _node_is_ready(self, node: Node) -> bool:
        status, answer = self._client().request("GET", f"/api/v1/nodes/{node.name}")
        return status == 200 and _node_ready(answer)

    def _ensure(self, *programs: Program) -> bool:
        """Start what does not run as described; return whether anything had to be started. Whether it is ready is another question: see `_wait`."""
        started = [self._supervisor.ensure(program) for program in programs]
        return any(started)

    def _wait(self, what: str, check: Callable[[], bool], *, needs: Sequence[str]) -> None:
        """Wait until `check` holds, also for what an earlier, interrupted run started.

        Raises:
            NotReadyError: with the ends of the logs of the programs in `needs`; at once when one of them has died.

        """

        def possible() -> bool:
            return all((record := self._supervisor.records.read(name)) is not None and record.process.alive for name in needs)

        if check():
            return
        try:
            with step(f"{what} becomes ready"):
                wait_until(check, what, timeout_seconds=_READY_SECONDS, still_possible=possible)
        except NotReadyError as error:
            words = "\n".join(f"--- {self._supervisor.log(name)}\n{self._supervisor.last_words(name)}" for name in needs)
            raise NotReadyError(f"{error}\n{words}") from None

    def _end_unrecorded(self) -> None:
        """End what a killed run started and did not come to record; containerd's shims are pods', and containerd finds them again."""
        recorded = {record.process for record in self._supervisor.records.all().values()}
        strays = [process for process in processes.of_cluster(self._state) if process not in recorded and not node_processes.is_shim(process)]
        processes.terminate(strays, grace_seconds=2.0)

    def _end_everything(self) -> None:
        """End every process of this cluster, and nothing else: kubelets first, which would start pods again. Then remove the pods' traces."""
        names = list(self._supervisor.records.all())
        self._supervisor.stop([name for name in names if name.startswith("kubelet-")], grace_seconds=3.0)
        # containerd before its pods: living, it would delete the folders that tell which containers are ours.
        self._supervisor.stop([name for name in names if name not in ("kube-apiserver", "etcd")], grace_seconds=3.0)
        for node in self._all_nodes():
            node_processes.end_pods(node)
        self._supervisor.stop(["kube-apiserver", "etcd"], grace_seconds=0.0)
        processes.terminate(processes.of_cluster(self._state), grace_seconds=0.0)
        for node in self._all_nodes():
            node_processes.remove_traces(node)


def _node_ready(node: dict[str, Any]) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in node.get("status", {}).get("conditions", []))


def _memory_mb(pid: int) -> int:
    try:
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return resident_pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000
