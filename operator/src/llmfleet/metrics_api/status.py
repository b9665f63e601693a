"""Failures as the API server words them: the HPA shows the message of a Status in its ScalingActive condition."""

from http import HTTPStatus

from aiohttp import web


def failure(status: HTTPStatus, reason: str, message: str) -> web.Response:
    """A Status object; `reason` is one of metav1.StatusReason."""
    body: dict[str, object] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": status.value,
    }
    return web.json_response(body, status=status)


def unauthorized() -> web.Response:
    """Say nothing more to whoever is not the aggregator."""
    return failure(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")


def forbidden(message: str) -> web.Response:
    """The user may not read this."""
    return failure(HTTPStatus.FORBIDDEN, "Forbidden", message)


def not_found(message: str) -> web.Response:
    """There is no such path, object or metric."""
    return failure(HTTPStatus.NOT_FOUND, "NotFound", message)


def method_not_allowed(message: str) -> web.Response:
    """Metrics are only read."""
    return failure(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", message)


def unavailable(message: str) -> web.Response:
    """The value is unknown at the moment."""
    return failure(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", message)


def internal_error(message: str) -> web.Response:
    """A fault of ours."""
    return failure(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message)
