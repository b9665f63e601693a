"""One TLS port for every API that the API server calls: listens, and keeps the certificate and the CA of its clients up to date."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

from aiohttp import web

from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.tls.certificates import Credentials, dns_names
from llmfleet.tls.serving_certificate import agree
from llmfleet.tls.serving_context import ServingContext

REFRESH_SECONDS: Final = 60.0
"""How often the Secret, and what each API depends on, is read again: what a second replica renewed is served within a minute. Reads, no writes."""

RETRY_SECONDS: Final = 5.0
"""How soon again after a failure, or while something that should trust us is not there. An APIService that gets no answer counts as unavailable after 26 s,
and from then on the deletion of every namespace in the cluster hangs."""

LARGEST_BODY_BYTES: Final = 8 * 2**20
"""The API server takes no object above 3 MiB; a review of admission holds the old and the new one."""

_SHUTDOWN_SECONDS: Final = 5.0
"""Time for requests under way at the end; each is answered from memory."""

_log = logging.getLogger(__name__)


class Api(Protocol):
    """What is served under one path."""

    @property
    def path(self) -> str:
        """Where it begins: /apis."""

    @property
    def application(self) -> web.Application:
        """Answers every request there."""

    async def prepare(self) -> str | None:
        """Read anew what it depends on; give the CA of its clients' certificates (PEM), None where it asks for none.

        The handshake does not know the path yet: every client may come without a certificate, and whoever gives a CA asks in the request who came. So no more
        than one API gives one.
        """

    async def publish(self, bundle: str) -> bool:
        """Have the API server trust the bundle for this API; False where there is nothing of ours to write it to (yet)."""


class Listener:
    """One per operator process; every replica runs one, the leader is nothing special."""

    def __init__(
        self,
        client: Client,
        apis: Sequence[Api],
        *,
        namespace: str,
        service: str,
        secret: str,
        port: int,
        host: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._apis = apis
        self._namespace = namespace
        self._service = service
        self._secret = secret
        self._address = (host, port)
        self._clock = clock
        self._context = ServingContext()
        self._serving: tuple[Credentials, str] | None = None

    @property
    def ready(self) -> bool:
        """Whether requests can be answered: there is a certificate, and every API knows what it needs."""
        return self._serving is not None

    async def run(self) -> None:
        """Serve until cancelled. What cannot be read is tried again, and what was read before serves on."""
        async with self.listening():
            while True:
                trusted = False
                try:
                    trusted = await self.refresh()
                except (ApiError, LookupError, ValueError, OSError) as error:
                    _log.warning("The serving certificate could not be refreshed: %s", error)
                except Exception:
                    _log.exception("The serving certificate could not be refreshed")
                await asyncio.sleep(REFRESH_SECONDS if trusted else RETRY_SECONDS)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen, and give the port; handshakes fail until the first `refresh`."""
        # The outermost application's limit is the one that holds, whatever those below it say.
        root = web.Application(client_max_size=LARGEST_BODY_BYTES)
        for api in self._apis:
            root.add_subapp(api.path, api.application)
        runner = web.AppRunner(root, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            host, port = self._address
            await web.TCPSite(runner, host, port, ssl_context=self._context.listening).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def refresh(self) -> bool:
        """Take over what changed, then have it trusted. False where something that should trust us is not there: Helm installs it after this process."""
        credentials = await agree(self._client, self._namespace, self._secret, dns_names(self._service, self._namespace), self._clock())
        client_ca = "".join([found for api in self._apis if (found := await api.prepare()) is not None])
        if self._serving != (credentials, client_ca):
            self._context.use(credentials.certificate, credentials.key, client_ca)
            self._serving = (credentials, client_ca)
        # One that cannot be told holds up no other.
        told = await asyncio.gather(*(api.publish(credentials.bundle) for api in self._apis), return_exceptions=True)
        for failure in told:
            if isinstance(failure, BaseException):
                raise failure
        return all(told)
