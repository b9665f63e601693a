"""What the operator says of itself: Prometheus metrics and JSON log lines that carry the object they are about."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llmfleet.kube.objects import Key, Object, key_of
from llmfleet.server.settings import LogLevel

_about: ContextVar[Key | None] = ContextVar("about", default=None)
"""The service that the current task works on."""


class Telemetry:
    """The operator's own metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        results = "Reconciles by result: done, retry (an error that may pass), error (a bug)"
        self.reconciles = Counter("llmfleet_reconciles", results, ["result"], registry=self.registry)
        self.reconcile_seconds = Histogram("llmfleet_reconcile_duration_seconds", "Duration of a reconcile", registry=self.registry)
        self._leader = Gauge("llmfleet_leader", "1 while this replica is the one that writes", registry=self.registry)
        self._depth = Gauge("llmfleet_queue_depth", "Services waiting to be reconciled", registry=self.registry)
        self._age = Gauge("llmfleet_queue_oldest_age_seconds", "Age of the longest waiting service", registry=self.registry)
        self._relist = Gauge("llmfleet_last_relist_timestamp_seconds", "When everything was last listed (Unix time)", registry=self.registry)

    def observe(self, *, leader: Callable[[], bool], depth: Callable[[], int], oldest_age_seconds: Callable[[], float]) -> None:
        """Read these at each scrape."""
        self._leader.set_function(lambda: float(leader()))
        self._depth.set_function(lambda: float(depth()))
        self._age.set_function(oldest_age_seconds)

    def export_services(self, services: Callable[[], Iterable[Object]]) -> None:
        """Export, at each scrape, what the status of each service says: its conditions, the phases of its start, and its KV cache, estimated and measured."""
        self.registry.register(_Services(services))

    def relisted(self) -> None:
        """Note a complete re-list."""
        self._relist.set_to_current_time()

    @contextmanager
    def reconcile(self, key: Key) -> Iterator[None]:
        """Time a reconcile; log lines within carry the service."""
        token, began = _about.set(key), time.perf_counter()
        try:
            yield
        finally:
            self.reconcile_seconds.observe(time.perf_counter() - began)
            _about.reset(token)


class _Services(Collector):
    """Read from the statuses, so that it says what people see, and forgets a service with its object."""

    def __init__(self, services: Callable[[], Iterable[Object]]) -> None:
        self._services = services

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics."""
        labels = ["namespace", "name"]
        condition = GaugeMetricFamily("llmfleet_condition", "1 where the condition of a service is True, else 0", labels=[*labels, "type", "reason"])
        start = GaugeMetricFamily("llmfleet_start_seconds", "What the start of the slowest replica took, by phase", labels=[*labels, "phase"])
        estimated = GaugeMetricFamily(
            "llmfleet_kv_cache_tokens_estimated", "Tokens that the KV cache of a replica was estimated to hold", labels=[*labels, "bound"]
        )
        measured = GaugeMetricFamily("llmfleet_kv_cache_tokens_measured", "Tokens that the KV cache of a replica holds, by vLLM", labels=labels)
        error = GaugeMetricFamily(
            "llmfleet_kv_cache_tokens_error_ratio", "Distance of the middle of the estimate from the measured value, as a share of that", labels=labels
        )
        for service in self._services():
            about, status = key_of(service), service.get("status") or {}
            for stated in status.get("conditions", ()):
                condition.add_metric([*about, stated["type"], stated["reason"]], stated["status"] == "True")
            for phase in status.get("engine", {}).get("startup", ()):
                start.add_metric([*about, phase["name"]], phase["seconds"])
            tokens = status.get("plan", {}).get("kvTokens", {})
            for bound, value in tokens.get("estimated", {}).items():
                estimated.add_metric([*about, bound], value)
            if "measured" in tokens:
                measured.add_metric(about, tokens["measured"])
            if "errorPercent" in tokens:
                error.add_metric(about, tokens["errorPercent"] / 100)
        yield from (condition, start, estimated, measured, error)


class JsonFormatter(logging.Formatter):
    """One line per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object: time, level, logger, message; namespace and name of the service where there is one."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (about := _about.get()) is not None:
            line["namespace"], line["name"] = about
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: LogLevel) -> None:
    """Write JSON lines to standard output; kopf and aiohttp speak up only when something is wrong."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
