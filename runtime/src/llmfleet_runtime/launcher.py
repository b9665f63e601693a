"""One launch from its start to its exit code: the only module that knows all the others.

After the checks of the preflight three things run side by side: the engine's process, a watch that asks the engine over HTTP and tells the life what it sees,
and a small server that shows the life to the kubelet and the operator. The launch ends when the engine has ended: by itself, because it did not start in time,
or because a signal told us to stop it.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from llmfleet_runtime import arguments, http_server, kernel_memory, preflight
from llmfleet_runtime.adapters import Adapters
from llmfleet_runtime.board import Board
from llmfleet_runtime.drain import until_idle
from llmfleet_runtime.engine_api import EngineApi
from llmfleet_runtime.engine_command import engine_command
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure, classify, remedy_of, steady, without_secrets, write_termination_message
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.measured_memory import MeasuredMemory
from llmfleet_runtime.output import ErrorLines, pump
from llmfleet_runtime.previous_failure import PreviousFailure
from llmfleet_runtime.probes import Probes
from llmfleet_runtime.process import EngineProcess
from llmfleet_runtime.settings import Settings
from llmfleet_runtime.startup import Phase, StartUp
from llmfleet_runtime.watch import Watch

STOP_SECONDS: Final = 10.0
"""From SIGTERM to SIGKILL for an idle engine: 0.7 s were measured, 7 s on a busy machine."""

START_UP_STOP_SECONDS: Final = 1.0
"""The same for an engine that is still starting: vLLM loses a SIGTERM while it initialises (six of six, measured), and it holds nothing worth waiting for."""

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that tell us to stop."""

_log = logging.getLogger(__name__)


def launch(settings: Settings) -> None:
    """Run the engine to its end, and end the process with the exit code of the container."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s llmfleet: %(message)s", datefmt="%m-%d %H:%M:%S")
    asyncio.run(_to_the_end(settings))


async def _to_the_end(settings: Settings) -> None:
    """At once, not as Python ends: it waits for its threads, and one that reads from a file server that does not answer never ends."""
    code = await Launcher(settings).run()
    logging.shutdown()
    os._exit(code)


class Launcher:
    """One launch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._errors = ErrorLines(time.monotonic)
        self._killed_before = kernel_memory.kills()
        self._memory = MeasuredMemory()
        self._start_up = StartUp(time.monotonic)
        self._previous_failure = PreviousFailure(settings.temporary)
        self._life = Lifecycle(time.monotonic, self._changed)
        self._probes = Probes(settings, self._life, self._start_up, self._memory, self._previous_failure)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._kill = asyncio.Event()

    async def run(self) -> int:
        """Start, watch and end the engine; its exit code as the container's."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._previous_failure.alive(self._life.state)
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
            return self._failed(_failure(Reason.PORT_IN_USE, f"the launcher's port {self._settings.port}: {error.strerror}"))
        async with http_server.serve(listening, self._probes.routes()):
            failure = await self._preflight()
            if self._stop.is_set():
                self._life.stop_requested()
                self._life.engine_stopped()
                return 0
            if failure is not None:
                return self._failed(failure)
            try:
                self._settings.temporary.mkdir(parents=True, exist_ok=True)
                board = Board.create(self._settings.temporary)
            except OSError as error:
                return self._failed(_failure(Reason.NOT_WRITABLE, f"{self._settings.temporary}: {error.strerror}"))
            try:
                return await self._start(board)
            finally:
                board.remove()

    async def _preflight(self) -> Failure | None:
        """What speaks against the start; None also where a signal came first, or a check does not come to an end."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Failure | None] = loop.create_future()

        def done(failure: Failure | None) -> None:
            with contextlib.suppress(RuntimeError):  # The launch is over.
                loop.call_soon_threadsafe(found.set_result, failure)

        preflight.in_thread(self._settings, done)
        await _first(found, self._stop, timeout_seconds=preflight.PREFLIGHT_SECONDS)
        if found.done():
            return found.result()
        if not self._stop.is_set():
            _log.warning("the checks before the start are not done after %.0f s; starting without them", preflight.PREFLIGHT_SECONDS)
        return None

    async def _start(self, board: Board) -> int:
        settings = self._settings
        token = secrets.token_hex(32)
        command, environment = engine_command(
            settings.command, settings.environment, board.path, max_request_bytes=settings.max_request_bytes, admin_token=token
        )
        api = EngineApi(settings.engine_port, arguments.api_key(settings.command) or settings.api_key, token)
        adapters = Adapters(settings.adapters, api, arguments.max_lora_rank(settings.command)) if settings.adapters else None
        self._life.preflight_passed()
        self._start_up.engine_started()
        try:
            engine = EngineProcess(command, environment, lambda source, target: pump(source, target, self._read))
        except OSError as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            return self._failed(_failure(Reason.COMMAND_NOT_FOUND, f"{command[0]}: {error.strerror}", code))
        watch = self._probes.watch = Watch(settings, self._life, api, board, adapters, engine.cpu_seconds)
        return await self._accompany(engine, watch, board)

    async def _accompany(self, engine: EngineProcess, watch: Watch, board: Board) -> int:
        ending: asyncio.Task[Failure | None]
        async with _running(watch.run()), _running(self._until_to_be_ended(watch, board)) as ending:
            waited: set[asyncio.Future[Any]] = {engine.ended, ending}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not engine.ended.done():
            return await self._end(engine, ending.result())
        self._life.engine_ended = True  # Why is known only once the rest of the output is read; traffic must go at once.
        await engine.kill_group()
        hidden = [*self._settings.secrets, *arguments.secrets(self._settings.command)]
        killed = kernel_memory.kills() - self._killed_before
        return self._failed(classify(engine.ended.result(), self._errors.lines(), hidden, kernel_kills=killed))

    async def _end(self, engine: EngineProcess, failure: Failure | None) -> int:
        """Stop the engine: SIGTERM, SIGKILL after a bound or at the third signal. Stopping one that is of no use any more is its failure."""
        engine.terminate()
        await _first(engine.ended, self._kill, timeout_seconds=STOP_SECONDS if self._life.drains else START_UP_STOP_SECONDS)
        if not engine.ended.done():
            _log.info("the engine does not stop by itself: killed")
        await engine.kill_group()
        if failure is not None:  # Whoever looks for the reason finds it here or nowhere.
            return self._failed(failure)
        self._life.engine_stopped()
        return 0

    async def _until_to_be_ended(self, watch: Watch, board: Board) -> Failure | None:
        """Return when the engine is to be ended: it has not started in time, or a signal came and its requests are done. The failure, if it is one."""
        limit_seconds = self._settings.start_timeout_seconds
        await _first(watch.answered, self._stop, timeout_seconds=limit_seconds)
        if not watch.answered.is_set() and not self._stop.is_set():
            return self._start_timeout(watch)
        await self._stop.wait()
        self._life.stop_requested()
        if self._life.drains:
            await self._drain(watch, board)
            board.refuse()
        dead = watch.vital_signs.dead  # The kubelet stopped us because of that.
        return None if dead is None else _failure(dead.reason, dead.message)

    def _start_timeout(self, watch: Watch) -> Failure:
        hung = self._start_up.present()
        _log.warning("the phase %s has lasted for %.0f s", hung.phase, hung.seconds)
        said = f"; {steady(without_secrets(watch.refusal))}" if hung.phase is Phase.WARMING else ""
        within = f"no answer within {self._settings.start_timeout_seconds:g} s of the start"
        return _failure(Reason.START_TIMEOUT, f"{within}, which has come to the phase {hung.phase}{said}")

    async def _drain(self, watch: Watch, board: Board) -> None:
        """Wait until the requests are done, within the limits of time, of patience and of the engine's life; count those that are cut."""
        board.drain()
        async with _running(until_idle(watch.look, board.refuse, minimum_seconds=self._settings.minimum_drain_seconds)) as drain:
            await _first(drain, self._hurry, watch.dead, timeout_seconds=self._settings.drain_timeout_seconds)
        if not drain.cancelled():
            drain.result()
            _log.info("every request is finished after %.1f s", self._life.seconds_in_state())
            return
        in_flight = watch.in_flight()
        self._life.cut = int(watch.queue.in_flight or 0) if in_flight is None else in_flight
        if (dead := watch.vital_signs.dead) is not None:
            why = f"the engine is dead ({dead.message})"
        elif self._hurry.is_set():
            why = "a second signal came"
        else:
            why = f"the drain timeout of {self._settings.drain_timeout_seconds:g} s is over"
        _log.warning("%d requests in flight are cut: %s", self._life.cut, why)

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
        self._start_up.feed(line)

    def _changed(self, state: State) -> None:
        match state:
            case State.WARMING:
                self._start_up.engine_listens()
            case State.STARTING | State.PREFLIGHT:
                pass
            case _:
                self._start_up.ended()
        if state is State.SERVING:
            self._errors.serving()
            self._memory.serving()
            _log.info("serving: %s", ", ".join(f"{duration.phase} {duration.seconds:.1f} s" for duration in self._start_up.durations()))
        else:
            _log.info("state %s", state)
        if state is State.STOPPED:
            self._previous_failure.stopped()
        elif state is not State.FAILED:
            self._previous_failure.alive(state)

    def _failed(self, failure: Failure) -> int:
        state = self._life.state
        self._life.engine_failed(failure)
        _log.error("%s: %s; %s", failure.reason, failure.message, failure.remedy)
        self._previous_failure.failed(failure, state)
        try:
            write_termination_message(self._settings.termination_log, failure, state)
        except OSError as error:
            _log.warning("the termination message cannot be written: %s", error)
        return failure.exit_code


def _failure(reason: Reason, message: str, exit_code: int = 1) -> Failure:
    return Failure(reason, message, remedy_of(reason), exit_code)


@contextlib.asynccontextmanager
async def _running(work: Any) -> AsyncIterator["asyncio.Task[Any]"]:
    """Run this beside the block; what is not done at the block's end is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _first(*awaited: "asyncio.Future[Any] | asyncio.Event", timeout_seconds: float) -> None:
    """Wait for one of these, but not longer."""
    waiting = [asyncio.create_task(event.wait()) for event in awaited if isinstance(event, asyncio.Event)]
    futures = [future for future in awaited if not isinstance(future, asyncio.Event)]
    try:
        await asyncio.wait([*futures, *waiting], timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
