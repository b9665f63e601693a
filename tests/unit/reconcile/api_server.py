"""An API server in this process, as far as a reconcile needs it: stores what is applied, keeps every write, refuses as it is told."""

import json
from typing import Any

from aiohttp import web

from llmfleet.reconcile.apply import CHILD_KINDS


class ApiServer:
    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.refusals: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {}
        """Answer to a write, by the end of its path."""
        self._revision = 0

    def refuse(self, suffix: str, status: int, message: str = "", headers: dict[str, str] | None = None, **body: Any) -> None:
        self.refusals[suffix] = (status, {"kind": "Status", "message": message, **body}, headers or {})

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
        if request.method == "GET":
            found = self.objects.get(path)
            return web.json_response(found) if found else web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)
        return self._write(request.method, path, json.loads(await request.read()))

    def _write(self, method: str, path: str, body: dict[str, Any]) -> web.Response:
        self.writes.append(f"{method} {'/'.join(path.split('/namespaces/ns/')[1:])}")
        self.bodies.append(body)
        for suffix, (status, refusal, headers) in self.refusals.items():
            if path.endswith(suffix):
                return web.json_response(refusal, status=status, headers=headers)
        self._revision += 1
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
        if method == "DELETE":
            self.objects.pop(path, None)
            return web.json_response({"kind": "Status", "status": "Success"})
        if path.endswith("/scale"):
            self.objects[path.removesuffix("/scale")]["spec"]["replicas"] = body["spec"]["replicas"]
            return web.json_response(body)
        before = self.objects.get(path.removesuffix("/status"), {})
        entry = {"manager": "llmfleet", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
        metadata = {"uid": f"uid-{self._revision}", "generation": 1, **before.get("metadata", {}), **body.get("metadata", {})}
        metadata |= {"resourceVersion": str(self._revision + 100), "managedFields": [entry]}
        stored = {**before, **body, "metadata": metadata}
        if stored["kind"] == "Deployment" and "spec" in body:
            stored["spec"] = {"replicas": 1, **body["spec"]}
        self.objects[path.removesuffix("/status")] = stored
        return web.json_response(stored)
