"""The metrics server behind the real aggregator: who gets an answer, what it writes, and what it must never hold up."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from e2e.ports import free_port
from e2e.waiting import eventually
from llmfleet.kube.client import Client
from llmfleet.metrics_api.api import MetricsApi
from llmfleet.metrics_api.application import Missing, Value
from llmfleet.tls.listener import Listener
from tests.integration.metrics_api.conftest import API_SERVICE, SECRET, SERVICE, InstallApi
from tests.integration.operator_process import NAMESPACE, writes

ROOT = "/apis/custom.metrics.k8s.io/v1beta2"
METRICS = ("demand", "queue_depth", "in_flight")


@dataclass(slots=True)
class Serving:
    """A metrics server that listens, its port, and the number that it gives for every metric of the LLMService `one`."""

    server: Listener
    port: int
    number: int


@asynccontextmanager
async def _serving(account: Client, number: int) -> AsyncIterator[Serving]:
    def read(namespace: str, name: str, _metric: str) -> Value | Missing:
        return Value(number, time.time()) if name == "one" else Missing(f"there is no LLMService {namespace}/{name}", exists=False)

    api = MetricsApi(account, read, namespace=NAMESPACE, service=SERVICE)
    server = Listener(account, [api], namespace=NAMESPACE, service=SERVICE, secret=SECRET, port=free_port())
    async with server.listening() as port:
        yield Serving(server, port, number)


@pytest.fixture
async def served(account: Client, install_api: InstallApi, kubectl: Kubectl) -> AsyncIterator[Serving]:
    """A server that the aggregator trusts."""
    async with _serving(account, 3) as serving:
        install_api(serving.port)
        assert await serving.server.refresh()
        await _available(kubectl)
        yield serving
        # Before its server, as the chart does it.
        await _kubectl(kubectl, "delete", "apiservice", API_SERVICE, "--ignore-not-found")


async def _kubectl(kubectl: Kubectl, *arguments: str, given: object = None) -> str:
    """As a user, beside the loop: what is asked may be answered by this very process."""
    return await asyncio.to_thread(kubectl.must, *arguments, given=given)


async def _available(kubectl: Kubectl) -> None:
    done = await asyncio.to_thread(kubectl, "wait", "--for=condition=Available", f"apiservice/{API_SERVICE}", "--timeout=20s")
    assert done.returncode == 0, await _kubectl(kubectl, "get", "apiservice", API_SERVICE, "-o", "jsonpath={.status.conditions}")


async def _get(kubectl: Kubectl, namespace: str, metric: str, user: str) -> tuple[int, str]:
    """What `kubectl get --raw` gives a user: its exit status, and what it prints."""
    path = f"{ROOT}/namespaces/{namespace}/llmservices.llmfleet.dev/one/{metric}"
    done = await asyncio.to_thread(kubectl, "get", "--raw", path, f"--as={user}")
    return done.returncode, done.stdout + done.stderr


async def test_who_may_view_a_namespace_may_read_its_metrics_and_nobody_else(served: Serving, kubectl: Kubectl, namespace: str) -> None:
    await _kubectl(kubectl, "-n", namespace, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer")

    async def read() -> bool:  # a controller aggregates the role
        return (await _get(kubectl, namespace, "demand", "viewer"))[0] == 0

    await eventually(read, within_seconds=10)
    for metric in METRICS:
        status, text = await _get(kubectl, namespace, metric, "viewer")
        assert status == 0, text
        [item] = json.loads(text)["items"]
        assert (item["metric"]["name"], item["value"]) == (metric, str(served.number))
        for user, where in (("stranger", namespace), ("viewer", "default")):
            status, text = await _get(kubectl, where, metric, user)
            assert status == 1
            assert "(Forbidden)" in text


async def test_a_request_past_the_aggregator_needs_its_certificate(served: Serving, control_plane: ControlPlane, kubectl: Kubectl, namespace: str) -> None:
    bundle = await _kubectl(kubectl, "get", "apiservice", API_SERVICE, "-o", "jsonpath={.spec.caBundle}")
    pki = control_plane.settings.pki

    async def ask(certificate: str | None, user: str) -> tuple[int, str]:
        context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
        if certificate is not None:
            context.load_cert_chain(pki.certificate(certificate), pki.key(certificate))
            context.maximum_version = ssl.TLSVersion.TLSv1_2  # in which the client's handshake fails too; in 1.3 its first read does
        url = f"https://localhost:{served.port}{ROOT}/namespaces/{namespace}/llmservices.llmfleet.dev/one/demand"
        headers = {"X-Remote-User": user, "X-Remote-Group": "system:authenticated"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, ssl=context, server_hostname=f"{SERVICE}.{NAMESPACE}.svc", headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    hpa = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
    status, text = await ask(None, hpa)
    assert (status, json.loads(text)["reason"]) == (401, "Unauthorized")
    with pytest.raises(aiohttp.ClientConnectorError):  # before any request is sent
        await ask("admin", hpa)  # of the CA of users
    # The aggregator's own certificate: the API server is asked all the same whether this user may.
    assert (await ask("front-proxy", hpa))[0] == 200
    status, text = await ask("front-proxy", "stranger")
    assert status == 403
    assert json.loads(text)["message"] == (
        f'user "stranger" cannot get resource "llmservices.llmfleet.dev/demand" in API group "custom.metrics.k8s.io" in the namespace "{namespace}"'
    )


async def test_two_writes_in_all_and_a_second_server_needs_none(
    account: Client, install_api: InstallApi, kubectl: Kubectl, control_plane: ControlPlane, namespace: str
) -> None:
    before = {where: len(writes(control_plane.audit_log, where)) for where in (NAMESPACE, None)}

    def written() -> list[str]:
        # Less the Lease of another test's operator, should one run in this session.
        found = [write for where in (NAMESPACE, None) for write in writes(control_plane.audit_log, where)[before[where] :]]
        return [str(write) for write in found if write.resource != "leases"]

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(_serving(account, 3))
        assert not await first.server.refresh(), "Helm installs the APIService last"
        assert written() == [f"update secrets {SECRET} 200"]
        install_api(first.port)
        assert await first.server.refresh()
        both = [f"update secrets {SECRET} 200", f"patch apiservices {API_SERVICE} 200"]
        assert written() == both
        for _ in range(3):
            assert await first.server.refresh()

        async with _serving(account, 7) as second:
            assert await second.server.refresh()
            await _available(kubectl)
            assert await _demand(kubectl, namespace) == "3"
            await stack.aclose()
            install_api(second.port)
            await _available(kubectl)

            async def answered() -> bool:
                return await _demand(kubectl, namespace) == "7"

            await eventually(answered)
            assert written() == both
            await _kubectl(kubectl, "delete", "apiservice", API_SERVICE, "--ignore-not-found")


async def _demand(kubectl: Kubectl, namespace: str) -> str:
    text = await _kubectl(kubectl, "get", "--raw", f"{ROOT}/namespaces/{namespace}/llmservices.llmfleet.dev/one/demand")
    return str(json.loads(text)["items"][0]["value"])


async def test_a_namespace_goes_at_once_while_metrics_are_served_and_after(served: Serving, kubectl: Kubectl, namespace: str) -> None:
    await _kubectl(kubectl, "create", "namespace", after := f"{namespace}-after")
    since = time.monotonic()
    await _kubectl(kubectl, "delete", "namespace", namespace, "--timeout=20s")
    print(f"while served: {time.monotonic() - since:.1f} s")
    await _kubectl(kubectl, "delete", "apiservice", API_SERVICE, "--ignore-not-found")
    since = time.monotonic()
    await _kubectl(kubectl, "delete", "namespace", after, "--timeout=20s")
    print(f"after: {time.monotonic() - since:.1f} s")
