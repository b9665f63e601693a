"""The metrics API over real TLS, asked as the aggregator asks."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llmfleet.kube.client import Client
from llmfleet.metrics_api.api import MetricsApi
from llmfleet.metrics_api.application import Missing, Value
from llmfleet.tls.listener import Listener
from tests.unit.metrics_api.authorities import Authority
from tests.unit.tls.fake_api_server import API_SERVICE, CONFIG_MAP, SECRET, FakeApiServer

ROOT = "/apis/custom.metrics.k8s.io/v1beta2"
DEMAND = f"{ROOT}/namespaces/team/llmservices.llmfleet.dev/chat/demand"
HPA = {
    "X-Remote-User": "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
    "X-Remote-Group": "system:serviceaccounts",
    "X-Remote-Extra-Authentication.kubernetes.io%2fPod-Name": "controller-0",
}


def read(namespace: str, name: str, metric: str) -> Value | Missing:
    match namespace, name:
        case "team", "chat":
            return Value({"demand": 4, "queue_depth": 744, "in_flight": 1000}[metric], 1_763_716_797.9)
        case "team", "loading":
            return Missing("no replica is ready: nothing is known about the load")
        case _:
            return Missing(f"there is no LLMService {namespace}/{name}", exists=False)


class Cluster:
    """An API server, its front proxy's CA, and our server behind it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.api_server = FakeApiServer()
        self.front_proxy = Authority("front-proxy-ca")
        self.api_server.front_proxy(self.front_proxy.pem)
        self.port = 0

    def server(self, client: Client) -> Listener:
        namespace, service = "llmfleet-system", "llmfleet"
        api = MetricsApi(client, read, namespace=namespace, service=service)
        return Listener(client, [api], namespace=namespace, service=service, secret="certificate", host="127.0.0.1", port=0)

    @property
    def ca_bundle(self) -> str:
        return base64.b64decode(self.api_server.objects[API_SERVICE]["spec"]["caBundle"]).decode()

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        authority: Authority | None = None,
        common_name: str | None = "front-proxy-client",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Ask as the aggregator does: trusting the APIService's CA bundle, by the Service's name; without a certificate where the common name is None."""
        given = HPA if headers is None else headers
        async with self._request(method, path, authority or self.front_proxy, common_name, given) as response:
            return response.status, await response.json() if method != "HEAD" else None

    async def status(self, path: str, common_name: str | None) -> int:
        """The status alone, of what need not be JSON."""
        async with self._request("GET", path, self.front_proxy, common_name, HPA) as response:
            return response.status

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, authority: Authority, common_name: str | None, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        context = ssl.create_default_context(cadata=self.ca_bundle)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if common_name is not None:
            authority.equip(context, common_name, self.directory)
        url = f"https://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, ssl=context, server_hostname="llmfleet.llmfleet-system.svc") as response,
        ):
            yield response


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Cluster, Listener]]:
    cluster = Cluster(tmp_path)
    async with AsyncExitStack() as stack:
        server = cluster.server(await stack.enter_async_context(cluster.api_server.client()))
        cluster.port = await stack.enter_async_context(server.listening())
        await server.refresh()
        yield cluster, server


@pytest.fixture
def cluster(running: tuple[Cluster, Listener]) -> Cluster:
    return running[0]


@pytest.mark.parametrize(("metric", "value"), [("demand", "4"), ("queue_depth", "744"), ("in_flight", "1000")])
async def test_the_hpa_reads_a_value(cluster: Cluster, metric: str, value: str) -> None:
    assert await cluster.ask(f"{ROOT}/namespaces/team/llmservices.llmfleet.dev/chat/{metric}") == (
        200,
        {
            "kind": "MetricValueList",
            "apiVersion": "custom.metrics.k8s.io/v1beta2",
            "metadata": {},
            "items": [
                {
                    "describedObject": {"kind": "LLMService", "namespace": "team", "name": "chat", "apiVersion": "llmfleet.dev/v1alpha1"},
                    "metric": {"name": metric},
                    "timestamp": "2025-11-21T09:19:57Z",
                    "value": value,
                }
            ],
        },
    )


async def test_the_api_server_is_asked_as_for_its_own_resources(cluster: Cluster) -> None:
    await cluster.ask(DEMAND)
    await cluster.ask(DEMAND)
    assert cluster.api_server.reviews == [
        {
            "user": "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
            "groups": ["system:serviceaccounts"],
            "extra": {"authentication.kubernetes.io/pod-name": ["controller-0"]},
            "resourceAttributes": {
                "verb": "get",
                "group": "custom.metrics.k8s.io",
                "version": "v1beta2",
                "resource": "llmservices.llmfleet.dev",
                "subresource": "demand",
                "namespace": "team",
                "name": "chat",
            },
        }
    ]


async def test_discovery_is_for_whoever_passes_the_front_proxy(cluster: Cluster) -> None:
    status, body = await cluster.ask(ROOT, headers={"X-Remote-User": "system:kube-aggregator", "X-Remote-Group": "system:masters"})
    assert (status, body["kind"], body["groupVersion"]) == (200, "APIResourceList", "custom.metrics.k8s.io/v1beta2")
    assert [resource["name"] for resource in body["resources"]] == [
        "llmservices.llmfleet.dev/demand",
        "llmservices.llmfleet.dev/queue_depth",
        "llmservices.llmfleet.dev/in_flight",
    ]
    assert cluster.api_server.reviews == []


@pytest.mark.parametrize("path", ["/apis", f"{ROOT}/namespaces/team/pods/chat/demand"])
async def test_other_paths_do_not_exist(cluster: Cluster, path: str) -> None:
    status, body = await cluster.ask(path)
    assert (status, body["kind"], body["reason"], body["code"]) == (404, "Status", "NotFound", 404)


async def test_another_metric_does_not_exist(cluster: Cluster) -> None:
    status, body = await cluster.ask(f"{ROOT}/namespaces/team/llmservices.llmfleet.dev/chat/latency")
    assert (status, body["message"]) == (404, "there is no metric latency of an LLMService; there are demand, queue_depth, in_flight")


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "PUT", "PATCH"])
async def test_metrics_are_only_read(cluster: Cluster, method: str) -> None:
    assert (await cluster.ask(DEMAND, method=method))[0] == 405


async def test_no_data_is_an_error_with_its_reason(cluster: Cluster) -> None:
    status, body = await cluster.ask(f"{ROOT}/namespaces/team/llmservices.llmfleet.dev/loading/demand")
    assert (status, body["reason"], body["message"]) == (503, "ServiceUnavailable", "no replica is ready: nothing is known about the load")


async def test_a_service_that_does_not_exist_is_not_found(cluster: Cluster) -> None:
    status, body = await cluster.ask(f"{ROOT}/namespaces/other/llmservices.llmfleet.dev/chat/demand")
    assert (status, body["reason"], body["message"]) == (404, "NotFound", "there is no LLMService other/chat")


async def test_a_user_without_the_role_is_forbidden(cluster: Cluster) -> None:
    status, body = await cluster.ask(DEMAND, headers={"X-Remote-User": "eve"})
    assert (status, body["reason"]) == (403, "Forbidden")
    assert 'user "eve" cannot get resource "llmservices.llmfleet.dev/demand"' in body["message"]


async def test_when_the_api_server_cannot_be_asked_nothing_is_revealed(cluster: Cluster) -> None:
    cluster.api_server.fails = True
    status, body = await cluster.ask(DEMAND)
    assert (status, body["reason"]) == (503, "ServiceUnavailable")


@pytest.mark.parametrize("path", ["/", "/openapi/v2", "/openapi/v3", "/metrics", "/apisx"])
async def test_beside_the_apis_there_is_nothing_whoever_asks(cluster: Cluster, path: str) -> None:
    assert await cluster.status(path, "front-proxy-client") == await cluster.status(path, None) == 404


@pytest.mark.parametrize("path", [DEMAND, ROOT, "/apis", "/apis/nowhere"])
@pytest.mark.parametrize("common_name", ["somebody-else", None])
async def test_whoever_is_not_the_aggregator_learns_nothing(cluster: Cluster, path: str, common_name: str | None) -> None:
    status, body = await cluster.ask(path, common_name=common_name)
    assert (status, body["message"]) == (401, "Unauthorized")
    assert cluster.api_server.reviews == []


async def test_the_aggregator_must_say_for_whom_it_asks(cluster: Cluster) -> None:
    assert (await cluster.ask(DEMAND, headers={}))[0] == 401


async def test_a_certificate_of_another_authority_fails_the_handshake(cluster: Cluster) -> None:
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await cluster.ask(DEMAND, authority=Authority("front-proxy-ca"))


async def test_an_empty_list_of_names_allows_every_name(running: tuple[Cluster, Listener]) -> None:
    cluster, server = running
    cluster.api_server.front_proxy(cluster.front_proxy.pem, allowed_names="[]")
    await server.refresh()
    assert (await cluster.ask(DEMAND, common_name="somebody-else"))[0] == 200


async def test_a_new_authority_of_the_front_proxy_is_taken_over_and_the_old_one_dropped(running: tuple[Cluster, Listener]) -> None:
    cluster, server = running
    renewed = Authority("front-proxy-ca-2")
    cluster.api_server.front_proxy(renewed.pem)
    await server.refresh()
    assert (await cluster.ask(DEMAND, authority=renewed))[0] == 200
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await cluster.ask(DEMAND)


async def test_a_second_replica_serves_the_same_certificate_without_a_write(running: tuple[Cluster, Listener]) -> None:
    cluster, _ = running
    assert cluster.api_server.writes == [("PUT", SECRET), ("PATCH", API_SERVICE)]
    async with cluster.api_server.client() as client:
        second = cluster.server(client)
        async with second.listening() as port:
            await second.refresh()
            await second.refresh()
            cluster.port = port
            assert (await cluster.ask(DEMAND))[0] == 200
    assert len(cluster.api_server.writes) == 2


async def test_a_certificate_that_someone_destroyed_is_made_anew(running: tuple[Cluster, Listener]) -> None:
    cluster, server = running
    del cluster.api_server.objects[SECRET]["data"]["tls.key"]
    await server.refresh()
    assert (await cluster.ask(DEMAND))[0] == 200


async def test_before_the_first_refresh_nobody_gets_through(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    async with cluster.api_server.client() as client:
        server = cluster.server(client)
        async with server.listening() as cluster.port:
            assert not server.ready
            cluster.api_server.objects[API_SERVICE]["spec"]["caBundle"] = base64.b64encode(cluster.front_proxy.pem.encode()).decode()
            with pytest.raises(aiohttp.ClientOSError):
                await cluster.ask(DEMAND)


async def test_what_was_known_serves_on_while_the_api_server_fails(running: tuple[Cluster, Listener]) -> None:
    cluster, server = running
    del cluster.api_server.objects[CONFIG_MAP]
    with pytest.raises(ValueError, match="there is no ConfigMap"):
        await server.refresh()
    assert server.ready
    assert (await cluster.ask(DEMAND))[0] == 200


async def test_the_api_service_of_another_adapter_is_left_alone(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.api_server.objects[API_SERVICE]["spec"]["service"] = {"namespace": "monitoring", "name": "prometheus-adapter"}
    async with cluster.api_server.client() as client:
        assert not await cluster.server(client).refresh()
    assert cluster.api_server.writes == [("PUT", SECRET)]


async def test_a_running_server_makes_itself_trusted(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    async with cluster.api_server.client() as client:
        server = cluster.server(client)
        running = asyncio.create_task(server.run())
        await cluster.api_server.published.wait()
        assert server.ready
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_an_api_service_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    """The chart removes it first on uninstall; it must not come back."""
    cluster = Cluster(tmp_path)
    del cluster.api_server.objects[API_SERVICE]
    async with cluster.api_server.client() as client:
        assert not await cluster.server(client).refresh()
    assert cluster.api_server.writes == [("PUT", SECRET)]
