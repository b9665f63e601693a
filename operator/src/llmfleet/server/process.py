"""The operator process: everything wired together, started in order and stopped in order.

Every replica watches, scrapes and serves the metrics API; only the one that holds the Lease writes.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Collection
from contextlib import AsyncExitStack

import kopf
from aiohttp import web

from llmfleet.autoscaling.demand import Demand
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import LLMSERVICE, POD, Kind
from llmfleet.kube.lease import LeaderElector
from llmfleet.kube.objects import Key, Object, uid_of
from llmfleet.kube.queue import WorkQueue
from llmfleet.kube.store import Store
from llmfleet.metrics_api.api import MetricsApi
from llmfleet.reconcile.apply import Applier
from llmfleet.reconcile.desired import Installation
from llmfleet.reconcile.inputs import Gatherer
from llmfleet.reconcile.jobs import Jobs
from llmfleet.reconcile.models import Models
from llmfleet.reconcile.reconciler import Reconciler
from llmfleet.reconcile.rollouts import Rollouts
from llmfleet.resources.blueprint import Platform
from llmfleet.scrape.downloads import Downloads
from llmfleet.scrape.engine import Target
from llmfleet.scrape.engine import session as engine_session
from llmfleet.scrape.fleet import Fleet
from llmfleet.scrape.scraper import Scraper
from llmfleet.server import connection, health, watching
from llmfleet.server.admission import Admission
from llmfleet.server.profiles import Profiles
from llmfleet.server.reports import Reports, download_targets
from llmfleet.server.scaling import Scaling
from llmfleet.server.settings import Settings
from llmfleet.server.telemetry import Telemetry, configure_logging
from llmfleet.tls.listener import Api, Listener

log = logging.getLogger(__name__)

RELISTS_MISSED = 3
"""So many re-lists in a row may fail before the kubelet is told to start the process anew."""


def run() -> int:
    """Run the operator until it is told to stop; return the process's exit status."""
    settings = Settings()
    configure_logging(settings.log_level)
    # As a container's first process we get no signal without a handler; this one serves until the loop's own take over.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return asyncio.run(Operator(settings).run())
    except Exception:
        log.exception("the operator cannot run")
        return 1


async def _told_to_stop(watching_began: asyncio.Event, stopping: asyncio.Event) -> None:
    """Return at the first signal to stop. Our handlers replace kopf's, which it sets before it reports ready."""
    await watching_began.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()


class Operator:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(watching.WATCHED)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._fleet = Fleet()
        self._scaling = Scaling(self._store, self._fleet)
        self._profiles = Profiles(self._store)
        self._telemetry = Telemetry()
        self._relisted_at = time.monotonic()
        self._listener: Listener | None = None

    async def run(self) -> int:
        """Run until SIGTERM (0) or until a part that must not end has ended (1): the kubelet starts a fresh process, which costs no write."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            info = connection.login(watching.watch_settings())
            session = await stack.enter_async_context(connection.session(info))
            client = Client(lambda: (session, info.server))
            elector = LeaderElector(client, settings.namespace, settings.lease_name, settings.identity)
            # A replica that does not lead lets its queue be: neither its depth nor its age says anything.
            self._telemetry.observe(
                leader=lambda: elector.is_leader,
                depth=lambda: self._queue.depth if elector.is_leader else 0,
                oldest_age_seconds=lambda: self._queue.oldest_age_seconds if elector.is_leader else 0.0,
            )
            self._telemetry.export_services(lambda: self._store.objects(LLMSERVICE))
            await self._serve_health(stack)
            await watching.relist(client, self._store, self._changed)
            self._note_relist()
            engines = await stack.enter_async_context(engine_session())
            downloads = Downloads(lambda: download_targets(self._store), engines, self._downloaded)
            reconciler = self._reconciler(client, Reports(self._scaling, self._fleet, downloads))
            scraper = Scraper(self._scaling.targets, self._fleet, engines, interval_seconds=settings.scrape_interval_seconds)
            # kopf ends, at its exit, what was started after it: these are ours, so they come first.
            parts = [
                asyncio.create_task(watching.relist_forever(client, self._store, self._changed, settings, self._note_relist), name="re-list"),
                asyncio.create_task(scraper.run(), name="scraper"),
                asyncio.create_task(downloads.run(), name="downloads"),
                asyncio.create_task(self._follow_reports(), name="reports"),
                asyncio.create_task(elector.run(lambda: self._lead(reconciler)), name="leader election"),
            ]
            if apis := self._apis(client):
                self._listener = self._tls_listener(client, apis)
                parts.append(asyncio.create_task(self._listener.run(), name="TLS port"))
            return await self._until_the_first_ends(parts)

    async def _until_the_first_ends(self, parts: list[asyncio.Task[None]]) -> int:
        ready, stopping, end_watching = asyncio.Event(), asyncio.Event(), asyncio.Event()
        operator = kopf.operator(
            registry=watching.registry(self._store, self._changed),
            settings=watching.watch_settings(),
            clusterwide=True,
            ready_flag=ready,
            stop_flag=end_watching,
        )
        watches = asyncio.create_task(operator, name="watches")
        told = asyncio.create_task(_told_to_stop(ready, stopping), name="signal")
        done, _ = await asyncio.wait([told, watches, *parts], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {told}:
            log.error("%s ended", task.get_name(), exc_info=None if task.cancelled() else task.exception())
        # The Lease first, so that another replica goes on at once; kopf takes seconds to close its streams.
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        end_watching.set()
        await asyncio.gather(watches, return_exceptions=True)
        log.info("stopped" if done == {told} else "stopped by a failure")
        return 0 if done == {told} else 1

    def _apis(self, client: Client) -> list[Api]:
        settings = self._settings
        apis: list[Api] = []
        if settings.metrics_api:
            apis.append(MetricsApi(client, self._scaling.read, namespace=settings.namespace, service=settings.service_name))
        if settings.admission:
            apis.append(Admission(client, self._profiles.valid, settings.default_profile, namespace=settings.namespace, service=settings.service_name))
        return apis

    def _tls_listener(self, client: Client, apis: list[Api]) -> Listener:
        settings = self._settings
        return Listener(client, apis, namespace=settings.namespace, service=settings.service_name, secret=settings.certificate_secret, port=settings.tls_port)

    def _reconciler(self, client: Client, reports: Reports) -> Reconciler:
        gatherer = Gatherer(client, self._store, reports)
        return Reconciler(
            client=client,
            store=self._store,
            gatherer=gatherer,
            applier=Applier(client, self._store),
            models=Models(self._store, gatherer, Jobs(client, self._store)),
            rollouts=Rollouts(gatherer),
            installation=self._installation,
        )

    def _installation(self) -> Installation:
        settings = self._settings
        return Installation(
            platform=Platform(settings.runtime_image, settings.minimum_drain_seconds),
            profiles=self._profiles.valid(),
            default_profile=settings.default_profile,
            invalid_profiles=self._profiles.invalid(),
        )

    def _changed(self, kind: Kind, obj: Object) -> None:
        """Look again at every service that a changed object concerns."""
        for key in watching.concerned(kind, obj, self._store, self._settings.default_profile):
            self._queue.add(key)

    def _downloaded(self, pod_uid: str) -> None:
        """Look again at the services that wait for the download in a pod."""
        for pod in self._store.objects(POD):
            if uid_of(pod) == pod_uid:
                self._changed(POD, pod)

    async def _lead(self, reconciler: Reconciler) -> None:
        for service in self._store.objects(LLMSERVICE):
            self._queue.add((service["metadata"]["namespace"], service["metadata"]["name"]))

        async def handle(key: Key) -> None:
            with self._telemetry.reconcile(key):
                await self._handle(reconciler, key)

        await self._queue.run(handle, self._settings.workers)

    async def _handle(self, reconciler: Reconciler, key: Key) -> None:
        """Reconcile one service; whatever goes wrong with it concerns no other."""
        try:
            again = await reconciler.reconcile(key)
        except ApiError as error:
            log.warning("trying again later: %s", error)
            self._telemetry.reconciles.labels("retry").inc()
            self._queue.retry(key, at_least_seconds=error.retry_after)
        except Exception:
            log.exception("reconciling failed; trying again later")
            self._telemetry.reconciles.labels("error").inc()
            self._queue.retry(key)
        else:
            self._telemetry.reconciles.labels("retry" if again is not None and again.failed else "done").inc()
            if again is None or not again.failed:
                self._queue.forget(key)
            if again is not None and again.failed:
                self._queue.retry(key, at_least_seconds=again.after_seconds)
            elif again is not None:
                self._queue.add_after(key, again.after_seconds)

    async def _follow_reports(self) -> None:
        """Look again at each service whose demand or reports have moved, so that status shows it; nothing else moves by itself."""
        shown: dict[Key, object] = {}
        while True:
            await asyncio.sleep(self._settings.scrape_interval_seconds)
            told = {key: self._told(key, targets) for key, targets in self._scaling.targets().items()}
            for key, moved in told.items():
                if moved is not None and moved != shown.get(key):
                    self._queue.add(key)
            shown.update({key: moved for key, moved in told.items() if moved is not None})
            shown = {key: moved for key, moved in shown.items() if key in told}

    def _told(self, key: Key, targets: Collection[Target]) -> object:
        """What the engines of a service tell, as far as status shows it; None where they tell nothing just now."""
        demand, reports = self._scaling.demand(key), self._fleet.reports_of(key, targets)
        return (demand.replicas if isinstance(demand, Demand) else None, reports) if isinstance(demand, Demand) or reports else None

    async def _serve_health(self, stack: AsyncExitStack) -> None:
        runner = web.AppRunner(health.application(healthy=self._wrong, ready=self._missing, registry=self._telemetry.registry), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, port=self._settings.health_port).start()

    def _note_relist(self) -> None:
        self._relisted_at = time.monotonic()
        self._telemetry.relisted()

    def _wrong(self) -> str | None:
        age = time.monotonic() - self._relisted_at
        limit = self._settings.resync_seconds * RELISTS_MISSED + 60
        return None if age < limit else f"nothing could be listed for {age:.0f} s"

    def _missing(self) -> str | None:
        if not self._store.synced():
            return "the first list is not complete yet"
        if (self._settings.metrics_api or self._settings.admission) and (self._listener is None or not self._listener.ready):
            # Ready without a certificate, it would take the aggregator's requests and fail them: namespaces could not be deleted.
            return "the TLS port has no certificate yet"
        return None
