"""The operator on a test cluster: installed by Helm as a user would, and read as a user would."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.chat import Answer
from e2e.cluster import binaries
from e2e.cluster.provider import ClusterProvider
from e2e.kubectl import Kubectl
from llmfleet.kube.objects import is_ready

REPOSITORY = Path(__file__).resolve().parent.parent
SYSTEM = "llmfleet-system"
RELEASE = "llmfleet"
IMAGES = ("operator", "runtime", "vllm-cpu")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Label of a namespace that refuses pods outside the restricted profile."""

_ASK = """
import json, sys, urllib.error, urllib.request
wanted = json.load(sys.stdin)
data = wanted["data"].encode() if wanted["data"] is not None else None
try:
    answer = urllib.request.urlopen(urllib.request.Request(wanted["url"], data, wanted["headers"]), timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode(), end="")
"""
"""A program of its own, because only inside the cluster's network namespace the addresses are routed."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """One test cluster with its tools."""

    cluster: ClusterProvider
    kubectl: Kubectl
    helm_path: Path

    @classmethod
    def on(cls, cluster: ClusterProvider) -> "Fleet":
        """Return the tools for a cluster that is up."""
        tools = binaries.ensure(["kubectl", "helm"])
        return cls(cluster, Kubectl(tools["kubectl"], cluster.kubeconfig()), tools["helm"])

    def helm(self, *arguments: str) -> str:
        """Run helm; an AssertionError with its words when it fails."""
        done = subprocess.run([self.helm_path, "--kubeconfig", self.cluster.kubeconfig(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def namespace(self, name: str) -> None:
        """Make a namespace that enforces the restricted profile, if it is not there."""
        self.kubectl.must("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})

    def install(self) -> None:
        """Install or upgrade the operator from this checkout, with the images made from it, and wait until both replicas are ready."""
        self.namespace(SYSTEM)
        there = self.kubectl.get("deployment", RELEASE, SYSTEM) is not None
        # A helm that was killed leaves its release locked, and refuses every later one.
        locked = "owner=helm,name=llmfleet,status in (pending-install,pending-upgrade,pending-rollback,uninstalling)"
        self.kubectl.must("-n", SYSTEM, "delete", "secret", "-l", locked)
        values = {"image.tag": "dev", "runtimeImage.tag": "dev"}
        settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        self.helm("upgrade", "--install", RELEASE, str(REPOSITORY / "charts" / "llmfleet"), "--namespace", SYSTEM, *settings)
        if there:
            # The tag of a development image stays the same when its content changes.
            self.kubectl.must("-n", SYSTEM, "rollout", "restart", f"deployment/{RELEASE}")
        self.kubectl.must("-n", SYSTEM, "rollout", "status", f"deployment/{RELEASE}", "--timeout=180s")
        self.kubectl.must("wait", "--for=condition=Available", "apiservice/v1beta2.custom.metrics.k8s.io", "--timeout=90s")

    def service(self, name: str, namespace: str) -> dict[str, Any]:
        """Return an LLMService."""
        found = self.kubectl.get("llm", name, namespace)
        assert found is not None, f"there is no LLMService {namespace}/{name}"
        return found

    def condition(self, name: str, namespace: str, kind: str) -> dict[str, Any]:
        """Return a condition of the current generation; an AssertionError while it is behind."""
        service = self.service(name, namespace)
        for condition in service.get("status", {}).get("conditions", ()):
            if condition["type"] == kind:
                assert condition["observedGeneration"] == service["metadata"]["generation"], condition
                return dict(condition)
        raise AssertionError(f"no condition {kind} yet")

    def wait_ready(self, name: str, namespace: str, *, seconds: int = 300) -> None:
        """Wait as a user would."""
        done = self.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"llm/{name}", f"--timeout={seconds}s")
        assert done.returncode == 0, f"{done.stderr}\n{self.kubectl.must('-n', namespace, 'describe', f'llm/{name}')}{self.story(namespace)}"

    def engines(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Return the engine pods of a service that are not being deleted."""
        pods = self.kubectl.items("pods", namespace, "-l", f"llmfleet.dev/service={name},llmfleet.dev/role=engine")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready_engines(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Return those of them that answer."""
        return [pod for pod in self.engines(name, namespace) if is_ready(pod)]

    def url(self, name: str, namespace: str) -> str:
        """Return the Service's base URL by its address: this machine does not ask the cluster's DNS."""
        service = self.kubectl.get("service", name, namespace)
        assert service is not None
        return f"http://{service['spec']['clusterIP']}/v1"

    def ask(self, url: str, *, key: str | None = None, body: object = None) -> tuple[int, str]:
        """Return status and body of a GET, or of a POST of a JSON document, where Services and pods are routed."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        request = json.dumps({"url": url, "headers": headers, "data": json.dumps(body) if body is not None else None})
        done = subprocess.run(self.cluster.inside([sys.executable, "-c", _ASK]), input=request, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        status, _, answer = done.stdout.partition("\n")
        return int(status), answer

    def chat(self, url: str, model: str, **options: int) -> subprocess.Popen[str]:
        """Start clients where Services are routed; see e2e.chat."""
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        command = self.cluster.inside([sys.executable, "-m", "e2e.chat", "--url", url, "--model", model, *flags])
        return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def story(self, namespace: str) -> str:
        """Return what a person would look at first when something is wrong."""
        pods = self.kubectl("-n", namespace, "get", "pods", "-o", "wide").stdout
        logs = self.kubectl("-n", namespace, "logs", "-l", "llmfleet.dev/role=engine", "--tail=25", "--all-containers", "--prefix").stdout
        operator = self.kubectl("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=llmfleet", "--tail=30", "--prefix").stdout
        return f"\n--- pods\n{pods}--- engines\n{logs}--- operator\n{operator}"


def answers(clients: subprocess.Popen[str], *, within_seconds: float) -> list[Answer]:
    """Wait for clients to end, and return every answer."""
    try:
        output, errors = clients.communicate(timeout=within_seconds)
    except subprocess.TimeoutExpired:
        clients.kill()
        raise
    found = [Answer(**json.loads(line)) for line in output.splitlines()]
    assert found, errors
    return found


def example(name: str, **changes: Any) -> dict[str, Any]:
    """Return a manifest of examples/, with fields of its spec replaced."""
    manifest: dict[str, Any] = yaml.safe_load((REPOSITORY / "examples" / name).read_text())
    return {**manifest, "spec": merged(manifest["spec"], changes)}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as RFC 7386 does: objects field by field, anything else replaced."""
    result = dict(base)
    for name, value in changes.items():
        result[name] = merged(result.get(name) or {}, value) if isinstance(value, Mapping) else value
    return result
