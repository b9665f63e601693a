"""The operator as a process of its own, with the rights that the chart gives it and no others, and what the API server's audit log says of it."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from e2e.cluster import binaries
from e2e.cluster.controlplane import ControlPlane, owner_mark
from e2e.kubectl import Kubectl
from e2e.ports import free_port
from e2e.waiting import eventually
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import LLMSERVICE

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "llmfleet-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:llmfleet"

RIGHTS = frozenset({"CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})
"""What is installed of the chart: everything but the operator itself, which runs here."""

_CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True, slots=True)
class Write:
    """One mutating request in the audit log."""

    verb: str
    resource: str
    name: str
    status: int
    credential: str
    """Which token of the account it came with: each process that is to be told apart has its own."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name} {self.status}"


@dataclass(slots=True)
class _AuditLog:
    """What has been read of an audit log: it grows with the session, and is looked at ten times a second."""

    path: Path
    offset: int = 0
    found: dict[str | None, list[Write]] = field(default_factory=dict)
    """By namespace."""

    def read(self) -> None:
        """Read the lines that have become whole since the last time."""
        with self.path.open("rb") as log:
            log.seek(self.offset)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        if event["user"]["username"] != ACCOUNT or event["verb"] in ("get", "list", "watch"):
            return
        reference = event.get("objectRef", {})
        resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
        if resource != "subjectaccessreviews":
            [credential] = event["user"]["extra"][_CREDENTIAL]
            write = Write(event["verb"], resource, reference.get("name", ""), event["responseStatus"]["code"], credential)
            self.found.setdefault(reference.get("namespace"), []).append(write)


@cache
def _audit_log(path: Path) -> _AuditLog:
    return _AuditLog(path)


def writes(audit_log: Path, namespace: str | None) -> list[Write]:
    """Every mutating request of the operator's account so far, in a namespace or (None) to what is in none; its questions (reviews) are no writes."""
    log = _audit_log(audit_log)
    log.read()
    return list(log.found.get(namespace, ()))


@dataclass(slots=True)
class Operator:
    """One operator process, and what the API server's audit log says of it."""

    kubeconfig: Path
    audit_log: Path
    log: Path
    identity: str
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def credential(self) -> str:
        """The id of its token, as the audit log has it."""
        payload = yaml.safe_load(self.kubeconfig.read_text())["users"][0]["user"]["token"].split(".")[1]
        return f"JTI={json.loads(base64.urlsafe_b64decode(payload + '==='))['jti']}"

    def start(self) -> None:
        self.port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.kubeconfig),
            "LLMFLEET_NAMESPACE": NAMESPACE,
            "LLMFLEET_IDENTITY": self.identity,
            "LLMFLEET_RUNTIME_IMAGE": "registry.example/llmfleet-runtime:test",
            "LLMFLEET_METRICS_API": "false",
            "LLMFLEET_ADMISSION": "false",
            "LLMFLEET_HEALTH_PORT": str(self.port),
            **owner_mark(),
            **self.settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "llmfleet", "run"], env=environment, stdout=log, stderr=log)

    async def answers(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its health port; (0, "") while it does not listen."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def is_leader(self) -> bool:
        return "llmfleet_leader 1.0" in (await self.answers("/metrics"))[1]

    async def is_ready(self) -> bool:
        return (await self.answers("/readyz"))[0] == 200

    async def leading(self, within_seconds: float = 40) -> None:
        await eventually(self.is_leader, within_seconds=within_seconds, what=f"the operator {self.identity} leads")

    def end(self, number: signal.Signals) -> int:
        """Send the operator a signal, wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def end_cleanly(self) -> None:
        """Stop the operator if it runs; nothing may have surprised it."""
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGTERM)
        text = self.log.read_text()
        assert "Traceback" not in text, text[-6000:]

    def observed(self, namespace: str) -> None:
        """Fail unless every LLMService of the namespace has a status of its present generation."""
        for item in self._services(namespace):
            generation, observed = item["metadata"]["generation"], item.get("status", {}).get("observedGeneration")
            assert observed == generation, f"{item['metadata']['name']}: generation {generation}, observed {observed}"

    def _services(self, namespace: str) -> list[dict[str, Any]]:
        path = f"/apis/{LLMSERVICE.api_version}/namespaces/{namespace}/{LLMSERVICE.plural}"
        listed = Kubectl(binaries.ensure(["kubectl"])["kubectl"], self.kubeconfig).must("get", "--raw", path)
        return [item for item in json.loads(listed)["items"] if "deletionTimestamp" not in item["metadata"]]

    def writes(self, namespace: str) -> list[Write]:
        """Every mutating request of the operator's account in a namespace so far, whichever process sent it."""
        return writes(self.audit_log, namespace)


def rendered_chart(*arguments: str) -> list[dict[str, Any]]:
    """The chart's objects, as Helm renders them for NAMESPACE."""
    helm = str(binaries.ensure(["helm"])["helm"])
    command = [helm, "template", "llmfleet", str(ROOT / "charts/llmfleet"), "--namespace", NAMESPACE, *arguments]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [doc for doc in yaml.safe_load_all(rendered) if doc]


def kubeconfig_of_the_account(control_plane: ControlPlane, path: Path) -> Path:
    """Write a kubeconfig with a new token of the operator's account."""
    command = [str(control_plane.kubectl), "--kubeconfig", str(control_plane.kubeconfig), "-n", NAMESPACE, "create", "token", "llmfleet"]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(config))
    return path


def service(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """A small LLMService."""
    metadata = {"name": name, "namespace": namespace}
    wanted = {"model": {"source": "pvc://models/tiny"}, "accelerator": {"profile": "cpu"}, **spec}
    return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": wanted}


async def quiet(operator: Operator, namespace: str, seconds: float = 2) -> list[Write]:
    """Wait until the operator has answered every change of a namespace's LLMServices and has not written there for that long; return all its writes there."""

    def answered() -> bool:
        operator.observed(namespace)
        return True

    await eventually(answered, within_seconds=60, what="the operator has seen every LLMService as it is")
    before, since = operator.writes(namespace), asyncio.get_running_loop().time()

    def look() -> bool:
        nonlocal before, since
        now = operator.writes(namespace)
        if len(now) != len(before):
            before, since = now, asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - since > seconds

    await eventually(look, within_seconds=60, what="the operator becomes quiet")
    return before


async def status_of(client: Client, namespace: str, name: str) -> dict[str, Any]:
    found = await client.get(LLMSERVICE, namespace, name)
    assert found is not None
    return dict(found.get("status", {}))


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found = next((item for item in status.get("conditions", ()) if item["type"] == kind), None)
    assert found is not None, status
    return dict(found)
