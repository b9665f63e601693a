"""What runs inside the cluster from the start: the cluster's DNS."""

from __future__ import annotations

from typing import Any

from e2e.cluster.components import DNS_SERVICE_IP
from e2e.cluster.images import COREDNS
from e2e.cluster.readiness import ApiClient

_NAME = {"name": "coredns", "namespace": "kube-system"}
_SELECTOR = {"k8s-app": "kube-dns"}
_COREFILE = ".:53 {\n errors\n health\n ready\n kubernetes cluster.local in-addr.arpa\n cache 5\n}\n"
_RULES = [
    {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]


def apply_dns(client: ApiClient) -> None:
    """Apply CoreDNS with its rights and its Service."""
    for manifest, plural in _manifests():
        client.apply(manifest, plural)


def dns_ready(client: ApiClient) -> bool:
    """Whether a DNS pod is ready."""
    status, answer = client.request("GET", "/apis/apps/v1/namespaces/kube-system/deployments/coredns")
    return status == 200 and answer.get("status", {}).get("readyReplicas", 0) > 0


def _manifests() -> list[tuple[dict[str, Any], str]]:
    rbac = "rbac.authorization.k8s.io"
    container = {
        "name": "coredns",
        "image": COREDNS,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "securityContext": {"runAsUser": 0},  # port 53
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    return [
        ({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _NAME}, "serviceaccounts"),
        ({"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": "system:coredns"}, "rules": _RULES}, "clusterroles"),
        (
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "system:coredns"},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"},
                "subjects": [{"kind": "ServiceAccount", **_NAME}],
            },
            "clusterrolebindings",
        ),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": _NAME, "data": {"Corefile": _COREFILE}}, "configmaps"),
        (
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": _NAME,
                "spec": {"selector": {"matchLabels": _SELECTOR}, "template": {"metadata": {"labels": _SELECTOR}, "spec": pod}},
            },
            "deployments",
        ),
        (
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"clusterIP": DNS_SERVICE_IP, "selector": _SELECTOR, "ports": ports},
            },
            "services",
        ),
    ]
