"""What the launcher shows on its own port: to the kubelet (/readyz, /livez), to the operator (/report) and to Prometheus (/metrics)."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from llmfleet_runtime.http_server import Route
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.measured_memory import MeasuredMemory
from llmfleet_runtime.metrics_page import page
from llmfleet_runtime.previous_failure import PreviousFailure
from llmfleet_runtime.report import Seen, report
from llmfleet_runtime.settings import Settings
from llmfleet_runtime.startup import StartUp
from llmfleet_runtime.watch import Watch


class Probes:
    """The paths of one launch."""

    def __init__(self, settings: Settings, life: Lifecycle, start_up: StartUp, memory: MeasuredMemory, previous_failure: PreviousFailure) -> None:
        self._settings = settings
        self._life = life
        self._start_up = start_up
        self._memory = memory
        self._previous_failure = previous_failure
        self.watch: Watch | None = None
        """None until the engine is started."""

    def routes(self) -> dict[str, Route]:
        """Every path."""
        return {"/readyz": self._readyz, "/livez": self._livez, "/report": self._report, "/metrics": self._metrics}

    def _unready(self) -> str | None:
        """Why the engine gets no traffic; None when it does."""
        if self._life.engine_ended:
            return "the engine has ended"
        watch = self.watch
        reasons = {
            State.PREFLIGHT: "the engine is not started yet",
            State.STARTING: watch.refusal if watch else "the engine is being started",
            State.WARMING: watch.refusal if watch else "",
            State.SERVING: watch.vital_signs.unready if watch else None,
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
        dead = None if self.watch is None else self.watch.vital_signs.dead
        reason = "the engine has ended" if self._life.engine_ended else None if dead is None else dead.message
        alive = reason is None
        return HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, {"alive": alive, "state": self._life.state, "reason": reason}

    def _report(self) -> tuple[HTTPStatus, Mapping[str, Any]]:
        return HTTPStatus.OK, report(self._life, self._settings.command, self._seen())

    def _metrics(self) -> tuple[HTTPStatus, str]:
        return HTTPStatus.OK, page(self._life, self._seen())

    def _seen(self) -> Seen:
        seen = Seen(unready=self._unready(), phases=self._start_up.durations(), memory=self._memory.memory, previous_failure=self._previous_failure.document)
        if (watch := self.watch) is None:
            return seen
        adapters = watch.adapters.states if watch.adapters else ()
        return replace(seen, facts=watch.facts, queue=watch.queue, in_flight=watch.in_flight(), adapters=adapters)
