"""How the replicas of the operator agree on one certificate.

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
from llmfleet.kube.kinds import SECRET
from llmfleet.tls.certificates import Credentials, current

FIELD_MANAGER: Final = "llmfleet-certificate"
"""Field manager of the one field, caBundle, that is written to objects of the chart."""

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
