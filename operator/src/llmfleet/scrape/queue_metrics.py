"""vLLM's queue as its Prometheus page tells it."""

import math
from dataclasses import dataclass
from typing import Final

WAITING: Final = "vllm:num_requests_waiting"
RUNNING: Final = "vllm:num_requests_running"

PATH: Final = f"/metrics/?name[]={WAITING}&name[]={RUNNING}"
"""Only the two gauges: 527 bytes and 0.45 ms of the engine's event loop against 48 kB and 6 ms of the whole page (measured). Without the slash before the
question mark vLLM does not filter."""

MAX_BYTES: Final = 64 * 1024
"""Most that is read of an answer: two gauges for each of hundreds of engines fit, and so does the whole page of an engine that does not filter."""


class MalformedMetricsError(ValueError):
    """The answer is not the page that vLLM gives; the message says what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Requests of one replica."""

    waiting: int
    running: int


def parse(text: str) -> Queue:
    """Sum both gauges over their labels (`engine` is the data-parallel rank, `model_name` the served name).

    A gauge that is absent is an error: nothing known is not nothing waiting.
    """
    totals: dict[str, float] = {}
    for line in text.splitlines():
        name, value = _sample(line)
        if name in (WAITING, RUNNING):
            totals[name] = totals.get(name, 0.0) + _count(line, value)
    for name in (WAITING, RUNNING):
        if name not in totals:
            raise MalformedMetricsError(f"no {name} in the engine's metrics")
    return Queue(waiting=int(totals[WAITING]), running=int(totals[RUNNING]))


def _sample(line: str) -> tuple[str, str]:
    """Name and value of a line; a label's value may hold braces and spaces, what follows the labels may not."""
    labelled, brace, rest = line.rpartition("}")
    if not brace:
        name, _, rest = line.partition(" ")
    else:
        name = labelled.partition("{")[0]
    return name.strip(), rest.split()[0] if rest.split() else ""


def _count(line: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise MalformedMetricsError(f"not a number of requests: {line[:200]}")
    return number
