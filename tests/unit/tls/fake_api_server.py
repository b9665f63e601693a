"""As much of an API server as the APIs behind the TLS port ask, on a real socket, with optimistic concurrency; it counts the writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from llmfleet.kube.client import Client

SECRET = "/api/v1/namespaces/llmfleet-system/secrets/certificate"
CONFIG_MAP = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta2.custom.metrics.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class FakeApiServer:
    """Objects by path, and whom it allows to read."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            SECRET: {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "llmfleet-system", "name": "certificate", "resourceVersion": "1"}},
            API_SERVICE: {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": "v1beta2.custom.metrics.k8s.io", "resourceVersion": "1"},
                "spec": {"service": {"namespace": "llmfleet-system", "name": "llmfleet", "port": 443}},
            },
        }
        self.allowed = {"system:serviceaccount:kube-system:horizontal-pod-autoscaler"}
        self.fails = False
        self.writes: list[tuple[str, str]] = []
        self.sent: list[dict[str, Any]] = []
        """What was written, as it was sent."""
        self.published = asyncio.Event()
        """The APIService was written."""
        self.reviews: list[dict[str, Any]] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        app = web.Application()
        app.router.add_post(REVIEWS, self._review)
        app.router.add_route("*", "/{path:.*}", self._object)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with aiohttp.ClientSession() as session:
                yield Client(lambda: (session, f"http://127.0.0.1:{runner.addresses[0][1]}"))
        finally:
            await runner.cleanup()

    def front_proxy(self, ca_pem: str, allowed_names: str = '["front-proxy-client"]') -> None:
        self.objects[CONFIG_MAP] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": "kube-system", "name": "extension-apiserver-authentication", "resourceVersion": "1"},
            "data": {
                "requestheader-client-ca-file": ca_pem,
                "requestheader-allowed-names": allowed_names,
                "requestheader-username-headers": '["X-Remote-User"]',
                "requestheader-group-headers": '["X-Remote-Group"]',
                "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            },
        }

    async def _review(self, request: web.Request) -> web.Response:
        if self.fails:
            return _refused(500, "InternalError")
        review = await request.json()
        self.reviews.append(review["spec"])
        return web.json_response({**review, "status": {"allowed": review["spec"]["user"] in self.allowed}}, status=201)

    async def _object(self, request: web.Request) -> web.Response:
        stored = self.objects.get(request.path)
        if self.fails:
            return _refused(500, "InternalError")
        if stored is None:
            return _refused(404, "NotFound")
        if request.method == "GET":
            return web.json_response(stored)
        body = await request.json()
        if request.method == "PUT" and body["metadata"].get("resourceVersion") != stored["metadata"]["resourceVersion"]:
            return _refused(409, "Conflict")
        self.writes.append((request.method, request.path))
        self.sent.append(body)
        if request.path == API_SERVICE:
            self.published.set()
        merged = body if request.method == "PUT" else _merged(stored, body)
        version = str(int(stored["metadata"]["resourceVersion"]) + 1)
        self.objects[request.path] = {**merged, "metadata": {**stored["metadata"], "resourceVersion": version}}
        return web.json_response(self.objects[request.path])


def _merged(stored: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """As server-side apply merges; items of lists by their name."""
    merged = dict(stored)
    for field, value in sent.items():
        before = stored.get(field)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[field] = _merged(before, value)
        elif isinstance(value, list) and isinstance(before, list):
            items = {item["name"]: item for item in value}
            merged[field] = [_merged(item, items.get(item["name"], {})) for item in before]
        else:
            merged[field] = value
    return merged


def _refused(status: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "reason": reason, "message": reason, "code": status}, status=status)
