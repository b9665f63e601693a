"""What is inside the cluster from the start: its DNS, and what spares the kubelet."""

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


def apply_pod_policy(client: ApiClient) -> None:
    """Take CPU and memory away from every container, which the node does not enforce in any case; devices stay.

    Without control groups for pods (cgroupsPerQOS) the kubelet panics when it starts a container with resources behind an init container, or a second time:
    it takes it for one that was resized, and reads the limits of a group that is not there (kubernetes #137993, open in 1.36).
    """
    name = {"name": "llmfleet-test-node"}
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}} for expression in _without_cpu_and_memory()],
    }
    group = "admissionregistration.k8s.io/v1"
    client.apply({"apiVersion": group, "kind": "MutatingAdmissionPolicy", "metadata": name, "spec": spec}, "mutatingadmissionpolicies")
    binding = {"apiVersion": group, "kind": "MutatingAdmissionPolicyBinding", "metadata": name, "spec": {"policyName": name["name"]}}
    client.apply(binding, "mutatingadmissionpolicybindings")


_MOST_CONTAINERS = 3
"""Of each list; the pods of the tests have no more."""


def _without_cpu_and_memory() -> list[str]:
    """CEL for each container that may be there; limits before requests, which follow limits where they are not given."""
    expressions = []
    for field in ("initContainers", "containers"):
        for index in range(_MOST_CONTAINERS):
            container = f"object.spec.{field}[{index}]"
            there = f"has(object.spec.{field}) && size(object.spec.{field}) > {index} && has({container}.resources)"
            for part in ("limits", "requests"):
                removed = " + ".join(
                    f'("{resource}" in {container}.resources.{part}'
                    f' ? [JSONPatch{{op: "remove", path: "/spec/{field}/{index}/resources/{part}/{resource}"}}] : [])'
                    for resource in ("cpu", "memory")
                )
                expressions.append(f"{there} && has({container}.resources.{part}) ? {removed} : []")
    return expressions


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
