"""The watch over a running engine: asks it over HTTP, has its adapters loaded, and tells its life what is seen."""

import asyncio
import logging
import time
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

    def __init__(self, settings: Settings, life: Lifecycle, api: EngineApi, board: Board, adapters: Adapters | None) -> None:
        self._settings = settings
        self._life = life
        self._api = api
        self._board = board
        self.adapters = adapters
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
                await self._check_health()
                self.queue = await self._api.queue()
                self.vital_signs.steps_observed(self.queue.running or 0, self.queue.steps)
                if self.adapters is not None and state is State.SERVING:
                    await self.adapters.step()

    async def _warmed(self) -> str | None:
        """What keeps the engine from serving; None when it may. Its facts come last, so that a ready engine's report is complete."""
        try:
            if not self.answered.is_set():
                if (refusal := await self._api.first_answer()) is not None:
                    return f"no real request is answered yet: {refusal}"
                self.answered.set()
            if self.adapters is not None and not self.adapters.settled:
                await self.adapters.step()
                if not self.adapters.settled:
                    waits = ", ".join(adapter.name for adapter in self.adapters.states if adapter.state == "Loading")
                    return f"adapters are being loaded: {waits or 'their list cannot be read yet'}"
            self.facts = await self._api.facts()
        except NoAnswer as error:
            return f"no real request is answered yet: {error}"
        return None

    async def _check_health(self) -> None:
        try:
            self.vital_signs.health_answered(await self._api.health())
        except NoAnswer as error:
            self.vital_signs.health_missed(str(error))
