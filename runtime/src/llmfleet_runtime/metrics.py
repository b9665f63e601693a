"""Prometheus' text page as far as we read it: samples with their labels."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

RUNNING: Final = "vllm:num_requests_running"
WAITING: Final = "vllm:num_requests_waiting"
STEPS: Final = "vllm:iteration_tokens_total_count"
"""Observations of a histogram that gets one per engine step: the engine's heartbeat."""
CACHE: Final = "vllm:cache_config_info"

IN_FLIGHT: Final = "llmfleet:requests_in_flight"
"""The middleware's own, of each of vLLM's server processes."""
ADAPTERS: Final = "vllm:lora_requests_info"
"""One sample per set of adapters that were ever in use together; its value is when (Unix seconds), so that the latest is what holds."""

_SAMPLE: Final = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the page."""

    name: str
    labels: Mapping[str, str]
    value: float


def path(*names: str) -> str:
    """The page with these metrics only: 0.5 ms of the engine's event loop instead of 6. vLLM filters only with the slash before `?` (measured)."""
    return "/metrics/?" + "&".join(f"name[]={name}" for name in names)


def parse(text: str) -> Iterator[Sample]:
    """Yield the samples of a page; lines that are none (comments, values that are no number) are passed over."""
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        yield Sample(match["name"], dict(_LABEL.findall(match["labels"] or "")), value)


def total(samples: list[Sample], name: str) -> float | None:
    """Sum over the labels (`engine` is the data-parallel rank); None where the page has no such metric: nothing known is not nothing."""
    values = [sample.value for sample in samples if sample.name == name and math.isfinite(sample.value)]
    return sum(values) if values else None
