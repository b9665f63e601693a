"""One launch from its start to its exit code: the only module that knows all the others.

Three things run side by side: the engine's process, a watch that asks the engine over HTTP and tells the life what it sees, and a small server that shows the
life to the kubelet and the operator. The launch ends when the engine has ended, by itself or because a signal told us to stop it.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from llmfleet_runtime import arguments, connections, http_server, shared_memory
from llmfleet_runtime.drain import Look, until_idle
from llmfleet_runtime.engine_api import EngineApi, Facts, Queue
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure, classify, remedy_of, write_termination_message
from llmfleet_runtime.http_client import NoAnswer
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.measured_memory import MeasuredMemory
from llmfleet_runtime.output import ErrorLines, pump
from llmfleet_runtime.process import EngineProcess
from llmfleet_runtime.report import report
from llmfleet_runtime.settings import Settings
from llmfleet_runtime.vital_signs import VitalSigns

START_UP_POLL_SECONDS: Final = 0.1
"""How often a starting engine is asked: its port refuses until it listens, which costs nothing."""

FIRST_ANSWER_RETRY_SECONDS: Final = 1.0
"""Between attempts at the one real request."""

STOP_SECONDS: Final = 10.0
"""From SIGTERM to SIGKILL for an idle engine: 0.7 s were measured, 7 s on a busy machine."""

START_UP_STOP_SECONDS: Final = 1.0
"""The same for an engine that is still starting: vLLM loses a SIGTERM while it initialises (six of six, measured), and it holds nothing worth waiting for."""

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that tell us to stop."""

_log = logging.getLogger(__name__)


def launch(settings: Settings) -> int:
    """Run the engine to its end and return the exit code of the container."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s llmfleet: %(message)s", datefmt="%m-%d %H:%M:%S")
    return asyncio.run(Launcher(settings).run())


class Launcher:
    """One launch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._errors = ErrorLines(time.monotonic)
        self._memory = MeasuredMemory()
        self._life = Lifecycle(time.monotonic, self._changed)
        self._vital_signs = VitalSigns(time.monotonic, settings.stall_timeout_seconds)
        self._api = EngineApi(settings.engine_port, arguments.api_key(settings.command) or settings.api_key)
        self._facts: Facts | None = None
        self._queue: Queue | None = None
        self._last_refusal = "the engine does not answer /health yet"
        self._ended = False
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._kill = asyncio.Event()
        self._dead = asyncio.Event()
        """Set while the engine's vital signs say so."""

    async def run(self) -> int:
        """Start, watch and end the engine; its exit code as the container's."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        try:
            return await self._run()
        finally:
            for number in STOP_SIGNALS:  # One that comes now must not change the exit code.
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    async def _run(self) -> int:
        try:
            listening = http_server.listen(self._settings.port)
        except OSError as error:
            return self._failed(Failure(Reason.PORT_IN_USE, f"the launcher's port {self._settings.port}: {error.strerror}", remedy_of(Reason.PORT_IN_USE), 1))
        routes = {"/readyz": self._readyz, "/livez": self._livez, "/report": self._report}
        async with http_server.serve(listening, routes):
            if self._settings.shared_memory is not None and (removed := shared_memory.clean(self._settings.shared_memory)):
                _log.info("removed %d shared memory segments of an earlier engine", len(removed))
            try:
                engine = EngineProcess(self._settings.command, lambda source, target: pump(source, target, self._read))
            except OSError as error:
                code = 127 if isinstance(error, FileNotFoundError) else 126
                return self._failed(
                    Failure(Reason.COMMAND_NOT_FOUND, f"{self._settings.command[0]}: {error.strerror}", remedy_of(Reason.COMMAND_NOT_FOUND), code)
                )
            return await self._accompany(engine)

    async def _accompany(self, engine: EngineProcess) -> int:
        watch = asyncio.create_task(self._watch())
        asked: asyncio.Future[None] = asyncio.create_task(self._until_asked_to_stop(watch))
        try:
            waited: set[asyncio.Future[Any]] = {engine.ended, asked}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not engine.ended.done():
                asked.result()
                return await self._end(engine)
        finally:
            watch.cancel()
            asked.cancel()
            await asyncio.gather(watch, asked, return_exceptions=True)
        self._ended = True  # Why is known only once the rest of the output is read; traffic must go at once.
        await engine.kill_group()
        secrets = [*self._settings.secrets, *arguments.secrets(self._settings.command)]
        return self._failed(classify(engine.ended.result(), self._errors.lines(), secrets))

    async def _end(self, engine: EngineProcess) -> int:
        """Stop the engine: SIGTERM, SIGKILL after a bound or at the third signal. Stopping an engine that was dead already is its failure."""
        dead = self._vital_signs.dead
        engine.terminate()
        await _first(engine.ended, self._kill, timeout_seconds=STOP_SECONDS if self._life.drains else START_UP_STOP_SECONDS)
        if not engine.ended.done():
            _log.info("the engine does not stop by itself: killed")
        await engine.kill_group()
        if dead is not None:  # The kubelet stopped us because of that: whoever looks for the reason finds it here or nowhere.
            return self._failed(Failure(Reason.ENGINE_DIED, dead, remedy_of(Reason.ENGINE_DIED), 1))
        self._life.engine_stopped()
        return 0

    async def _until_asked_to_stop(self, watch: asyncio.Task[None]) -> None:
        """Return when the engine is to be ended: after a signal, once its requests are done or it is dead, which the watch tells until then."""
        await self._stop.wait()
        self._life.stop_requested()
        try:
            if self._life.drains:
                await self._drain()
        finally:
            watch.cancel()

    async def _drain(self) -> None:
        """Wait until the requests are done, within the limits of time, of patience and of the engine's life."""
        drain = asyncio.create_task(until_idle(self._look, minimum_seconds=self._settings.minimum_drain_seconds))
        try:
            await _first(drain, self._hurry, self._dead, timeout_seconds=self._settings.drain_timeout_seconds)
            if drain.done():
                drain.result()
                _log.info("every request is finished after %.1f s", self._life.seconds_in_state())
            elif (dead := self._vital_signs.dead) is not None:
                _log.warning("nothing to wait for: %s", dead)
            else:
                _log.warning("stopped %s; requests are cut", "by a second signal" if self._hurry.is_set() else "at the drain timeout")
        finally:
            drain.cancel()

    async def _look(self) -> Look:
        try:
            self._queue = await self._api.queue()
            in_flight = self._queue.in_flight
        except NoAnswer:  # Too busy to say: certainly not idle.
            return Look(in_flight=1, connections=None)
        return Look(in_flight, connections.count(self._settings.engine_port))

    # --- The watch ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Follow the engine from its start; ends by being cancelled only. A mistake of ours must not silence the probes."""
        while True:
            try:
                await self._watch_once()
            except NoAnswer as error:
                self._last_refusal = str(error)
            except Exception:
                _log.exception("Watching the engine failed; going on")
                await asyncio.sleep(self._settings.watch_interval_seconds)
            if self._vital_signs.dead is None:
                self._dead.clear()
            else:
                self._dead.set()

    async def _watch_once(self) -> None:
        match self._life.state:
            case State.STARTING:
                await asyncio.sleep(START_UP_POLL_SECONDS)
                if await self._api.health() == HTTPStatus.OK:
                    self._life.engine_listens()
            case State.WARMING:
                refusal = await self._first_answer()
                if refusal is None:
                    self._life.engine_answered()
                else:
                    self._last_refusal = refusal
                    await asyncio.sleep(FIRST_ANSWER_RETRY_SECONDS)
            case _:
                await asyncio.sleep(self._settings.watch_interval_seconds)
                await self._check_health()
                self._queue = await self._api.queue()
                self._vital_signs.steps_observed(self._queue.running or 0, self._queue.steps)

    async def _first_answer(self) -> str | None:
        """The facts first, so that a ready engine's report is complete; what was refused, or None."""
        try:
            self._facts = await self._api.facts()
            return await self._api.first_answer()
        except NoAnswer as error:
            return str(error)

    async def _check_health(self) -> None:
        try:
            self._vital_signs.health_answered(await self._api.health())
        except NoAnswer as error:
            self._vital_signs.health_missed(str(error))

    # --- What is shown -----------------------------------------------------------------------------------------------

    def _unready(self) -> str | None:
        """Why the engine gets no traffic; None when it does."""
        if self._ended:
            return "the engine has ended"
        reasons = {
            State.STARTING: self._last_refusal,
            State.WARMING: f"no real request is answered yet: {self._last_refusal}",
            State.SERVING: self._vital_signs.unready,
            State.DRAINING: "told to stop",
            State.STOPPED: "stopped",
            State.FAILED: "failed",
        }
        return reasons[self._life.state]

    def _readyz(self) -> tuple[HTTPStatus, Mapping[str, Any]]:
        reason = self._unready()
        ready = reason is None
        return HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready, "state": self._life.state, "reason": reason}

    def _livez(self) -> tuple[HTTPStatus, Mapping[str, Any]]:
        reason = "the engine has ended" if self._ended else self._vital_signs.dead
        alive = reason is None
        return HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, {"alive": alive, "state": self._life.state, "reason": reason}

    def _report(self) -> tuple[HTTPStatus, Mapping[str, Any]]:
        return HTTPStatus.OK, report(self._life, self._unready(), self._settings.command, self._facts, self._queue, self._memory.memory)

    # --- Events ------------------------------------------------------------------------------------------------------

    def _signalled(self) -> None:
        """First signal: drain. Second: stop now. Third: kill."""
        for event in (self._stop, self._hurry, self._kill):
            if not event.is_set():
                event.set()
                return

    def _read(self, line: str) -> None:
        """A line of the engine's output; called from the threads that pass it on."""
        self._errors.feed(line)
        self._memory.feed(line)

    def _changed(self, state: State) -> None:
        if state is State.SERVING:
            self._errors.serving()
            self._memory.serving()
            _log.info("serving after %s", ", ".join(f"{phase.name} {phase.seconds:.1f} s" for phase in self._life.phases()))
        else:
            self._last_refusal = "the engine has just begun to answer"
            _log.info("state %s", state)

    def _failed(self, failure: Failure) -> int:
        state = self._life.state
        self._life.engine_failed(failure)
        _log.error("%s: %s; %s", failure.reason, failure.message, failure.remedy)
        try:
            write_termination_message(self._settings.termination_log, failure, state)
        except OSError as error:
            _log.warning("the termination message cannot be written: %s", error)
        return failure.exit_code


async def _first(what: "asyncio.Future[Any]", *events: asyncio.Event, timeout_seconds: float) -> None:
    """Wait for the one or the others, but not longer."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait({what, *waiting}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
