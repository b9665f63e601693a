"""Several APIs behind one TLS port: each with its own clients, none in the way of another."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.kube.client import Client
from llmfleet.metrics_api.api import MetricsApi
from llmfleet.metrics_api.application import Missing, Value
from llmfleet.server.admission import Admission
from llmfleet.tls.listener import LARGEST_BODY_BYTES, Api, Listener
from tests.unit.metrics_api.authorities import Authority
from tests.unit.tls.fake_api_server import CONFIG_MAP, FakeApiServer

NAMESPACE, SERVICE = "llmfleet-system", "llmfleet"


class Simple:
    """An API that answers `ok`."""

    def __init__(self, path: str, *, failure: Exception | None = None, known: bool = True) -> None:
        self.path = path
        self.application = web.Application()
        self.application.router.add_get("", self._ok)
        self.application.router.add_post("", self._ok)
        self.bundles: list[str] = []
        self._failure = failure
        self._known = known

    async def _ok(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="ok")

    async def prepare(self) -> None:
        """Nothing."""

    async def publish(self, bundle: str) -> bool:
        if self._failure is not None:
            raise self._failure
        self.bundles.append(bundle)
        return self._known


@asynccontextmanager
async def listening(client: Client, *apis: Api) -> AsyncIterator[tuple[Listener, int]]:
    listener = Listener(client, apis, namespace=NAMESPACE, service=SERVICE, secret="certificate", host="127.0.0.1", port=0)
    async with listener.listening() as port:
        yield listener, port


async def ask(
    port: int, path: str, bundle: str, authority: Authority | None = None, directory: Path | None = None, method: str = "GET", body: bytes | None = None
) -> int:
    context = ssl.create_default_context(cadata=bundle)
    if authority is not None and directory is not None:
        authority.equip(context, "front-proxy-client", directory)
    url = f"https://127.0.0.1:{port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=body, ssl=context, server_hostname=f"{SERVICE}.{NAMESPACE}.svc", headers={"X-Remote-User": "hpa"}) as answer,
    ):
        return answer.status


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with FakeApiServer().client() as client:
        yield client


async def test_where_no_api_asks_for_certificates_clients_need_none(client: Client) -> None:
    api = Simple("/one")
    async with listening(client, api) as (listener, port):
        assert await listener.refresh()
        assert await ask(port, "/one", api.bundles[0]) == 200


async def test_one_that_cannot_be_told_holds_up_no_other(client: Client) -> None:
    broken, whole = Simple("/one", failure=LookupError("gone")), Simple("/two")
    async with listening(client, broken, whole) as (listener, port):
        with pytest.raises(LookupError, match="gone"):
            await listener.refresh()
        assert listener.ready
        assert await ask(port, "/two", whole.bundles[0]) == 200


@pytest.mark.parametrize(("size", "status"), [(LARGEST_BODY_BYTES, 200), (LARGEST_BODY_BYTES + 1, 413)])
async def test_a_body_may_be_as_large_as_two_objects_and_no_larger(client: Client, size: int, status: int) -> None:
    api = Simple("/one")
    async with listening(client, api) as (listener, port):
        assert await listener.refresh()
        assert await ask(port, "/one", api.bundles[0], method="POST", body=b" " * size) == status


async def test_all_must_be_trusted_before_it_rests(client: Client) -> None:
    async with listening(client, Simple("/one"), Simple("/two", known=False)) as (listener, _):
        assert not await listener.refresh()


async def test_admission_needs_no_certificate_and_the_metrics_beside_it_do(tmp_path: Path) -> None:
    api_server, front_proxy = FakeApiServer(), Authority("front-proxy-ca")
    api_server.front_proxy(front_proxy.pem)

    def read(_namespace: str, _name: str, _metric: str) -> Value | Missing:
        return Missing("nothing")

    async with api_server.client() as client:
        metrics = MetricsApi(client, read, namespace=NAMESPACE, service=SERVICE)
        admission = Admission(client, built_in_profiles, "nvidia", namespace=NAMESPACE, service=SERVICE)
        seen = Simple("/seen")
        async with listening(client, metrics, admission, seen) as (listener, port):
            assert not await listener.refresh(), "there is no registration of the webhook"
            [bundle] = seen.bundles
            root = "/apis/custom.metrics.k8s.io/v1beta2"
            assert await ask(port, "/admit", bundle, method="POST") == 400
            assert await ask(port, root, bundle) == 401
            assert await ask(port, root, bundle, front_proxy, tmp_path) == 200
            assert CONFIG_MAP in api_server.objects
