"""The operator as a process of its own, with the rights that the chart gives it and no others, on a real API server with its controllers."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from e2e.cluster import binaries
from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from llmfleet.kube.client import Client

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "llmfleet-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:llmfleet"


@dataclass(frozen=True, slots=True)
class Write:
    """One mutating request in the audit log."""

    verb: str
    resource: str
    name: str
    status: int

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name} {self.status}"


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

    def start(self) -> None:
        self.port = _free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.kubeconfig),
            "LLMFLEET_NAMESPACE": NAMESPACE,
            "LLMFLEET_IDENTITY": self.identity,
            "LLMFLEET_RUNTIME_IMAGE": "registry.example/llmfleet-runtime:test",
            "LLMFLEET_METRICS_API": "false",
            "LLMFLEET_HEALTH_PORT": str(self.port),
            **self.settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "llmfleet", "run"], env=environment, stdout=log, stderr=log)

    async def leading(self) -> None:
        async def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                    return "llmfleet_leader 1.0" in await answer.text()
            except aiohttp.ClientError:
                return False

        await eventually(look, within_seconds=40, what="the operator leads")

    def end(self, number: signal.Signals) -> int:
        """Send the operator a signal, wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def writes(self, namespace: str) -> list[Write]:
        """Every mutating request of the operator in a namespace so far."""
        found = []
        for line in self.audit_log.read_text().splitlines():
            event: dict[str, Any] = json.loads(line)
            reference = event.get("objectRef", {})
            if event["user"]["username"] == ACCOUNT and event["verb"] not in ("get", "list", "watch") and reference.get("namespace") == namespace:
                resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
                found.append(Write(event["verb"], resource, reference.get("name", ""), event["responseStatus"]["code"]))
        return found


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> Path:
    """The chart's CRD, account and RBAC; gives the kubeconfig of that account."""
    tools = binaries.ensure(["helm", "kubectl"])
    kubectl = [str(tools["kubectl"]), "--kubeconfig", str(control_plane.kubeconfig)]
    rendered = subprocess.run(
        [tools["helm"], "template", "llmfleet", ROOT / "charts/llmfleet", "--namespace", NAMESPACE], check=True, capture_output=True, text=True
    ).stdout
    rights = [doc for doc in yaml.safe_load_all(rendered) if doc and doc["kind"] in RIGHTS]
    subprocess.run([*kubectl, "create", "namespace", NAMESPACE], check=True, capture_output=True)
    subprocess.run([*kubectl, "apply", "--server-side", "-f", "-"], input=yaml.safe_dump_all(rights), check=True, capture_output=True, text=True)
    subprocess.run([*kubectl, "wait", "--for=condition=Established", "crd/llmservices.llmfleet.dev"], check=True, capture_output=True)
    token = subprocess.run([*kubectl, "-n", NAMESPACE, "create", "token", "llmfleet"], check=True, capture_output=True, text=True).stdout.strip()
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = control_plane.kubeconfig.with_name("operator.kubeconfig")
    path.write_text(yaml.safe_dump(config))
    return path


RIGHTS = frozenset({"CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})


@pytest.fixture(scope="session")
def process(installed: Path, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all tests: each has a namespace of its own, and counts the writes there."""
    running = Operator(installed, control_plane.audit_log, tmp_path_factory.mktemp("operator") / "log", "first")
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.end(signal.SIGTERM)
    text = running.log.read_text()
    assert "Traceback" not in text, text[-6000:]


@pytest.fixture
async def operator(process: Operator) -> Operator:
    """The operator, leading."""
    await process.leading()
    return process


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """What a user types, with the administrator's rights."""
    return Kubectl(control_plane.kubectl, control_plane.kubeconfig)


def service(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """A small LLMService."""
    metadata = {"name": name, "namespace": namespace}
    wanted = {"model": {"source": "pvc://models/tiny"}, "accelerator": {"profile": "cpu"}, **spec}
    return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": wanted}


async def quiet(operator: Operator, namespace: str, seconds: float = 2) -> list[Write]:
    """Wait until the operator has not written to a namespace for that long; return all its writes there."""
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
    from llmfleet.kube.kinds import LLMSERVICE

    found = await client.get(LLMSERVICE, namespace, name)
    assert found is not None
    return dict(found.get("status", {}))


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found = next((item for item in status.get("conditions", ()) if item["type"] == kind), None)
    assert found is not None, status
    return dict(found)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
