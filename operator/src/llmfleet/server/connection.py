"""The session to the API server: apart from kopf's own, so that a re-login of its watches never closes it under a write.

The token of a pod is a file that the kubelet renews about hourly; it is read again every minute, as client-go does.
"""

import base64
import logging
import ssl
import tempfile
import time
from pathlib import Path

import aiohttp
import kopf
import yaml

from llmfleet.server import exec_credentials

TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
TOKEN_SECONDS = 60.0


def login(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Return how to reach the API server: the pod's service account, else the kubeconfig (for a process on a developer's machine)."""
    logger = logging.getLogger("llmfleet.login")
    if (account := kopf.login_with_service_account(settings=settings, logger=logger)) is not None:
        return account
    try:
        found = kopf.login_with_kubeconfig(settings=settings, logger=logger)
    except (LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        # kopf takes it as well-formed; it is a file that people write.
        raise kopf.LoginError(f"the kubeconfig cannot be used: {error!r}") from error
    if found is None:
        raise kopf.LoginError("neither a pod's service account nor a kubeconfig (KUBECONFIG) was found")
    return exec_credentials.completed(found)


def session(info: kopf.ConnectionInfo) -> aiohttp.ClientSession:
    """Return a session for any number of concurrent requests; call it inside the event loop."""
    middlewares = [_bearer(info)] if info.token else []
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=_tls(info)), middlewares=middlewares)


def _bearer(info: kopf.ConnectionInfo) -> aiohttp.ClientMiddlewareType:
    token, read_at = info.token, time.monotonic()

    def current() -> str | None:
        nonlocal token, read_at
        if time.monotonic() - read_at > TOKEN_SECONDS and TOKEN_FILE.exists():
            token, read_at = TOKEN_FILE.read_text().strip(), time.monotonic()  # a file in memory: it blocks nobody
        return token

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = f"Bearer {current()}"
        return await handler(request)

    return authorize


def _tls(info: kopf.ConnectionInfo) -> ssl.SSLContext | bool:
    if info.insecure:
        return False
    context = ssl.create_default_context(cafile=info.ca_path, cadata=_decoded(info.ca_data))
    # Python 3.13 refuses authorities without a key identifier, as some managed clusters have (kubernetes-client/python#2394).
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if info.certificate_path and info.private_key_path:
        context.load_cert_chain(info.certificate_path, info.private_key_path)
    elif (certificate := _decoded(info.certificate_data)) and (key := _decoded(info.private_key_data)):
        _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Take a client certificate that stands in a kubeconfig; load_cert_chain reads files only."""
    with tempfile.TemporaryDirectory(prefix="llmfleet-") as folder:  # of this user alone
        path = Path(folder) / "client.pem"
        path.write_text(f"{certificate}\n{key}\n")
        context.load_cert_chain(path)


def _decoded(data: str | bytes | None) -> str | None:
    if data is None:
        return None
    text = data if isinstance(data, str) else data.decode()
    return text if "-----BEGIN" in text else base64.b64decode(text).decode()
