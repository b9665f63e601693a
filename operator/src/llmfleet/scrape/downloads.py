"""The loop that reads how far downloads are; it asks nobody while none runs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

from llmfleet.scrape.download import Progress, read_progress
from llmfleet.scrape.engine import Target

INTERVAL_SECONDS: Final = 10.0
"""How often a download is asked, and so how often at most its progress is written into a status."""

CONCURRENCY: Final = 16
"""Downloads asked at once."""

_log = logging.getLogger(__name__)


class Downloads:
    """What every running download reported last, by the uid of its pod.

    `targets` gives the pods to ask, by uid; `changed` is told the uid of a pod whose progress is another.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, Target]],
        session: aiohttp.ClientSession,
        changed: Callable[[str], None],
    ) -> None:
        self._targets = targets
        self._session = session
        self._changed = changed
        self._progress: dict[str, Progress] = {}

    def progress(self, pod_uid: str) -> Progress | None:
        """The last report of a pod; None where it gave none."""
        return self._progress.get(pod_uid)

    async def run(self) -> None:
        """Read in rounds until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.round()
            except Exception:
                _log.exception("A round of reading the downloads failed; the next one follows")

    async def round(self) -> None:
        """Read every download once; what has ended is forgotten, what does not answer stays as it was known."""
        targets = self._targets()
        self._progress = {uid: progress for uid, progress in self._progress.items() if uid in targets}
        places = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as tasks:
            for uid, target in targets.items():
                tasks.create_task(self._read(uid, target, places))

    async def _read(self, uid: str, target: Target, places: asyncio.Semaphore) -> None:
        try:
            async with places:
                progress = await read_progress(self._session, target)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.debug("No progress of pod %s: %r", target.pod, error)
            return
        if self._progress.get(uid) != progress:
            self._progress[uid] = progress
            self._changed(uid)
