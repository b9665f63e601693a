import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import API_SERVICE, DEPLOYMENT, LEASE, LLMSERVICE, SERVICE, kind_of

MANIFEST = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "ns", "name": "x"}, "spec": {}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """A server on the loopback that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []

    def will(self, *answers: Answer) -> None:
        self.answers += answers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answers.pop(0)(request)


def gives(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def refuses(status: int, reason: str, message: str = "") -> Answer:
    return gives({"kind": "Status", "reason": reason, "message": message}, status)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Client(lambda: (session, str(server.make_url("/"))))


def test_urls_follow_the_api_servers_scheme() -> None:
    assert SERVICE.path("ns", "x") == "/api/v1/namespaces/ns/services/x"
    assert DEPLOYMENT.path("ns", "x", "scale") == "/apis/apps/v1/namespaces/ns/deployments/x/scale"
    assert LLMSERVICE.path() == "/apis/llmfleet.dev/v1alpha1/llmservices"
    assert API_SERVICE.path(None, "v1") == "/apis/apiregistration.k8s.io/v1/apiservices/v1"
    assert kind_of(MANIFEST) == DEPLOYMENT


async def test_an_apply_is_forced_and_names_its_manager(api: Api, client: Client) -> None:
    api.will(gives({**MANIFEST, "status": {}}))
    assert (await client.apply(MANIFEST, field_manager="me"))["status"] == {}
    request = api.requests[0]
    assert request.method == "PATCH"
    assert request.path_qs == "/apis/apps/v1/namespaces/ns/deployments/x?fieldManager=me&force=true"
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(api.bodies[0]) == MANIFEST


async def test_the_scale_is_patched_apart_from_what_we_apply(api: Api, client: Client) -> None:
    api.will(gives({}))
    await client.set_scale(DEPLOYMENT, "ns", "x", 3)
    assert api.requests[0].path == "/apis/apps/v1/namespaces/ns/deployments/x/scale"
    assert json.loads(api.bodies[0]) == {"spec": {"replicas": 3}}


async def test_what_is_not_there_is_none(api: Api, client: Client) -> None:
    api.will(refuses(404, "NotFound"))
    assert await client.get(DEPLOYMENT, "ns", "x") is None


async def test_a_list_is_read_page_by_page_and_its_items_know_their_kind(api: Api, client: Client) -> None:
    api.will(
        gives({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}),
        gives({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]}),
    )
    found = await client.list(DEPLOYMENT, namespace="ns", label_selector="a=b")
    assert [one["metadata"]["name"] for one in found] == ["a", "b"]
    assert found[0]["kind"] == "Deployment"
    assert found.resource_version == "7"
    assert [dict(request.query) for request in api.requests] == [
        {"limit": "500", "labelSelector": "a=b"},
        {"limit": "500", "labelSelector": "a=b", "continue": "more"},
    ]


async def test_a_list_that_expires_on_the_way_begins_again(api: Api, client: Client) -> None:
    page = gives({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]})
    api.will(page, refuses(410, "Expired"), gives({"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "b"}}]}))
    assert [one["metadata"]["name"] for one in await client.list(DEPLOYMENT)] == ["b"]


async def test_only_the_very_object_is_deleted(api: Api, client: Client) -> None:
    api.will(gives({}), refuses(404, "NotFound"), refuses(409, "Conflict"))
    await client.delete(DEPLOYMENT, "ns", "x", uid="u")
    assert json.loads(api.bodies[0])["preconditions"] == {"uid": "u"}
    await client.delete(DEPLOYMENT, "ns", "x", uid="u")
    with pytest.raises(ApiError) as caught:
        await client.delete(DEPLOYMENT, "ns", "x", uid="u")
    assert caught.value.conflict


async def test_refusals_carry_the_servers_words(api: Api, client: Client) -> None:
    api.will(gives({"reason": "TooManyRequests", "message": "slow"}, 429, {"Retry-After": "4"}))
    with pytest.raises(ApiError) as caught:
        await client.get_path("/version")
    assert (caught.value.status, caught.value.retry_after, caught.value.message) == (429, 4, "slow")
    assert len(api.requests) == 1


async def test_a_dead_connection_is_not_the_fault_of_an_apply(api: Api, client: Client) -> None:
    api.will(hangs_up, gives(MANIFEST))
    await client.apply(MANIFEST, field_manager="me")
    api.will(hangs_up, hangs_up)
    with pytest.raises(ApiError) as caught:
        await client.apply(MANIFEST, field_manager="me")
    assert (caught.value.status, caught.value.retryable) == (0, True)


async def test_a_creation_is_never_sent_twice(api: Api, client: Client) -> None:
    api.will(hangs_up)
    with pytest.raises(ApiError):
        await client.create({"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"namespace": "ns", "name": names.GROUP}})
    assert len(api.requests) == 1


async def test_a_server_that_is_not_there_is_unreachable(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ApiError) as caught:
            await Client(lambda: (session, f"http://127.0.0.1:{unused_tcp_port}")).get_path("/version")
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


async def test_the_session_is_asked_for_again_when_it_was_closed_or_refused(api: Api, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmfleet.kube.client._LOGIN_SECONDS", 0)
    session, server = client._session()
    closed = aiohttp.ClientSession()
    await closed.close()
    sessions = iter([closed, session, session])
    api.will(refuses(401, "Unauthorized"), gives({"major": "1"}))
    assert await Client(lambda: (next(sessions), server)).get_path("/version") == {"major": "1"}


async def test_credentials_that_stay_refused_are_an_error_in_the_end(api: Api, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmfleet.kube.client._LOGIN_SECONDS", 0)
    api.will(*[refuses(401, "Unauthorized")] * 5)
    with pytest.raises(ApiError) as caught:
        await asyncio.wait_for(client.get_path("/version"), 10)
    assert caught.value.status == 401
    assert caught.value.retryable
