"""Disruptions under a load: how many requests each of them met, and what became of those."""

from __future__ import annotations

import http
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.fleet import REPOSITORY, Fleet
from e2e.load import Answer
from e2e.waiting import eventually

ANSWER_SECONDS = 150
"""Longer than the clients wait for an answer."""

_NAME, _COLUMN = 30, 9
"""Widths of the table."""


@dataclass(slots=True)
class Phase:
    """A time with one disruption."""

    name: str
    began: float
    harmless: bool
    """Whether nothing may be lost in it."""
    ended: float = float("inf")
    answers: list[Answer] = field(default_factory=list)
    """Of the requests that began in it."""


class Load:
    """Clients that go on until told to stop; a context manager."""

    def __init__(self, fleet: Fleet, url: str, model: str, *, clients: int, max_tokens: int, pause_seconds: float) -> None:
        self.max_tokens = max_tokens
        self._clients = clients
        self._answers: list[Answer] = []
        self._phases: list[Phase] = []
        flags = [f"--url={url}", f"--model={model}", f"--clients={clients}", f"--max-tokens={max_tokens}", f"--pause-seconds={pause_seconds}"]
        self._process = subprocess.Popen(
            fleet.cluster.inside([sys.executable, "-m", "e2e.load", *flags]), cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let each client finish the request that it has begun; then all answers are there."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(ANSWER_SECONDS)
        finally:
            self._process.kill()
            self._reader.join()

    def answered(self) -> int:
        """Return how many requests have come to an end, good or bad."""
        return len(self._answers)

    @contextmanager
    def during(self, name: str, *, harmless: bool = True) -> Iterator[Phase]:
        """Note what happens to the requests that begin from here on under a name; they are complete only after `settled`."""
        phase = Phase(name, time.time(), harmless)
        self._phases.append(phase)
        try:
            yield phase
        finally:  # what was met before a failure stands in the table, too
            phase.ended = time.time()
            phase.answers = self._of(phase)

    async def met(self, phase: Phase, requests: int) -> None:
        """Wait until so many requests that began in the phase have ended."""
        await eventually(lambda: self._alive() and len(self._of(phase)) >= requests, within_seconds=900, what=f"{requests} requests during: {phase.name}")

    async def settled(self, phase: Phase) -> Phase:
        """Wait until every request that began in the phase has ended: until each client has ended one that began after it."""

        def all_went_on() -> bool:
            return self._alive() and len({answer.number for answer in self._answers if answer.began > phase.ended}) == self._clients

        await eventually(all_went_on, within_seconds=ANSWER_SECONDS, what="every client goes on")
        phase.answers = self._of(phase)
        return phase

    def lost(self, phase: Phase) -> list[Answer]:
        """Return the requests of a phase without a whole answer."""
        return [answer for answer in phase.answers if not whole(answer, self.max_tokens)]

    def table(self) -> str:
        """Return the numbers of every phase that is over."""
        return table([phase for phase in self._phases if phase.ended < float("inf")], self.max_tokens)

    def _of(self, phase: Phase) -> list[Answer]:
        return [answer for answer in self._answers if phase.began <= answer.began < phase.ended]

    def _alive(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the clients have ended: {self._process.returncode}")
        return True

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._answers.append(Answer(**json.loads(line)))


def whole(answer: Answer, max_tokens: int) -> bool:
    """Whether an answer has its end marker, its reason and every token."""
    return answer.error is None and answer.done and answer.finish_reason == "length" and answer.tokens == max_tokens


def table(phases: Sequence[Phase], max_tokens: int) -> str:
    """Return the numbers of each phase, a line each, a sum of those in which nothing may be lost, and what was lost."""
    harmless = [phase for phase in phases if phase.harmless]
    heads = ("s", "requests", "streams", "kept", "openai", "failed", "cut", "p50 s", "p99 s", "max s")
    lines = [f"{'disruption':<{_NAME}}" + "".join(f"{head:>{_COLUMN}}" for head in heads)]
    lines += [_line(phase.name, phase.ended - phase.began, phase.answers, max_tokens) for phase in harmless]
    seconds, answers = sum(phase.ended - phase.began for phase in harmless), [answer for phase in harmless for answer in phase.answers]
    lines.append(_line("all of these", seconds, answers, max_tokens))
    lines += [_line(phase.name, phase.ended - phase.began, phase.answers, max_tokens) for phase in phases if not phase.harmless]
    for phase in phases:
        kinds = Counter(_kind(answer) for answer in phase.answers if not whole(answer, max_tokens))
        lines += [f"  {phase.name}: {number} x {kind}" for kind, number in kinds.most_common()]
    return "\n".join(lines)


def _line(name: str, seconds: float, answers: Sequence[Answer], max_tokens: int) -> str:
    lost = [answer for answer in answers if not whole(answer, max_tokens)]
    cut = sum(answer.status == http.HTTPStatus.OK for answer in lost)
    times = sorted(answer.ended - answer.began for answer in answers) or [0.0]
    streams, kept = sum(answer.streamed for answer in answers), sum(answer.connection == "kept" for answer in answers)
    counts = (streams, kept, sum(answer.client == "openai" for answer in answers), len(lost) - cut, cut)
    figures = [f"{seconds:.0f}", len(answers), *counts, *(f"{times[min(len(times) - 1, int(part * len(times)))]:.2f}" for part in (0.5, 0.99, 1.0))]
    return f"{name:<{_NAME}}" + "".join(f"{figure:>{_COLUMN}}" for figure in figures)


def _kind(answer: Answer) -> str:
    """What went wrong, in a few words that are the same for the same thing."""
    what = (
        answer.error
        or f"HTTP {answer.status} with {answer.tokens} tokens, finish_reason {answer.finish_reason}, end marker {'seen' if answer.done else 'missing'}"
    )
    rested = "" if answer.idle_seconds is None else f" that had rested {answer.idle_seconds:.0f} s"
    return f"{answer.client} {'stream' if answer.streamed else 'whole'} {answer.connection} connection{rested}, HTTP {answer.status}: {what[:300]}"
