"""Waiting until something answers: bounded, and giving up at once when the program that should answer has died."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from e2e.cluster.pki import Pki

_PERIOD_SECONDS = 0.1


class NotReadyError(RuntimeError):
    """Something did not become ready in time, or its process ended."""


def wait_until(check: Callable[[], bool], what: str, *, timeout_seconds: float, still_possible: Callable[[], bool] = lambda: True) -> None:
    """Poll `check` until it holds.

    Raises:
        NotReadyError: after the timeout, or as soon as `still_possible` says no.

    """
    end = time.monotonic() + timeout_seconds
    while not check():
        if not still_possible():
            raise NotReadyError(f"{what}: its process has ended")
        if time.monotonic() > end:
            raise NotReadyError(f"{what}: not within {timeout_seconds:.0f} s")
        time.sleep(_PERIOD_SECONDS)


class ApiClient:
    """The few requests that starting a cluster needs, over http.client: no library is there yet."""

    def __init__(self, server: str, pki: Pki, user: str = "admin") -> None:
        self._server = server
        self._context = ssl.create_default_context(cafile=str(pki.certificate("ca")))
        self._context.load_cert_chain(pki.certificate(user), pki.key(user))

    def request(self, method: str, path: str, body: object = None, *, content_type: str = "application/json") -> tuple[int, Any]:
        """Return status and decoded answer; status 0 when nobody answers."""
        parts = urlsplit(self._server)
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=10, context=self._context)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": content_type, "Accept": "application/json"})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def apply(self, manifest: dict[str, Any], plural: str) -> None:
        """Apply one object on the server's side, as the field manager `e2e-cluster`."""
        group = manifest["apiVersion"]
        metadata = manifest["metadata"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        path = f"{root}{namespace}/{plural}/{metadata['name']}?fieldManager=e2e-cluster&force=true"
        status, answer = self.request("PATCH", path, manifest, content_type="application/apply-patch+yaml")
        if status not in (200, 201):
            raise RuntimeError(f"apply {manifest['kind']} {metadata['name']}: {status} {answer}")

    def ok(self, path: str) -> bool:
        """Whether a GET answers 200."""
        return self.request("GET", path)[0] == 200
