"""The metrics API as a running server: listens, and keeps its certificate and the aggregator's CA up to date."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
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
"""How soon again after a failure, or while there is no APIService of ours. One that gets no answer counts as unavailable after 26 s, and from then on the
deletion of every namespace in the cluster hangs."""

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
                trusted = False
                try:
                    trusted = await self.refresh()
                except (ApiError, LookupError, ValueError, OSError) as error:
                    _log.warning("The metrics API's certificate could not be refreshed: %s", error)
                except Exception:
                    _log.exception("The metrics API's certificate could not be refreshed")
                await asyncio.sleep(REFRESH_SECONDS if trusted else RETRY_SECONDS)

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

    async def refresh(self) -> bool:
        """Take over what changed, then have the APIService trust it. False where there is no APIService of ours: Helm installs it after this process."""
        credentials = await agree(self._client, self._namespace, self._secret, dns_names(self._service, self._namespace), self._clock())
        trusted = await self._front_proxy()
        if self._serving != (credentials, trusted):
            self._context.use(credentials.certificate, credentials.key, trusted.client_ca_pem)
            self._serving = (credentials, trusted)
        return await publish(self._client, self._namespace, self._service, credentials.bundle)

    async def _front_proxy(self) -> FrontProxy:
        config_map = await self._client.get(CONFIG_MAP, front_proxy.NAMESPACE, front_proxy.CONFIG_MAP_NAME)
        if config_map is None:
            raise FrontProxyError(f"there is no ConfigMap {front_proxy.NAMESPACE}/{front_proxy.CONFIG_MAP_NAME}")
        return front_proxy.parse(config_map.get("data") or {})
