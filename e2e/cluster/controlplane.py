"""A control plane without nodes, for integration tests: etcd, API server and controller manager on this machine's loopback.

Several run side by side; each has its own folder and free ports. A test that is killed leaves processes behind, which the next start finds by their mark
and ends: the mark names the test's own process by pid and start time, so that a living neighbour's are never touched.

    with ControlPlane(tmp_path) as plane:
        subprocess.run([plane.kubectl, "--kubeconfig", plane.kubeconfig, "get", "namespaces"])

An aggregated API or a webhook served by the test itself on the loopback: `plane.loopback_service(namespace, name)` returns the Service to create.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2e.cluster import binaries, components, packages, processes
from e2e.cluster.components import ControlPlaneSettings, Ports
from e2e.cluster.readiness import ApiClient, NotReadyError, wait_until

OWNER_VARIABLE = "LLMFLEET_CONTROL_PLANE_OWNER"
_READY_SECONDS = 60.0  # seen: 3 to 4; a loaded continuous-integration machine takes several times that
_PORT_ATTEMPTS = 3  # a free port may be taken by somebody else before its server binds it


class ControlPlane:
    """One control plane; a context manager, or `start` and `stop`."""

    def __init__(self, state: Path, *, hpa_sync_seconds: int = 5, controllers: bool = True) -> None:
        self._state = state.resolve()
        self._hpa_sync_seconds = hpa_sync_seconds
        self._controllers = controllers
        self._settings: ControlPlaneSettings | None = None
        self._supervisor = processes.Supervisor(self._state, owner_mark())

    @property
    def settings(self) -> ControlPlaneSettings:
        """Paths and addresses; there only after the start."""
        if self._settings is None:
            raise RuntimeError("the control plane has not been started")
        return self._settings

    @property
    def server(self) -> str:
        """The API server's address."""
        return self.settings.server

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.settings.kubeconfig

    @property
    def audit_log(self) -> Path:
        """The audit log: one JSON object per request and line."""
        return self.settings.audit_log

    @property
    def kubectl(self) -> Path:
        """The kubectl of the same version."""
        return self.settings.binaries["kubectl"]

    @property
    def certificate_authority(self) -> Path:
        """The certificate that signed the API server's, for clients that are configured by hand."""
        return self.settings.pki.certificate("ca")

    def client(self) -> ApiClient:
        """Return a plain client with the administrator's rights."""
        return ApiClient(self.server, self.settings.pki)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until requests and service accounts work.

        Raises:
            NotReadyError: with the end of the log of the program that failed.

        """
        end_orphans()
        self.stop()
        packages.ensure(["openssl", "ca-certificates"])
        programs = binaries.ensure(["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"])
        self._state.mkdir(parents=True, exist_ok=True)
        for attempt in range(_PORT_ATTEMPTS):
            self._settings = ControlPlaneSettings(
                self._state, programs, address="127.0.0.1", bind_address="127.0.0.1", ports=_free_ports(), hpa_sync_seconds=self._hpa_sync_seconds
            )
            try:
                self._start(self._settings)
            except NotReadyError as error:
                self.stop()
                if attempt + 1 == _PORT_ATTEMPTS or "address already in use" not in str(error):
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the processes; the folder, with logs and audit log, stays for whoever looks for the cause of a failure."""
        # The API server first and at once: a graceful end would wait for watches that no one will close.
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self._supervisor.stop([name], grace_seconds=0.0)

    def loopback_service(self, namespace: str, name: str) -> dict[str, Any]:
        """Return a Service that leads an APIService or a webhook to the port of that number on this machine's loopback.

        The API server resolves an ExternalName itself. Give the port in the APIService's or the webhook's `service.port`; the server's certificate must
        be for `<name>.<namespace>.svc`. Endpoints with a loopback address would be refused by validation.
        """
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }

    def _start(self, settings: ControlPlaneSettings) -> None:
        components.write_files(settings)
        client = ApiClient(settings.server, settings.pki)
        self._supervisor.ensure(components.etcd(settings))
        self._supervisor.ensure(components.api_server(settings))
        self._wait("kube-apiserver", lambda: client.ok("/readyz"))
        if self._controllers:
            self._supervisor.ensure(components.controller_manager(settings))
            # Pods are refused in a namespace whose service account the controller has not made yet.
            self._wait("kube-controller-manager", lambda: client.ok("/api/v1/namespaces/default/serviceaccounts/default"))

    def _wait(self, name: str, check: Callable[[], bool]) -> None:
        def possible() -> bool:
            return all(record.process.alive for record in self._supervisor.records.all().values())

        try:
            wait_until(check, name, timeout_seconds=_READY_SECONDS, still_possible=possible)
        except NotReadyError as error:
            words = "\n".join(f"--- {program}\n{self._supervisor.last_words(program)}" for program in ("etcd", "kube-apiserver", name))
            raise NotReadyError(f"{error}\n{words}") from None


def owner_mark() -> dict[str, str]:
    """Return the environment of a process that is to end with this one, should this one be killed: see `end_orphans`."""
    return {OWNER_VARIABLE: f"{os.getpid()}:{processes.start_ticks(os.getpid())}"}


def end_orphans() -> int:
    """End the processes that carry the mark of one that has died: control planes and what ran beside them; return how many there were."""
    orphans = []
    for process, owner in processes.marked(OWNER_VARIABLE):
        pid, _, ticks = owner.partition(":")
        if not (pid.isdigit() and ticks.isdigit() and processes.Process(int(pid), int(ticks)).alive):
            orphans.append(process)
    processes.terminate(orphans, grace_seconds=0.0)
    return len(orphans)


def _free_ports() -> Ports:
    """Ask the kernel for three free ports; all are held open until all are known, so they differ."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()
