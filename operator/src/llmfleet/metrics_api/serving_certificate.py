"""How the replicas of the operator agree on one certificate, and tell the API server to trust it.

The chart creates an empty Secret, so that the operator needs no right to create any. Whichever replica first finds it without good credentials writes them,
with the resourceVersion that it read; whoever comes second meets a conflict, reads again and finds them good.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import API_SERVICE, SECRET
from llmfleet.metrics_api.certificates import Credentials, current

API_SERVICE_NAME: Final = "v1beta2.custom.metrics.k8s.io"

FIELD_MANAGER: Final = "llmfleet-certificate"
"""Field manager of the one field that is written to the APIService; the rest is the chart's."""

_KEYS: Final = ("ca.crt", "ca.key", "tls.crt", "tls.key")
"""Keys of the Secret: bundle, CA's key, certificate, key, as the fields of Credentials follow each other."""

_ATTEMPTS: Final = 3
"""How often the Secret is read again after a conflict; one suffices where all writers are ours."""


class MissingSecretError(LookupError):
    """The Secret that the chart creates does not exist."""


async def agree(client: Client, namespace: str, secret_name: str, names: Sequence[str], now: datetime) -> Credentials:
    """The credentials in the Secret, made or renewed there when they are not good. One read, no write, while they are."""
    for attempt in range(1, _ATTEMPTS + 1):
        secret = await client.get(SECRET, namespace, secret_name)
        if secret is None:
            raise MissingSecretError(f"Secret {namespace}/{secret_name} does not exist; the chart creates it: run helm upgrade")
        known = _decoded(secret)
        wanted = current(known, names, now)
        if wanted is known:
            return wanted
        try:
            await client.replace(SECRET, namespace, secret_name, {**secret, "data": {**(secret.get("data") or {}), **_encoded(wanted)}})
        except ApiError as error:
            if not error.conflict or attempt == _ATTEMPTS:
                raise
        else:
            return wanted
    raise AssertionError("the last attempt returns or raises")


async def publish(client: Client, namespace: str, service: str, bundle: str) -> bool:
    """Have the APIService trust the bundle; nothing is written where it does, or where it is not ours but another adapter's. True where it is ours."""
    api_service = await client.get(API_SERVICE, None, API_SERVICE_NAME)
    if api_service is None:
        return False
    backend = api_service["spec"].get("service") or {}
    if (backend.get("namespace"), backend.get("name")) != (namespace, service):
        return False
    encoded = base64.b64encode(bundle.encode()).decode()
    if api_service["spec"].get("caBundle") != encoded:
        manifest = {
            "apiVersion": API_SERVICE.api_version,
            "kind": API_SERVICE.kind,
            "metadata": {"name": API_SERVICE_NAME},
            "spec": {"caBundle": encoded},
        }
        await client.apply(manifest, field_manager=FIELD_MANAGER)
    return True


def _decoded(secret: dict[str, Any]) -> Credentials | None:
    """The credentials in a Secret; None where one is missing or no text."""
    data = secret.get("data") or {}
    try:
        return Credentials(*(base64.b64decode(data[key], validate=True).decode() for key in _KEYS))
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None


def _encoded(credentials: Credentials) -> dict[str, str]:
    values = (credentials.bundle, credentials.ca_key, credentials.certificate, credentials.key)
    return {key: base64.b64encode(value.encode()).decode() for key, value in zip(_KEYS, values, strict=True)}
