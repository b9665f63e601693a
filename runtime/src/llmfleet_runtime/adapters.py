"""The adapters of a running engine: what is listed is loaded, what is not is unloaded, and a failure is the adapter's alone.

What is loaded is asked of vLLM each time (/v1/models) and not remembered: it is the only one that knows.

What vLLM 0.32 does shapes this (all of it measured):

* Unloading takes away the name and nothing else: requests that have it go on to their end, with the weights and the path that they began with.
* Two versions of one name must never run at once. vLLM gathers what a batch needs by name, not by id, so that one of the two loses its place in the
  accelerator's memory as soon as another adapter needs one, and the engine dies of it. A name is loaded again only when no request of the version before is
  left; which requests are of which version vLLM does not tell before their first token, so that this takes looking.
* `load_inplace` would do without that, but the flag sticks to the name: each step of the engine that has a request for it then reads the files again.
* Files of an adapter that is loaded may be read again at any time, when its place was taken by another meanwhile. Where they are gone, the engine dies of it:
  the sidecar keeps what is listed no more for long.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from llmfleet_runtime import adapter_files, adapter_list
from llmfleet_runtime.adapter_leftovers import Leftovers
from llmfleet_runtime.adapter_list import Item, UnreadableList
from llmfleet_runtime.engine_api import Use
from llmfleet_runtime.http_client import NoAnswer

STEP_SECONDS: Final = 1.0
"""Longest that a step holds up who calls it: the watch has the engine's life to look after. What takes longer goes on beside it."""

RETRY_SECONDS: Final = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Between attempts at an adapter that vLLM refuses, the last one over and over: its files may be mended or still be copied, but each attempt holds up the
engine's steps."""

EXCHANGE_SECONDS: Final = 60.0
"""How long a version whose successor is there answers on, for a moment without any request; then its name is taken away until its requests are done."""

PATIENCE_SECONDS: Final = 600.0
"""How long a model is not ready because of adapters of which nothing new is seen: one slow source must not hold it for ever."""

_LONGEST_MESSAGE: Final = 500

_log = logging.getLogger(__name__)


class State(StrEnum):
    """State of one adapter: a closed list, part of /report."""

    LOADING = "Loading"
    """It is being fetched or loaded, or waits for requests of the version before."""
    LOADED = "Loaded"
    FAILED = "Failed"
    """It cannot be fetched or loaded; it is tried again, seldom."""


@dataclass(frozen=True, slots=True)
class AdapterState:
    """What is shown of one adapter."""

    name: str
    path: str
    """Which version the state is of: the one that the list has had lately, which the kubelet may still have to renew."""
    state: State
    message: str | None = None
    """Why it is not loaded."""


class Engine(Protocol):
    """vLLM's part; engine_api.EngineApi. Each raises NoAnswer where vLLM does not answer."""

    async def adapters(self) -> Mapping[str, str]:
        """Path of every adapter that is loaded, by name."""

    async def use(self) -> Use | None:
        """What is in flight; None where vLLM does not tell."""

    async def load_adapter(self, name: str, path: str) -> str | None:
        """Load it; what vLLM says instead, or None when it is loaded."""

    async def unload_adapter(self, name: str) -> str | None:
        """Take its name away; what vLLM says instead, or None when it is done."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An attempt that failed."""

    path: str
    message: str
    count: int
    again_at: float


@dataclass(frozen=True, slots=True)
class _Successor:
    """A version that waits for its predecessor's place; vLLM has taken it once."""

    path: str
    since: float


@dataclass(slots=True)
class _Notes:
    """What is remembered of one listed adapter."""

    shown: AdapterState
    refusal: _Refusal | None = None
    successor: _Successor | None = None


class Adapters:
    """The adapters of one engine's life."""

    def __init__(self, file: Path, engine: Engine, max_rank: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`file` is the mounted list, `max_rank` the engine's --max-lora-rank."""
        self._file = file
        self._engine = engine
        self._max_rank = max_rank
        self._clock = clock
        self._items: tuple[Item, ...] | None = None
        """None until the list has been read once."""
        self._list_trouble: str | None = None
        self._notes: dict[str, _Notes] = {}
        self._leftovers = Leftovers(clock)
        self._settled = False
        self._fetched_bytes: list[int] = []
        self._progress: object = None
        self._progressed_at = clock()
        self._work: asyncio.Task[None] | None = None

    @property
    def settled(self) -> bool:
        """Whether the model may be ready: every adapter was loaded or has failed, once, or nothing new was seen for long of those that are missing."""
        return self._settled

    @property
    def states(self) -> list[AdapterState]:
        """Every listed adapter, in the list's order."""
        return [self._of(item).shown for item in self._items or ()]

    async def step(self, at_most_seconds: float = STEP_SECONDS) -> None:
        """Bring what is loaded nearer to what is listed. What takes longer than this is gone on with by the next step."""
        if self._work is None:
            self._work = asyncio.create_task(self._pass())
        done, _ = await asyncio.wait({self._work}, timeout=at_most_seconds)
        if done:
            work, self._work = self._work, None
            work.result()
        elif not self._settled:  # Also a pass may take for ever: a file server that does not answer.
            self._look_for_progress()

    async def _pass(self) -> None:
        try:
            await self._read_list()
            if self._items is not None:
                await self._reconcile(self._items)
        except NoAnswer as error:
            _log.warning("adapters: vLLM does not answer: %s", error)
        await self._look_whether_settled()

    async def _read_list(self) -> None:
        try:
            self._items = await asyncio.to_thread(adapter_list.read, self._file)
            trouble = None
        except UnreadableList as error:
            trouble = str(error)
        if trouble is not None and trouble != self._list_trouble:
            _log.warning("adapters stay as they are: %s", trouble)
        self._list_trouble = trouble

    async def _reconcile(self, items: tuple[Item, ...]) -> None:
        loaded = await self._engine.adapters()
        names = {item.name for item in items}
        self._notes = {name: notes for name, notes in self._notes.items() if name in names}
        for name in loaded.keys() - names:
            await self._unload(name)
        for item in items:
            state, message = await self._advance(item, loaded.get(item.name))
            self._show(item, AdapterState(item.name, item.path, state, message))

    async def _advance(self, item: Item, loaded_path: str | None) -> tuple[State, str | None]:
        """Do what can be done now for one adapter; its state after that."""
        if loaded_path == item.path:
            notes = self._of(item)
            notes.refusal = notes.successor = None
            return State.LOADED, None
        if (obstacle := await asyncio.to_thread(self._obstacle, item)) is not None:
            return _beside(loaded_path, *obstacle)
        if loaded_path is not None:
            if (refusal := await self._tried(item)) is not None:
                return _beside(loaded_path, State.FAILED, refusal)
            if not await self._made_room(item):
                return State.LOADING, "the version before it is in use; it is exchanged at the next moment without requests for it"
        if item.name in self._leftovers and self._leftovers.may_be_left(item.name, await self._engine.use()):
            return State.LOADING, "requests of the version before it are still running; it is loaded when they are done"
        return await self._load(item)

    def _obstacle(self, item: Item) -> tuple[State, str] | None:
        """What can be seen without vLLM that keeps the adapter from being loaded now."""
        path = Path(item.path)
        if not path.is_dir():
            if item.source is None and not adapter_list.volume(path).is_dir():
                return State.LOADING, f"{adapter_list.volume(path)} is mounted only in the pods that the rollout starts"
            if item.source is None:
                return State.FAILED, f"there is no directory {path}: correct the path in adapters.items[].source, or put the adapter there"
            failure = adapter_list.fetch_failure(item.path)
            return (State.LOADING, f"being fetched from {item.source}") if failure is None else (State.FAILED, failure)
        refusal = self._of(item).refusal
        if refusal is not None and refusal.path == item.path and self._clock() < refusal.again_at:
            return State.FAILED, refusal.message
        trouble = adapter_files.trouble(path, self._max_rank)
        return None if trouble is None else (State.FAILED, self._refused(item, trouble))

    async def _tried(self, item: Item) -> str | None:
        """Have vLLM load a new version under a name that nobody asks for, once, while the one before it answers: what vLLM refuses costs nothing then."""
        notes = self._of(item)
        if notes.successor is not None and notes.successor.path == item.path:
            return None
        self._show(item, AdapterState(item.name, item.path, State.LOADING, "vLLM looks whether it can load it; the version before it still answers"))
        trial = f"{item.name}@{Path(item.path).name}"
        if (refusal := await self._engine.load_adapter(trial, item.path)) is not None:
            return self._refused(item, f"vLLM refuses it: {refusal}")
        await self._engine.unload_adapter(trial)
        notes.successor = _Successor(item.path, self._clock())
        return None

    async def _made_room(self, item: Item) -> bool:
        """Take the version before away: at a moment when nothing is in flight, or when there has been none for long."""
        use = await self._engine.use()
        if use is not None and use.in_flight == 0:
            if done := await self._unload(item.name):
                self._leftovers.forget(item.name)
            return done
        successor = self._of(item).successor
        waited_seconds = self._clock() - successor.since if successor is not None else 0.0
        return waited_seconds >= EXCHANGE_SECONDS and await self._unload(item.name)

    async def _load(self, item: Item) -> tuple[State, str | None]:
        self._show(item, AdapterState(item.name, item.path, State.LOADING))
        refusal = await self._engine.load_adapter(item.name, item.path)
        if refusal is not None:
            return State.FAILED, self._refused(item, f"vLLM refuses it: {refusal}")
        notes = self._of(item)
        notes.refusal = notes.successor = None
        self._leftovers.forget(item.name)
        return State.LOADED, None

    async def _unload(self, name: str) -> bool:
        refusal = await self._engine.unload_adapter(name)
        if refusal is not None:
            _log.warning("adapter %s cannot be unloaded: %s", name, refusal)
            return False
        self._leftovers.unloaded(name)
        _log.info("adapter %s unloaded", name)
        return True

    def _refused(self, item: Item, message: str) -> str:
        """Note a failed attempt and when the next one is; the message to show."""
        notes = self._of(item)
        count = notes.refusal.count + 1 if notes.refusal is not None and notes.refusal.path == item.path else 1
        message = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."
        notes.refusal = _Refusal(item.path, message, count, self._clock() + RETRY_SECONDS[min(count, len(RETRY_SECONDS)) - 1])
        return message

    def _of(self, item: Item) -> _Notes:
        return self._notes.setdefault(item.name, _Notes(AdapterState(item.name, item.path, State.LOADING)))

    def _show(self, item: Item, state: AdapterState) -> None:
        notes = self._of(item)
        if notes.shown != state:
            level = logging.WARNING if state.state is State.FAILED else logging.INFO
            _log.log(level, "adapter %s: %s%s", state.name, state.state, f": {state.message}" if state.message else "")
        notes.shown = state

    async def _look_whether_settled(self) -> None:
        if self._settled:
            return
        if self._items is not None and all(state.state is not State.LOADING for state in self.states):
            self._settled = True
            return
        fetched = [Path(item.path + ".partial") for item in self._items or () if item.source is not None]
        self._fetched_bytes = await asyncio.to_thread(lambda: [adapter_files.size_bytes(path) for path in fetched])
        self._look_for_progress()

    def _look_for_progress(self) -> None:
        states = self.states
        if (progress := (states, self._fetched_bytes)) != self._progress:
            self._progress, self._progressed_at = progress, self._clock()
        elif self._clock() - self._progressed_at >= PATIENCE_SECONDS:
            missing = ", ".join(state.name for state in states if state.state is State.LOADING) or str(self._file)
            _log.warning("ready without waiting longer for %s: nothing new was seen for %.0f s", missing, PATIENCE_SECONDS)
            self._settled = True


def _beside(loaded_path: str | None, state: State, message: str) -> tuple[State, str]:
    """The message with what it means for clients where another version is loaded."""
    return state, message if loaded_path is None else f"{message}; the version before it still answers"
