"""An API server in this process, as far as a reconcile needs it: stores what is applied, keeps every write, refuses as it is told."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from llmfleet.reconcile.apply import CHILD_KINDS


class ApiServer:
    def __init__(self, clock: Callable[[], str] = lambda: "2026-11-21T09:00:00Z") -> None:
        self._clock = clock
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.refusals: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {}
        """Answer to a write, by the end of its path."""
        self.denied: set[str] = set()
        """Paths that may not be read."""
        self.revision = 0

    def refuse(self, suffix: str, status: int, message: str = "", headers: dict[str, str] | None = None, **body: Any) -> None:
        self.refusals[suffix] = (status, {"kind": "Status", "message": message, **body}, headers or {})

    def changed(self, path: str, **fields: Any) -> dict[str, Any]:
        """What somebody else makes of an object."""
        self.revision += 1
        metadata = {**self.objects[path]["metadata"], **fields.pop("metadata", {}), "resourceVersion": str(self.revision + 100)}
        self.objects[path] = {**self.objects[path], **fields, "metadata": metadata}
        return self.objects[path]

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path
        if path == "/openapi/v3":
            prefixes = {kind.path().removeprefix("/").rsplit("/", 1)[0] for kind in CHILD_KINDS}
            return web.json_response({"paths": {prefix: {"serverRelativeURL": "/schemas"} for prefix in prefixes}})
        if path == "/schemas":
            schemas = {
                kind.kind: {"x-kubernetes-group-version-kind": [{"group": kind.group, "version": kind.version, "kind": kind.kind}]} for kind in CHILD_KINDS
            }
            return web.json_response({"components": {"schemas": schemas}})
        if request.method == "GET" and path in self.denied:
            return web.json_response({"kind": "Status", "reason": "Forbidden", "message": "not allowed"}, status=403)
        if request.method == "GET":
            found = self.objects.get(path)
            return web.json_response(found) if found else web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)
        return self._write(request.method, path, json.loads(await request.read()))

    def _write(self, method: str, path: str, body: dict[str, Any]) -> web.Response:
        named = f"{path}/{body['metadata']['name']}" if method == "POST" else path
        self.writes.append(f"{method} {'/'.join(named.split('/namespaces/ns/')[1:])}")
        self.bodies.append(body)
        for suffix, (status, refusal, headers) in self.refusals.items():
            if path.endswith(suffix) or named.endswith(suffix):
                return web.json_response(refusal, status=status, headers=headers)
        self.revision += 1
        path = named
        if method == "DELETE":
            self.objects.pop(path, None)
            return web.json_response({"kind": "Status", "status": "Success"})
        if path.endswith("/scale"):
            self.objects[path.removesuffix("/scale")]["spec"]["replicas"] = body["spec"]["replicas"]
            return web.json_response({**body, "metadata": {"resourceVersion": str(self.revision + 100)}})
        before = self.objects.get(path.removesuffix("/status"), {})
        entry = {"manager": "llmfleet", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
        metadata = {
            "uid": f"uid-{self.revision}",
            "generation": 1,
            "creationTimestamp": self._clock(),
            **before.get("metadata", {}),
            **body.get("metadata", {}),
        }
        metadata |= {"resourceVersion": str(self.revision + 100), "managedFields": [entry]}
        stored = {**before, **body, "metadata": metadata}
        if stored["kind"] == "Deployment" and "spec" in body:
            stored["spec"] = {"replicas": before.get("spec", {}).get("replicas", 1), **body["spec"]}
            metadata["generation"] += bool(before) and stored["spec"] != before.get("spec")
        self.objects[path.removesuffix("/status")] = stored
        return web.json_response(stored)
