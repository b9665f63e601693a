"""The metrics API as a running server: listens, and keeps its certificate and the aggregator's CA up to date."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from llmfleet.kube.client import Client
from llmfleet.kube.kinds import CONFIG_MAP
from llmfleet.metrics_api import front_proxy
from llmfleet.metrics_api.application import Read, application
from llmfleet.metrics_api.authorization import Authorizer
from llmfleet.metrics_api.certificates import Credentials, dns_names
from llmfleet.metrics_api.front_proxy import FrontProxy, FrontProxyError
from llmfleet.metrics_api.serving_certificate import agree, publish
from llmfleet.metrics_api.serving_context import ServingContext

REFRESH_SECONDS: Final = 60.0
"""How often Secret, ConfigMap and APIService are read again: what a second replica renewed is served within a minute. Three reads, no writes."""

RETRY_SECONDS: Final = 5.0
"""How soon after a failure. An APIService counts as unavailable after 26 s, and then namespace deletions hang in the whole cluster."""

_SHUTDOWN_SECONDS: Final = 5.0
"""Time for requests under way at the end; each is answered from memory."""

_log = logging.getLogger(__name__)


class MetricsServer:
    """One server per operator process; every replica runs one, the leader is nothing special."""

    def __init__(
        self,
        client: Client,
        read: Read,
        *,
        namespace: str,
        service: str,
        secret: str,
        port: int,
        host: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._service = service
        self._secret = secret
        self._address = (host, port)
        self._clock = clock
        self._context = ServingContext()
        self._serving: tuple[Credentials, FrontProxy] | None = None
        self._application = application(lambda: None if self._serving is None else self._serving[1], Authorizer(client), read)

    @property
    def ready(self) -> bool:
        """Whether requests can be answered: there is a certificate, and it is known how the aggregator authenticates."""
        return self._serving is not None

    async def run(self) -> None:
        """Serve until cancelled. What cannot be read is tried again, and what was read before serves on."""
        async with self.listening():
            while True:
                try:
                    await self.refresh()
                except Exception as error:
                    _log.warning(
                        "The metrics API's certificate could not be refreshed: %s", error, exc_info=not isinstance(error, (OSError, LookupError, ValueError))
                    )
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    await asyncio.sleep(REFRESH_SECONDS)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen, and give the port; handshakes fail until the first `refresh`."""
        runner = web.AppRunner(self._application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            host, port = self._address
            await web.TCPSite(runner, host, port, ssl_context=self._context.listening).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def refresh(self) -> None:
        """Take over what changed. The certificate is served before the API server is told to trust its CA, which the bundle makes right in any order."""
        credentials = await agree(self._client, self._namespace, self._secret, dns_names(self._service, self._namespace), self._clock())
        trusted = await self._front_proxy()
        if self._serving != (credentials, trusted):
            self._context.use(credentials.certificate, credentials.key, trusted.client_ca_pem)
            self._serving = (credentials, trusted)
        if not await publish(self._client, self._namespace, self._service, credentials.bundle):
            _log.warning("The APIService of the custom metrics API is not ours or does not exist: autoscaling by %s gets no data", self._service)

    async def _front_proxy(self) -> FrontProxy:
        config_map = await self._client.get(CONFIG_MAP, front_proxy.NAMESPACE, front_proxy.CONFIG_MAP_NAME)
        if config_map is None:
            raise FrontProxyError(f"there is no ConfigMap {front_proxy.NAMESPACE}/{front_proxy.CONFIG_MAP_NAME}")
        return front_proxy.parse(config_map.get("data") or {})
