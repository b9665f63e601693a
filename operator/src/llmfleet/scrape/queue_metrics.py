"""vLLM's queue as its Prometheus page tells it."""

import math
from dataclasses import dataclass
from typing import Final

WAITING: Final = "vllm:num_requests_waiting"
RUNNING: Final = "vllm:num_requests_running"
IN_FLIGHT: Final = "llmfleet:requests_in_flight"
"""The runtime's own gauge on vLLM's page: requests from their first byte to the last of their answer (docs/engine-pod.md)."""

PATH: Final = f"/metrics/?name[]={WAITING}&name[]={RUNNING}&name[]={IN_FLIGHT}"
"""Only three gauges, 531 bytes: of the two of vLLM alone 0.45 ms of the engine's event loop against 48 kB and 6 ms of the whole page (measured). Without the
slash before the question mark vLLM does not filter."""

MAX_BYTES: Final = 64 * 1024
"""Most that is read of an answer: the gauges of hundreds of engines fit, and so does the whole page of an engine that does not filter."""

MAX_REQUESTS: Final = 10**9
"""Of a gauge: more than any server has; the words about a demand must fit the status."""


class MalformedMetricsError(ValueError):
    """The answer is not the page that vLLM gives; the message says what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Requests of one replica."""

    waiting: int
    running: int
    arriving: int = 0
    """Requests that the server has and the engine does not: their text is still being read and tokenised, or the end of their answer is on its way."""


def parse(text: str) -> Queue:
    """Sum each gauge over its labels (`engine` is the data-parallel rank, `model_name` the served name; requests for an adapter are in the same gauges).

    A gauge of vLLM that is absent is an error: nothing known is not nothing waiting. The runtime's is absent where the runtime is an older one.

    What is in flight is the greater of the runtime's gauge and vLLM's sum, for neither has all: vLLM does not know of a request that is being tokenised, and of
    one request to the server it makes several where a list of prompts was sent.
    """
    totals: dict[str, float] = {}
    for line in text.splitlines():
        name, value = _sample(line)
        if name in (WAITING, RUNNING, IN_FLIGHT):
            totals[name] = totals.get(name, 0.0) + _count(line, value)
    for name in (WAITING, RUNNING):
        if name not in totals:
            raise MalformedMetricsError(f"no {name} in the engine's metrics")
    waiting, running = int(totals[WAITING]), int(totals[RUNNING])
    return Queue(waiting, running, arriving=max(0, int(totals.get(IN_FLIGHT, 0.0)) - waiting - running))


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
    if not 0 <= number <= MAX_REQUESTS:
        raise MalformedMetricsError(f"not a number of requests: {line[:200]}")
    return number
