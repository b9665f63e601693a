"""What the replicas of one service said lately, reduced to the load that `demand` reckons with.

The window takes whole rounds, not single samples: the load of a service is the sum over its replicas at one time. Peaks of single replicas at different
times would add up to more requests than there ever were, whenever load moves from one replica to another.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SAMPLE_LIFE_SECONDS: Final = 15.0
"""How long a replica that does not answer counts with its last sample: two missed scrapes of 5 s, and the third one's way. One busy event loop is no
outage (vLLM's /health took up to 9.4 s on a busy CPU, measured); after three the number is a guess."""

SMOOTHING_SECONDS: Final = 15.0
"""The load is the greatest of the rounds of this time: one synchronisation period of the HPA, three scrapes.
A scrape that falls between two batches sees the finished requests gone and their successors not yet there (measured: 8 running, 48 waiting; then 3, 45;
then 8, 40), so single rounds flap. A peak, not a mean: it follows a rise at once and the decline after 15 s, and the HPA's own stabilisation damps declines."""

LEARNING_SECONDS: Final = 30.0
"""How long requests must wait beside free slots, without a growing number of running ones, until that number is taken for the replica's slots. Shorter, and
the ramp of a burst (prefill admits it over many seconds) reads as saturation; replicas take minutes to load, so half a minute costs nothing."""

MEMORY_SECONDS: Final = 30 * 60.0
"""How long learned slots are remembered. Once enough replicas run nothing waits any more, and without memory the scale-down would forget why it scaled up."""

ASSUMED_SLOTS: Final = 256
"""Slots of a replica that reports no limit: vLLM's smallest default of --max-num-seqs on a GPU (0.32, arg_utils `get_batch_defaults`: < 70 GiB or A100)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one replica said at one time."""

    at_seconds: float
    waiting: int
    """Requests in the queue (`vllm:num_requests_waiting`, over all engines of the replica)."""
    running: int
    """Requests in the batch (`vllm:num_requests_running`)."""
    max_sequences: int | None
    """The most requests the replica runs at once (--max-num-seqs as the engine reports it); None while it is unknown."""
    arriving: int = 0
    """Requests that the replica's server has and its engine not yet, or no longer: those that are being tokenised, above all."""


class SlotsOrigin(StrEnum):
    """Where the number of slots comes from."""

    REPORTED = "reported"
    LEARNED = "learned"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Slots:
    """How many requests one replica runs at once: as reported, of unlike replicas the smallest number; as learned, their mean."""

    count: int
    origin: SlotsOrigin


@dataclass(frozen=True, slots=True)
class Load:
    """The work in sight of one service."""

    waiting: int
    running: int
    slots: Slots
    heard: frozenset[str]
    """The replicas whose last sample still counts."""
    arriving: int = 0

    @property
    def in_flight(self) -> int:
        """Requests arriving, waiting and running: each is work from its first byte."""
        return self.arriving + self.waiting + self.running


@dataclass(frozen=True, slots=True)
class _Total:
    at_seconds: float
    waiting: int
    running: int
    arriving: int


@dataclass(frozen=True, slots=True)
class _Learned:
    at_seconds: float
    slots: int


class Window:
    """The recent past of one service."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = {}
        self._totals: deque[_Total] = deque()
        self._learned: _Learned | None = None

    def observe(self, at_seconds: float, replicas: Collection[str], samples: Mapping[str, Sample]) -> None:
        """Take one round: the replicas that exist (by pod name; all others are dropped), and what those said that answered."""
        self._samples = {replica: self._samples.get(replica, deque()) for replica in replicas}
        for replica, sample in samples.items():
            if replica in self._samples:
                self._samples[replica].append(sample)
        for history in self._samples.values():
            # One sample beyond the horizon stays: it shows that the history reaches that far back.
            while len(history) > 1 and history[1].at_seconds <= at_seconds - LEARNING_SECONDS:
                history.popleft()
        self._learn(at_seconds)
        last = self._last(at_seconds).values()
        if last:
            waiting, running, arriving = (sum(numbers) for numbers in zip(*((sample.waiting, sample.running, sample.arriving) for sample in last), strict=True))
            self._totals.append(_Total(at_seconds, waiting, running, arriving))
        while self._totals and self._totals[0].at_seconds <= at_seconds - SMOOTHING_SECONDS:
            self._totals.popleft()

    def load(self, now_seconds: float) -> Load | None:
        """The greatest load of the last SMOOTHING_SECONDS; None when no replica answered in that time."""
        recent = [total for total in self._totals if total.at_seconds > now_seconds - SMOOTHING_SECONDS]
        last = self._last(now_seconds)
        if not recent or not last:
            return None
        peak = max(recent, key=lambda total: total.arriving + total.waiting + total.running)
        return Load(waiting=peak.waiting, running=peak.running, arriving=peak.arriving, slots=self._slots(now_seconds, last), heard=frozenset(last))

    def _last(self, now_seconds: float) -> dict[str, Sample]:
        """The last sample of each replica, where it still counts."""
        return {replica: history[-1] for replica, history in self._samples.items() if history and history[-1].at_seconds > now_seconds - SAMPLE_LIFE_SECONDS}

    def _slots(self, now_seconds: float, last: Mapping[str, Sample]) -> Slots:
        reported = min((sample.max_sequences for sample in last.values() if sample.max_sequences is not None), default=None)
        learned = self._learned
        if learned is not None and learned.at_seconds > now_seconds - MEMORY_SECONDS and (reported is None or learned.slots < reported):
            return Slots(learned.slots, SlotsOrigin.LEARNED)
        if reported is not None:
            return Slots(reported, SlotsOrigin.REPORTED)
        return Slots(ASSUMED_SLOTS, SlotsOrigin.ASSUMED)

    def _learn(self, now_seconds: float) -> None:
        """Newer evidence replaces older: what bounds a replica (KV cache, prefill) depends on the requests of the day."""
        last = self._last(now_seconds)
        bounds = {replica: bound for replica in last if (bound := _bound(self._samples[replica], now_seconds)) is not None}
        if bounds:
            mean = sum(bounds.values()) // len(bounds)
            # A replica that is not bound is taken for one like them, unless it runs more.
            self._learned = _Learned(now_seconds, sum(bounds.get(replica, max(mean, sample.running)) for replica, sample in last.items()) // len(last))
            return
        running = max((sample.running for sample in last.values()), default=0)
        # A replica that runs more than was learned, or assumed, has more slots than that.
        if running > self._slots(now_seconds, last).count:
            self._learned = _Learned(now_seconds, running)


def _bound(history: Collection[Sample], now_seconds: float) -> int | None:
    """How many requests a replica runs where others wait all the time and the batch grows no more; None where that cannot be said.

    The greatest number counts: between two batches fewer run although nothing but the scrape's time is to blame.
    """
    samples = list(history)
    if len(samples) < 4 or samples[0].at_seconds > now_seconds - LEARNING_SECONDS:
        return None
    if any(sample.waiting == 0 for sample in samples):
        return None
    middle = len(samples) // 2
    before, after = max(sample.running for sample in samples[:middle]), max(sample.running for sample in samples[middle:])
    return after if 0 < after <= before else None
