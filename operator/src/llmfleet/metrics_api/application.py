"""The aggregated API custom.metrics.k8s.io/v1beta2, as much of it as there is: discovery, and one metric of one LLMService. It lies below /apis.

Clients prefer protobuf and take JSON. `/apis` and `/openapi/*` are 404, by which the aggregator reads discovery from the group's own path and knows that
there is no schema (401, 403 or 503 there would be logged as errors and retried).
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from llmfleet import names
from llmfleet.kube.errors import ApiError
from llmfleet.metrics_api import status
from llmfleet.metrics_api.authorization import Authorizer, Resource
from llmfleet.metrics_api.front_proxy import FrontProxy, User, is_front_proxy, user_of

GROUP: Final = "custom.metrics.k8s.io"
VERSION: Final = "v1beta2"
RESOURCE: Final = f"{names.LLMSERVICES}.{names.GROUP}"
"""The described objects, as the custom metrics API writes a resource of a group."""

METRICS: Final = (names.METRIC_DEMAND, names.METRIC_QUEUE_DEPTH, names.METRIC_IN_FLIGHT)

_ROOT: Final = f"/{GROUP}/{VERSION}"
"""Below /apis, where the listener puts the application."""
_USER: Final = web.RequestKey("user", User)
_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Value:
    """A metric's value, a whole number, and when it was known (seconds since the epoch)."""

    number: int
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no value, and why; `exists` is False where there is no such object."""

    reason: str
    exists: bool = True


Read = Callable[[str, str, str], Value | Missing]
"""The value by namespace, name and metric (one of METRICS), from memory: the HPA's request does not wait for an engine."""


def application(front_proxy: Callable[[], FrontProxy | None], authorizer: Authorizer, read: Read) -> web.Application:
    """The application. `front_proxy` gives what is known at the time of the request; until something is, nobody is answered."""

    @web.middleware
    async def failures(request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Word every failure as a Status."""
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed:
            return status.method_not_allowed(f"{request.method} is not supported: metrics are only read")
        except web.HTTPNotFound:
            return status.not_found("the server could not find the requested resource")
        except web.HTTPException:
            raise
        except Exception:
            _log.exception("A request for %s failed", request.path)
            return status.internal_error("the metrics could not be read; the operator's log says why")

    @web.middleware
    async def authentication(request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let only the aggregator pass, whatever the path."""
        known = front_proxy()
        certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
        if known is None or not is_front_proxy(known, certificate) or (user := user_of(known, request.headers)) is None:
            return status.unauthorized()
        request[_USER] = user
        return await handler(request)

    async def metric(request: web.Request) -> web.Response:
        namespace, name, wanted = (request.match_info[part] for part in ("namespace", "name", "metric"))
        try:
            decision = await authorizer.decide(request[_USER], Resource(GROUP, VERSION, RESOURCE, wanted, namespace, name))
        except ApiError as error:
            _log.warning("A SubjectAccessReview failed: %s", error)
            return status.unavailable("the API server could not be asked whether this may be read")
        if not decision.allowed:
            return status.forbidden(
                f'user "{request[_USER].name}" cannot get resource "{RESOURCE}/{wanted}" in API group "{GROUP}" in the namespace "{namespace}"'
            )
        if wanted not in METRICS:
            return status.not_found(f"there is no metric {wanted} of an {names.LLMSERVICE}; there are {', '.join(METRICS)}")
        value = read(namespace, name, wanted)
        if isinstance(value, Missing):
            return status.unavailable(value.reason) if value.exists else status.not_found(value.reason)
        return web.json_response(_value_list(namespace, name, wanted, value))

    app = web.Application(middlewares=[failures, authentication])
    app.router.add_get(_ROOT, _discovery, allow_head=False)
    app.router.add_get(f"{_ROOT}/namespaces/{{namespace}}/{RESOURCE}/{{name}}/{{metric}}", metric, allow_head=False)
    return app


async def _discovery(_request: web.Request) -> web.Response:
    """What is served. Whoever passed the front proxy may know: it says the same on every cluster, and the aggregator measures our availability by it."""
    resources = [{"name": f"{RESOURCE}/{metric}", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]} for metric in METRICS]
    return web.json_response({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": resources})


def _value_list(namespace: str, name: str, metric: str, value: Value) -> dict[str, object]:
    """A MetricValueList of exactly one item, or the client of the HPA fails."""
    item = {
        "describedObject": {"kind": names.LLMSERVICE, "namespace": namespace, "name": name, "apiVersion": names.API_VERSION},
        "metric": {"name": metric},
        "timestamp": datetime.fromtimestamp(value.at_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "value": str(value.number),
    }
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": [item]}
