"""The control plane's programs and their flags, the same for the whole cluster and for the API server of an integration test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import kubeconfig
from e2e.cluster.pki import Certificate, Pki
from e2e.cluster.processes import Program

SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"  # the first of the range, by Kubernetes' convention
DNS_SERVICE_IP = "10.96.0.10"

# Who read or wrote what, without bodies. Health checks and leases would be nine lines of ten.
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*"]},
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True, slots=True)
class Ports:
    """The control plane's ports; a test picks free ones, a cluster in its own namespace has the usual ones."""

    etcd: int = 2379
    etcd_peer: int = 2380
    api_server: int = 6443


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """Where a control plane keeps its files and how it is reached."""

    state: Path
    binaries: dict[str, Path]
    address: str
    """The address that clients use."""
    bind_address: str
    network_namespace: str | None = None
    ports: Ports = Ports()
    hpa_sync_seconds: int = 5
    """Fifteen by default: too long for a person, or a test, who waits for a scale-up."""

    @property
    def pki(self) -> Pki:
        """The keys of this control plane."""
        return Pki(self.state / "pki")

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.ports.api_server}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON object per request, in the order of completion."""
        return self.state / "audit.log"

    @property
    def has_nodes(self) -> bool:
        """Whether nodes belong to it: then it has an address that they and pods can reach."""
        return self.network_namespace is not None


def write_files(settings: ControlPlaneSettings) -> None:
    """Write keys, kubeconfigs and the audit policy; what exists stays."""
    addresses = sorted({settings.address, "127.0.0.1", API_SERVICE_IP})
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")
    settings.pki.ensure(
        [
            Certificate("apiserver", "/CN=kube-apiserver", (*(f"IP:{address}" for address in addresses), *(f"DNS:{name}" for name in names))),
            Certificate("admin", "/O=system:masters/CN=admin"),
            Certificate("kube-controller-manager", "/CN=system:kube-controller-manager"),
            Certificate("kube-scheduler", "/CN=system:kube-scheduler"),
            Certificate("kube-proxy", "/CN=system:kube-proxy"),
            Certificate("front-proxy", "/CN=front-proxy-client", authority="front-ca"),
        ]
    )
    kubeconfig.write(settings.kubeconfig, kubeconfig.render(settings.server, settings.pki, "admin"))
    for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        kubeconfig.write(settings.state / f"{user}.kubeconfig", kubeconfig.render(settings.server, settings.pki, user))
    kubeconfig.write(settings.state / "audit-policy.json", json.dumps(AUDIT_POLICY, indent=1))


def etcd(settings: ControlPlaneSettings) -> Program:
    """Return etcd, without fsync: nobody's data depends on it, and a test disk's fsync would be what is measured."""
    client, peer = (f"http://127.0.0.1:{port}" for port in (settings.ports.etcd, settings.ports.etcd_peer))
    return _program(
        settings, "etcd", data_dir=str(settings.state / "etcd"), listen_client_urls=client, advertise_client_urls=client, listen_peer_urls=peer,
        initial_advertise_peer_urls=peer, initial_cluster=f"default={peer}", unsafe_no_fsync="true", log_level="warn",
    )  # fmt: skip


def api_server(settings: ControlPlaneSettings) -> Program:
    """Return the API server with RBAC, aggregation, the audit log, and admission's defaults, of which Pod Security is one."""
    pki = settings.pki
    # Without nodes nobody asks for the endpoints of "kubernetes", and the loopback address would be refused there.
    reachable = {"advertise_address": settings.address} if settings.has_nodes else {"advertise_address": "192.0.2.1", "endpoint_reconciler_type": "none"}
    return _program(
        settings, "kube-apiserver", etcd_servers=f"http://127.0.0.1:{settings.ports.etcd}",
        bind_address=settings.bind_address, secure_port=str(settings.ports.api_server), **reachable,
        tls_cert_file=str(pki.certificate("apiserver")), tls_private_key_file=str(pki.key("apiserver")), client_ca_file=str(pki.certificate("ca")),
        authorization_mode="Node,RBAC", enable_admission_plugins="NodeRestriction", service_cluster_ip_range=SERVICE_RANGE,
        service_account_issuer="https://kubernetes.default.svc", service_account_key_file=str(pki.folder / "service-accounts.pub"),
        service_account_signing_key_file=str(pki.folder / "service-accounts.key"),
        kubelet_client_certificate=str(pki.certificate("admin")), kubelet_client_key=str(pki.key("admin")),
        kubelet_certificate_authority=str(pki.certificate("ca")), kubelet_preferred_address_types="InternalIP",
        requestheader_client_ca_file=str(pki.certificate("front-ca")), requestheader_allowed_names="front-proxy-client",
        requestheader_username_headers="X-Remote-User", requestheader_group_headers="X-Remote-Group",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        proxy_client_cert_file=str(pki.certificate("front-proxy")), proxy_client_key_file=str(pki.key("front-proxy")),
        audit_policy_file=str(settings.state / "audit-policy.json"), audit_log_path=str(settings.audit_log), audit_log_mode="blocking-strict",
        # A test reads the file right after a request: so each request waits for its line. Rotation would split what a test counts.
        audit_log_maxsize="2000", audit_log_maxbackup="1", profiling="false", v="1",
    )  # fmt: skip


def controller_manager(settings: ControlPlaneSettings) -> Program:
    """Return the controller manager; nodes get their pod ranges from us, not from it."""
    kubeconfig_file = str(settings.state / "kube-controller-manager.kubeconfig")
    pki = settings.pki
    serving = {"authentication_kubeconfig": kubeconfig_file, "authorization_kubeconfig": kubeconfig_file} if settings.has_nodes else {"secure_port": "0"}
    return _program(
        settings, "kube-controller-manager", kubeconfig=kubeconfig_file, **serving, use_service_account_credentials="true",
        service_account_private_key_file=str(pki.folder / "service-accounts.key"), root_ca_file=str(pki.certificate("ca")),
        cluster_signing_cert_file=str(pki.certificate("ca")), cluster_signing_key_file=str(pki.key("ca")),
        leader_elect="false", allocate_node_cidrs="false", horizontal_pod_autoscaler_sync_period=f"{settings.hpa_sync_seconds}s",
    )  # fmt: skip


def scheduler(settings: ControlPlaneSettings) -> Program:
    """Return the scheduler."""
    kubeconfig_file = str(settings.state / "kube-scheduler.kubeconfig")
    return _program(
        settings, "kube-scheduler", kubeconfig=kubeconfig_file, authentication_kubeconfig=kubeconfig_file, authorization_kubeconfig=kubeconfig_file,
        leader_elect="false",
    )  # fmt: skip


def _program(settings: ControlPlaneSettings, name: str, /, **flags: str) -> Program:
    arguments = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
    return Program(name, (str(settings.binaries[name]), *arguments), settings.network_namespace)
