"""The watch over a running engine: asks it over HTTP, has its adapters loaded, and tells its life what is seen."""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from llmfleet_runtime import connections
from llmfleet_runtime.adapters import Adapters
from llmfleet_runtime.board import Board
from llmfleet_runtime.drain import Look
from llmfleet_runtime.engine_api import EngineApi, Facts, Queue
from llmfleet_runtime.http_client import NoAnswer
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.settings import Settings
from llmfleet_runtime.vital_signs import VitalSigns

START_UP_POLL_SECONDS: Final = 0.1
"""How often a starting engine is asked: its port refuses until it listens, which costs nothing."""

FIRST_ANSWER_RETRY_SECONDS: Final = 1.0
"""Between attempts at the one real request, and between steps of the adapters until the engine may serve."""

_log = logging.getLogger(__name__)


class Watch:
    """Over one engine."""

    def __init__(
        self, settings: Settings, life: Lifecycle, api: EngineApi, board: Board, adapters: Adapters | None, cpu_seconds: Callable[[], float | None]
    ) -> None:
        """`cpu_seconds` is the processor's time that the engine's first process, its server, has used."""
        self._settings = settings
        self._life = life
        self._api = api
        self._board = board
        self.adapters = adapters
        self._cpu_seconds = cpu_seconds
        self._trial: asyncio.Task[str | None] | None = None
        self.vital_signs = VitalSigns(time.monotonic, settings.stall_timeout_seconds)
        self.facts = Facts()
        self.queue = Queue()
        self.refusal = "the engine does not answer /health yet"
        """What a starting engine said last instead of an answer."""
        self.answered = asyncio.Event()
        """Set once a real request was answered: the engine itself has started."""
        self.dead = asyncio.Event()
        """Set while the engine's vital signs say so."""

    def in_flight(self) -> int | None:
        """Requests from their first byte to their last; None while nobody counts them."""
        return self._board.in_flight()

    async def run(self) -> None:
        """Follow the engine from its start; ends by being cancelled only. A mistake of ours must not silence the probes."""
        while True:
            try:
                await self._once()
            except NoAnswer as error:
                self.refusal = str(error)
            except Exception:
                _log.exception("Watching the engine failed; going on")
                await asyncio.sleep(self._settings.watch_interval_seconds)
            if self.vital_signs.dead is None:
                self.dead.clear()
            else:
                self.dead.set()

    async def look(self) -> Look:
        """What there is to wait for before the engine is stopped."""
        in_flight: float | None = self._board.in_flight()
        if in_flight is None:
            try:
                self.queue = await self._api.queue()
            except NoAnswer:  # Too busy to say: certainly not idle.
                return Look(in_flight=1, connections=None)
            in_flight = self.queue.in_flight
        return Look(in_flight, connections.count(self._settings.engine_port))

    async def _once(self) -> None:
        match self._life.state:
            case State.STARTING:
                await asyncio.sleep(START_UP_POLL_SECONDS)
                if await self._api.health() == HTTPStatus.OK:
                    self.refusal = "the engine has just begun to answer"
                    self._life.engine_listens()
            case State.WARMING:
                refusal = await self._warmed()
                if refusal is None:
                    self._life.engine_answered()
                else:
                    self.refusal = refusal
                    await asyncio.sleep(FIRST_ANSWER_RETRY_SECONDS)
            case state:
                await asyncio.sleep(self._settings.watch_interval_seconds)
                if not await self._check_health():
                    return
                self.queue = await self._api.queue()
                self.vital_signs.steps_observed(self.queue.running or 0, self.queue.steps, self.in_flight())
                self._try()
                if self.adapters is not None and state is State.SERVING:
                    await self.adapters.step()

    async def _warmed(self) -> str | None:
        """What keeps the engine from serving; None when it may. Its facts come last, so that a ready engine's report is complete."""
        try:
            if not self.answered.is_set():
                if (refusal := await self._api.first_answer()) is not None:
                    return f"no real request is answered yet: {refusal}"
                self.answered.set()
            elif not await self._check_health():  # The start timeout is over with the first answer: only /livez ends what hangs from here on.
                return "/health is not answered any more"
            if self.adapters is not None and not self.adapters.settled:
                await self.adapters.step()
                if not self.adapters.settled:
                    waits = ", ".join(adapter.name for adapter in self.adapters.states if adapter.state == "Loading")
                    return f"adapters are being loaded: {waits or 'their list cannot be read yet'}"
            self.facts = await self._api.facts()
        except NoAnswer as error:
            return f"no real request is answered yet: {error}"
        return None

    async def _check_health(self) -> bool:
        """Whether the engine's server answers at all."""
        try:
            self.vital_signs.health_answered(await self._api.health())
        except NoAnswer as error:
            self.vital_signs.health_missed(str(error), self._cpu_seconds())
            return False
        return True

    def _try(self) -> None:
        """Where there is doubt, ask the engine for a token, beside the watch: an engine that stands still does not answer."""
        if self._trial is not None and self._trial.done():
            if (refusal := self._trial.result()) is not None:
                self.vital_signs.trial_failed(refusal)
            self._trial = None
        if self._trial is None and self.vital_signs.doubtful and self.vital_signs.dead is None:
            _log.warning("requests are in flight and the engine makes no step: trying one of our own")
            self._trial = asyncio.create_task(self._answer())

    async def _answer(self) -> str | None:
        try:
            return await self._api.first_answer(within_seconds=self._settings.stall_timeout_seconds)
        except NoAnswer as error:
            return str(error)
