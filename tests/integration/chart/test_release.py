"""The chart's life on a real API server: install, upgrade, refusal, uninstall, reinstall, by the real Helm."""

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.binaries import ensure
from e2e.cluster.controlplane import ControlPlane
from llmfleet.tls import certificates
from llmfleet.tls.serving_certificate import FIELD_MANAGER

CHART = Path(__file__).parents[3] / "charts/llmfleet"
EXAMPLE = Path(__file__).parents[3] / "examples/pvc-minimal.yaml"
API_SERVICE = "v1beta2.custom.metrics.k8s.io"
NAMESPACE = "operators"
WEBHOOKS = "validatingwebhookconfigurations.admissionregistration.k8s.io"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:llmfleet"

PATIENCE_SECONDS = 120
"""Of one command."""


@dataclass(frozen=True)
class Tools:
    """Helm and kubectl on one cluster."""

    programs: dict[str, Path]
    kubeconfig: str

    def run(self, program: str, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        # A home of its own: both keep what a server offers there, by its address, and another test's server may have had the same port.
        environment = {**os.environ, "KUBECONFIG": self.kubeconfig, "HOME": str(Path(self.kubeconfig).parent)}
        command = [str(self.programs[program]), *arguments]
        return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)

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
    delete_definitions(cluster)


def delete_definitions(cluster: Tools) -> None:
    """Delete and, where it hangs, remind.

    The API server's finalizer fails at first ("storage is (re)initializing"). Where its second try is made with the definition as it was before the
    first, it takes the conflict for somebody else's change and waits for news of that: until its resync after 5 minutes (Kubernetes 1.36,
    crd_finalizer.go). Any change is news.
    """
    cluster.kubectl("delete", "customresourcedefinition", "--all", "--wait=false")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while cluster.run("kubectl", "wait", "--for=delete", "customresourcedefinition", "--all", "--timeout=2s").returncode != 0:
        assert time.monotonic() < deadline, cluster.get("customresourcedefinitions")
        cluster.run("kubectl", "annotate", "--overwrite", "customresourcedefinition", "--all", f"reminded-at={time.monotonic()}")


def install(tools: Tools, *arguments: str, name: str = "llmfleet", namespace: str = NAMESPACE) -> None:
    tools.helm("install", name, str(CHART), "--namespace", namespace, "--create-namespace", *arguments)
    tools.kubectl("wait", "--for=condition=Established", "customresourcedefinition/llmservices.llmfleet.dev", "--timeout=20s")


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
    bundle = certificates.current(None, certificates.dns_names("llmfleet", NAMESPACE), datetime.now(UTC)).bundle
    written: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
        ("secret", "llmfleet-certificate"): {"data": {"tls.crt": "Y2VydA==", "tls.key": "a2V5"}},
        ("lease", "llmfleet"): {"spec": {"holderIdentity": "pod-1", "leaseDurationSeconds": 15}},
        ("apiservice", API_SERVICE): {"spec": {"caBundle": base64.b64encode(bundle.encode()).decode()}},
    }
    for (kind, name), patch in written.items():
        tools.kubectl("patch", kind, name, f"--namespace={NAMESPACE}", "--type=merge", f"--patch={json.dumps(patch)}")
    tools.helm("upgrade", "llmfleet", str(CHART), "--namespace", NAMESPACE, f"--server-side={server_side}", "--set=replicas=3,operator.logLevel=debug")
    assert tools.get("deployment", "llmfleet", f"--namespace={NAMESPACE}")["spec"]["replicas"] == 3
    for (kind, name), patch in written.items():
        found = tools.get(kind, name, f"--namespace={NAMESPACE}")
        (part, content), *_ = patch.items()
        assert {**found[part], **content} == found[part], f"{kind} {name}"


@pytest.mark.parametrize("server_side", ["true", "false"])
def test_an_upgrade_leaves_alone_whom_the_webhook_trusts(tools: Tools, server_side: str) -> None:
    install(tools, f"--server-side={server_side}")
    bundle = certificates.current(None, certificates.dns_names("llmfleet", NAMESPACE), datetime.now(UTC)).bundle
    encoded = base64.b64encode(bundle.encode()).decode()
    written = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "llmfleet"},
        "webhooks": [{"name": "admission.llmfleet.dev", "clientConfig": {"caBundle": encoded}}],
    }
    tools.kubectl("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--filename=-", given=json.dumps(written))
    tools.helm("upgrade", "llmfleet", str(CHART), "--namespace", NAMESPACE, f"--server-side={server_side}", "--set=replicas=3")
    (webhook,) = tools.get(WEBHOOKS, "llmfleet")["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == encoded
    assert webhook["failurePolicy"] == "Ignore"


def test_admission_can_be_turned_off_and_with_it_and_the_metrics_all_that_they_need(tools: Tools) -> None:
    install(tools, "--set=admission.enabled=false,metricsApi.enabled=false")
    assert not tools.exists(WEBHOOKS, "llmfleet")
    assert not tools.exists("secret", "llmfleet-certificate", f"--namespace={NAMESPACE}")
    assert not tools.may(OPERATOR, "get", "secrets/llmfleet-certificate", f"--namespace={NAMESPACE}")
    assert [port["name"] for port in tools.get("service", "llmfleet", f"--namespace={NAMESPACE}")["spec"]["ports"]] == ["health"]


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_another_metrics_adapter_is_not_pushed_aside(tools: Tools, version: str) -> None:
    tools.apply(foreign_adapter(version))
    refusal = tools.helm_refuses("install", "llmfleet", str(CHART), "--namespace", NAMESPACE, "--create-namespace")
    assert f"APIService {version}.custom.metrics.k8s.io exists" in refusal
    assert "Service monitoring/prometheus-adapter" in refusal
    assert "--set metricsApi.enabled=false" in refusal
    install(tools, "--set=metricsApi.enabled=false")
    assert tools.get("apiservice", f"{version}.custom.metrics.k8s.io")["spec"]["service"]["name"] == "prometheus-adapter"
    tools.helm_refuses("upgrade", "llmfleet", str(CHART), "--namespace", NAMESPACE, "--set=metricsApi.enabled=true")


def test_uninstalling_takes_the_api_service_before_its_server_and_keeps_the_models(tools: Tools) -> None:
    install(tools)
    tools.kubectl("apply", f"--filename={EXAMPLE}")
    said = tools.helm("uninstall", "llmfleet", "--namespace", NAMESPACE, "--debug")
    deleted = re.findall(r'"starting delete resource".*?kind=(\w+)', said)
    assert set(deleted[:2]) == {"APIService", "ValidatingWebhookConfiguration"}, said
    assert "Deployment" in deleted
    assert "CustomResourceDefinition" not in deleted
    assert tools.exists("llmservice", "minimal")
    assert (
        tools.kubectl("get", "all,leases,secrets,roles,rolebindings", f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/instance=llmfleet", "-oname")
        == ""
    )
    assert tools.kubectl("get", f"clusterroles,clusterrolebindings,apiservices,{WEBHOOKS}", "--selector=app.kubernetes.io/instance=llmfleet", "-oname") == ""


def test_a_reinstall_takes_the_kept_models_up_again(tools: Tools) -> None:
    install(tools)
    tools.kubectl("apply", f"--filename={EXAMPLE}")
    tools.helm("uninstall", "llmfleet", "--namespace", NAMESPACE)
    install(tools)
    tools.helm("uninstall", "llmfleet", "--namespace", NAMESPACE)
    refusal = tools.helm_refuses("install", "other", str(CHART), "--namespace", "default")
    assert 'CustomResourceDefinition "acceleratorprofiles.llmfleet.dev"' in refusal
    install(tools, "--take-ownership", name="other", namespace="default")
    assert tools.exists("llmservice", "minimal")


def test_the_operators_pod_passes_the_restricted_profile(tools: Tools) -> None:
    install(tools)
    tools.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    template = tools.get("deployment", "llmfleet", f"--namespace={NAMESPACE}")["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": NAMESPACE, "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    }
    tools.kubectl("create", "--dry-run=server", "--filename=-", given=json.dumps(pod))


def test_the_operator_may_what_it_needs_and_no_more(tools: Tools) -> None:
    install(tools)
    here, everywhere = f"--namespace={NAMESPACE}", "--all-namespaces"
    needed = [
        ("watch", "llmservices.llmfleet.dev", everywhere),
        ("patch", "llmservices.llmfleet.dev/x", "--subresource=status"),
        ("patch", "deployments.apps", everywhere),
        ("create", "horizontalpodautoscalers.autoscaling", everywhere),
        ("delete", "poddisruptionbudgets.policy", everywhere),
        ("list", "pods", everywhere),
        ("get", "configmaps", everywhere),
        ("watch", "configmaps", everywhere),
        ("patch", "configmaps", everywhere),
        ("delete", "configmaps", everywhere),
        ("watch", "acceleratorprofiles.llmfleet.dev"),
        ("create", "jobs.batch", everywhere),
        ("patch", "jobs.batch", everywhere),
        ("delete", "jobs.batch", everywhere),
        ("create", "persistentvolumeclaims", everywhere),
        ("patch", "persistentvolumeclaims", everywhere),
        ("get", "secrets/llmfleet-certificate", here),
        ("update", "leases.coordination.k8s.io/llmfleet", here),
        ("patch", f"apiservices.apiregistration.k8s.io/{API_SERVICE}"),
        ("patch", f"{WEBHOOKS}/llmfleet"),
        ("create", "subjectaccessreviews.authorization.k8s.io"),
        ("get", "configmaps/extension-apiserver-authentication", "--namespace=kube-system"),
    ]
    needless = [
        ("get", "secrets", everywhere),
        ("list", "secrets", here),
        ("get", "secrets/another", here),
        ("update", "configmaps", everywhere),
        ("patch", "llmservices.llmfleet.dev", everywhere),
        ("delete", "llmservices.llmfleet.dev", everywhere),
        ("patch", "acceleratorprofiles.llmfleet.dev"),
        ("delete", "persistentvolumeclaims", everywhere),
        ("create", "pods", everywhere),
        ("delete", "pods", everywhere),
        ("create", "pods/x", "--subresource=exec"),
        ("create", "serviceaccounts/x", "--subresource=token"),
        ("update", "leases.coordination.k8s.io/another", here),
        ("patch", "apiservices.apiregistration.k8s.io/v1.apps"),
        ("patch", f"{WEBHOOKS}/another"),
        ("create", WEBHOOKS),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("impersonate", "users"),
    ]
    assert [question for question in needed if not tools.may(OPERATOR, *question)] == []
    assert [question for question in needless if tools.may(OPERATOR, *question)] == []


@pytest.mark.parametrize(("role", "may", "may_not"), [("view", "list", "patch"), ("edit", "patch", "escalate"), ("admin", "delete", "escalate")])
def test_the_roles_that_kubernetes_has_for_people_cover_models(tools: Tools, role: str, may: str, may_not: str) -> None:
    install(tools)
    tools.kubectl("delete", "rolebinding", "someone", "--namespace=default", "--ignore-not-found")
    tools.kubectl("create", "rolebinding", "someone", f"--clusterrole={role}", "--user=someone", "--namespace=default")
    deadline = time.monotonic() + 20  # a controller aggregates the roles
    while not tools.may("someone", may, "llmservices.llmfleet.dev", "--namespace=default"):
        assert time.monotonic() < deadline, f"{role} may not {may}"
        time.sleep(0.2)
    assert not tools.may("someone", may_not, "llmservices.llmfleet.dev", "--namespace=default")


def test_a_misspelt_value_is_refused_by_helm(tools: Tools) -> None:
    for change, words in (
        ("replica=2", "'replica' not allowed"),
        ("operator.logLevel=loud", "/operator/logLevel"),
        ("operator.workers=0", "/operator/workers"),
        ("operator.healthPort=8443", "operator.healthPort and operator.tlsPort are both 8443"),
    ):
        assert words in tools.helm_refuses("template", "llmfleet", str(CHART), f"--set={change}")


def test_every_value_about_the_pods_arrives_in_them(tools: Tools, tmp_path: Path) -> None:
    pod = {
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "reserved", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}]}}},
    }
    resources = {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    values = {
        **pod,
        "resources": resources,
        "serviceAccount": {"annotations": {"example.com/role": "reader"}},
        "image": {"repository": "registry.example/operator", "tag": "1"},
        "runtimeImage": {"repository": "registry.example/runtime", "tag": "2"},
        "operator": {"resyncSeconds": 86400, "logLevel": "debug"},
    }
    (tmp_path / "values.json").write_text(json.dumps(values))
    rendered = list(yaml.safe_load_all(tools.helm("template", "llmfleet", str(CHART), "--values", str(tmp_path / "values.json"))))
    (deployment,) = (manifest for manifest in rendered if manifest["kind"] == "Deployment")
    (account,) = (manifest for manifest in rendered if manifest["kind"] == "ServiceAccount")
    spec = deployment["spec"]["template"]["spec"]
    assert {**spec, **pod} == spec
    (container,) = spec["containers"]
    assert container["resources"] == resources
    assert container["image"] == "registry.example/operator:1"
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["LLMFLEET_RUNTIME_IMAGE"] == "registry.example/runtime:2"
    assert environment["LLMFLEET_RESYNC_SECONDS"] == "86400"
    assert environment["LLMFLEET_LOG_LEVEL"] == "debug"
    assert account["metadata"]["annotations"] == {"example.com/role": "reader"}


def test_the_chart_is_as_helm_wants_it(tools: Tools) -> None:
    tools.helm("lint", "--strict", str(CHART))
