"""The chart's life on a real API server: install, upgrade, refusal, uninstall, reinstall, by the real Helm."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e.cluster.controlplane import ControlPlane

from e2e.cluster.binaries import ensure

CHART = Path(__file__).parents[3] / "charts/llmfleet"
EXAMPLE = Path(__file__).parents[3] / "examples/pvc-minimal.yaml"
API_SERVICE = "v1beta2.custom.metrics.k8s.io"
NAMESPACE = "operators"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:llmfleet"


@dataclass(frozen=True)
class Tools:
    """Helm and kubectl on one cluster."""

    programs: dict[str, Path]
    kubeconfig: str

    def run(self, program: str, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": self.kubeconfig}
        command = [str(self.programs[program]), *arguments]
        return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False, timeout=60)

    def helm(self, *arguments: str) -> str:
        done = self.run("helm", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def helm_refuses(self, *arguments: str) -> str:
        done = self.run("helm", *arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        done = self.run("kubectl", *arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def exists(self, *arguments: str) -> bool:
        return bool(self.kubectl("get", *arguments, "--ignore-not-found", "--output=name"))

    def may(self, who: str, verb: str, what: str, *arguments: str) -> bool:
        return self.run("kubectl", "auth", "can-i", verb, what, f"--as={who}", "--quiet", *arguments).returncode == 0

    def apply(self, manifest: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", given=json.dumps(manifest))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """A control plane of its own: an APIService without a server would hold up the other tests' namespaces."""
    with ControlPlane(tmp_path_factory.mktemp("chart")) as running:
        yield Tools(ensure(["helm", "kubectl"]), str(running.kubeconfig))


@pytest.fixture
def tools(cluster: Tools) -> Iterator[Tools]:
    """The cluster, empty again after each test."""
    yield cluster
    for release in json.loads(cluster.helm("list", "--all-namespaces", "--output=json")):
        cluster.helm("uninstall", release["name"], "--namespace", release["namespace"])
    for found in cluster.get("apiservices")["items"]:
        if found["spec"].get("group") == "custom.metrics.k8s.io":
            cluster.kubectl("delete", "apiservice", found["metadata"]["name"])
    cluster.kubectl("delete", "customresourcedefinition", "--all")


def install(tools: Tools, *arguments: str, name: str = "llmfleet", namespace: str = NAMESPACE) -> None:
    tools.helm("install", name, str(CHART), "--namespace", namespace, "--create-namespace", *arguments)


def foreign_adapter(version: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.custom.metrics.k8s.io"},
        "spec": {
            "group": "custom.metrics.k8s.io",
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "prometheus-adapter", "namespace": "monitoring"},
        },
    }


@pytest.mark.parametrize("server_side", ["true", "false"])
def test_an_upgrade_leaves_alone_what_the_operator_writes(tools: Tools, server_side: str) -> None:
    install(tools, f"--server-side={server_side}")
    certificate = {"tls.crt": "Y2VydA==", "tls.key": "a2V5"}
    # The API server takes only what looks like a certificate.
    bundle = tools.get("configmap", "kube-root-ca.crt", "--namespace=kube-system")["data"]["ca.crt"] if tools.exists("configmap", "kube-root-ca.crt", "-nkube-system") else None
    tools.kubectl("patch", "secret", "llmfleet-certificate", f"-n{NAMESPACE}", "--type=merge", "-p", json.dumps({"data": certificate}))
    tools.kubectl("patch", "lease", "llmfleet", f"-n{NAMESPACE}", "--type=merge", "-p", json.dumps({"spec": {"holderIdentity": "pod-1"}}))
    assert bundle is not None
