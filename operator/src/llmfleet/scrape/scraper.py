"""The loop that reads every engine: one per operator process, on every replica, so that each can answer the HPA by itself."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Final

import aiohttp

from llmfleet.kube.objects import Key
from llmfleet.scrape.engine import Target, read_queue, read_report
from llmfleet.scrape.fleet import Fleet
from llmfleet.scrape.queue_metrics import Queue

INTERVAL_SECONDS: Final = 5.0
"""How often a queue is read: three times per synchronisation period of the HPA."""

CONCURRENCY: Final = 64
"""Pods read at once. 2,000 pods take 2 to 3.5 s and 1.3 s of CPU (measured on the loopback); pods that hang hold a place for their timeouts only."""

SERVICE_CONCURRENCY: Final = 8
"""Pods of one service that are read at once, so that one whose pods all hang takes an eighth of the places."""

SERVICE_SECONDS: Final = INTERVAL_SECONDS
"""Time of one service in a round. Pods that did not get their turn count with their last sample, and another time comes before that is too old."""

REPORT_SECONDS: Final = 60.0
"""How often the report of a pod is read whose state does not change, and that has nothing under way."""

_log = logging.getLogger(__name__)


class Scraper:
    """Reads the engines in rounds and writes what they say into the fleet.

    `targets` gives every service with its pods, a service without pods too: its learned slots are kept. `clock` gives seconds since the epoch, as pods' times
    of creation do. Only addresses that `targets` gave are asked.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[Key, Collection[Target]]],
        fleet: Fleet,
        session: aiohttp.ClientSession,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        concurrency: int = CONCURRENCY,
        service_seconds: float = SERVICE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._targets = targets
        self._fleet = fleet
        self._session = session
        self._interval_seconds = interval_seconds
        self._places = asyncio.Semaphore(concurrency)
        self._service_seconds = service_seconds
        self._clock = clock

    async def run(self) -> None:
        """Read in rounds until cancelled; a round that takes longer than the interval is followed by the next at once."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self.round()
            except Exception:
                _log.exception("A round of reading the engines failed; the next one follows")
            await asyncio.sleep(max(0.0, began + self._interval_seconds - loop.time()))

    async def round(self) -> None:
        """Read every engine once. Each service is recorded when its own pods are through or its time is over: a pod that hangs delays only its own."""
        services = self._targets()
        self._fleet.keep(services.keys())
        async with asyncio.TaskGroup() as tasks:
            for key, targets in services.items():
                tasks.create_task(self._read_service(key, targets))

    async def _read_service(self, key: Key, targets: Collection[Target]) -> None:
        queues: dict[str, Queue] = {}
        places = asyncio.Semaphore(SERVICE_CONCURRENCY)
        try:
            async with asyncio.timeout(self._service_seconds), asyncio.TaskGroup() as tasks:
                for target in self._in_turn(key, targets):
                    tasks.create_task(self._read_pod(key, target, places, queues))
        except TimeoutError:
            _log.debug("Of the %d pods of %s/%s, %d were read in time", len(targets), *key, len(queues))
        self._fleet.record(key, self._clock(), [target.pod for target in targets], queues)

    def _in_turn(self, key: Key, targets: Collection[Target]) -> list[Target]:
        """The pods that answered lately first; the others may take the rest of the time, each time in another order so that none is last for ever."""
        load = self._fleet.load_of(key, self._clock())
        heard = load.heard if load is not None else frozenset()
        silent = [target for target in targets if target.pod not in heard]
        random.shuffle(silent)
        return [target for target in targets if target.pod in heard] + silent

    async def _read_pod(self, key: Key, target: Target, places: asyncio.Semaphore, queues: MutableMapping[str, Queue]) -> None:
        """Add the queue of a pod where it answers, and then read its report when that is due."""
        async with places, self._places:
            try:
                queues[target.pod] = await read_queue(self._session, target)
                if self._fleet.report_is_due(key, target, self._clock() - REPORT_SECONDS):
                    self._fleet.record_report(key, target, self._clock(), await read_report(self._session, target))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                _log.debug("No %s of pod %s/%s: %r", "report" if target.pod in queues else "queue", key[0], target.pod, error)
            except Exception:
                _log.exception("Reading pod %s/%s failed", key[0], target.pod)
