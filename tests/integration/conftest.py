"""A real etcd and kube-apiserver for the whole session, a fresh namespace for each test."""

import base64
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from llmfleet.kube.client import Client
from llmfleet.server import connection
from llmfleet.server.watching import watch_settings
from tests.integration import operator_process
from tests.integration.kubelet import Kubelet, at_work


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> Path:
    """The chart's CRD, account and RBAC; gives the kubeconfig of that account."""
    kubectl = [str(control_plane.kubectl), "--kubeconfig", str(control_plane.kubeconfig)]
    rights = [doc for doc in operator_process.rendered_chart() if doc["kind"] in operator_process.RIGHTS]
    subprocess.run([*kubectl, "create", "namespace", operator_process.NAMESPACE], check=True, capture_output=True)
    subprocess.run([*kubectl, "apply", "--server-side", "-f", "-"], input=yaml.safe_dump_all(rights), check=True, capture_output=True, text=True)
    subprocess.run(
        [*kubectl, "wait", "--for=condition=Established", "crd/llmservices.llmfleet.dev", "crd/acceleratorprofiles.llmfleet.dev"],
        check=True,
        capture_output=True,
    )
    return operator_process.kubeconfig_of_the_account(control_plane, control_plane.kubeconfig.with_name("operator.kubeconfig"))


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """What a user types, with the administrator's rights."""
    return Kubectl(control_plane.kubectl, control_plane.kubeconfig)


@pytest.fixture
async def session(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Plain HTTP to the API server as the administrator."""
    context = _tls(control_plane.kubeconfig, tmp_path)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


@pytest.fixture
def client(control_plane: ControlPlane, session: aiohttp.ClientSession) -> Client:
    """The administrator's client."""
    return Client(lambda: (session, control_plane.server))


@pytest.fixture
async def kubelet(client: Client) -> AsyncIterator[Kubelet]:
    """Pods of Jobs come to their end; a test may say to which."""
    async with at_work(Kubelet(client)) as running:
        yield running


@pytest.fixture
async def account(installed: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """The client of the operator, with its rights."""
    monkeypatch.setenv("KUBECONFIG", str(installed))
    info = connection.login(watch_settings())
    async with connection.session(info) as session:
        yield Client(lambda: (session, info.server))


@pytest.fixture
async def namespace(client: Client) -> str:
    """A namespace of the test's own. It is not removed: nothing runs in it, and the control plane goes with the session."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def _tls(path: Path, folder: Path) -> ssl.SSLContext:
    kubeconfig = yaml.safe_load(path.read_text())
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = ssl.create_default_context(cafile=_file(cluster, "certificate-authority", folder))
    context.load_cert_chain(_file(user, "client-certificate", folder), _file(user, "client-key", folder))
    return context


def _file(entry: dict[str, str], field: str, folder: Path) -> str:
    """Path of a credential that a kubeconfig names or holds."""
    if field in entry:
        return entry[field]
    path = folder / field
    path.write_bytes(base64.b64decode(entry[f"{field}-data"]))
    return str(path)
