"""The loop that reads every engine: one per operator process, on every replica, so that each can answer the HPA by itself."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
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

REPORT_SECONDS: Final = 60.0
"""How often the report of a pod is read whose state does not change."""

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._targets = targets
        self._fleet = fleet
        self._session = session
        self._interval_seconds = interval_seconds
        self._places = asyncio.Semaphore(concurrency)
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
        """Read every engine once. Each service is recorded when its own pods are through: a pod that hangs delays only its own."""
        services = self._targets()
        self._fleet.keep(services.keys())
        async with asyncio.TaskGroup() as tasks:
            for key, targets in services.items():
                tasks.create_task(self._read_service(key, targets))

    async def _read_service(self, key: Key, targets: Collection[Target]) -> None:
        queues = await asyncio.gather(*(self._read_pod(key, target) for target in targets))
        answered = {target.pod: queue for target, queue in zip(targets, queues, strict=True) if queue is not None}
        self._fleet.record(key, self._clock(), [target.pod for target in targets], answered)

    async def _read_pod(self, key: Key, target: Target) -> Queue | None:
        """The queue of a pod, None where it does not answer; its report on the way, when that is due."""
        async with self._places:
            try:
                if self._fleet.report_is_due(key, target.pod, target.state, self._clock() - REPORT_SECONDS):
                    await self._read_report(key, target)
                return await read_queue(self._session, target)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                _log.debug("No queue of pod %s/%s: %r", key[0], target.pod, error)
            except Exception:
                _log.exception("Reading pod %s/%s failed", key[0], target.pod)
            return None

    async def _read_report(self, key: Key, target: Target) -> None:
        """Without a report the queue is still worth reading."""
        try:
            report = await read_report(self._session, target)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.debug("No report of pod %s/%s: %r", key[0], target.pod, error)
        else:
            self._fleet.record_report(key, target.pod, target.state, self._clock(), report)
