"""What is known of every service's engines: the scraper writes it; status and the metrics API read it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from llmfleet.autoscaling.demand import Bounds, Demand, NoData, Replicas, Target, demand
from llmfleet.autoscaling.window import Load, Sample, Window
from llmfleet.kube.objects import Key
from llmfleet.scrape import engine
from llmfleet.scrape.queue_metrics import Queue
from llmfleet.scrape.report import AdapterState, Report


@dataclass(frozen=True, slots=True)
class _Read:
    """A report, and when and in which state of the pod it was read."""

    report: Report
    pod_state: str
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What vLLM measured in a service's replicas; None is what none of them says."""

    kv_tokens: int | None = None
    """Tokens that the KV cache of one replica holds: the smallest, for that is where requests wait first."""
    weights_bytes: int | None = None
    """Weights on one accelerator: the largest."""
    kv_cache_bytes: int | None = None
    """KV cache on one accelerator: the smallest."""


@dataclass(slots=True)
class _Service:
    window: Window = field(default_factory=Window)
    reports: dict[str, _Read] = field(default_factory=dict)


class Fleet:
    """Windows and reports by service (namespace, name). Times are seconds since the epoch. All methods belong to one event loop and none of them waits."""

    def __init__(self) -> None:
        self._services: dict[Key, _Service] = {}

    def demand_of(self, key: Key, target: Target, bounds: Bounds, replicas: Replicas, now_seconds: float) -> Demand | NoData:
        """The demand of one service, or why it is unknown; what the metrics API serves and status shows is this one answer."""
        return demand(self.load_of(key, now_seconds), target, bounds, replicas, now_seconds)

    def load_of(self, key: Key, now_seconds: float) -> Load | None:
        """Requests in flight of one service; None where no replica answered lately."""
        service = self._services.get(key)
        return service.window.load(now_seconds) if service is not None else None

    def report_of(self, key: Key, pod: str) -> Report | None:
        """The last report of a pod; None where it gave none."""
        service = self._services.get(key)
        read = service.reports.get(pod) if service is not None else None
        return read.report if read is not None else None

    def measured_of(self, key: Key) -> Measured | None:
        """What the replicas of a service measured; None where none says anything."""
        service = self._services.get(key)
        reports = [read.report for read in service.reports.values()] if service is not None else []
        measured = Measured(
            kv_tokens=min((report.kv_tokens for report in reports if report.kv_tokens is not None), default=None),
            weights_bytes=max((report.weights_bytes for report in reports if report.weights_bytes is not None), default=None),
            kv_cache_bytes=min((report.kv_cache_bytes for report in reports if report.kv_cache_bytes is not None), default=None),
        )
        return None if measured == Measured() else measured

    def reports_of(self, key: Key, targets: Collection[engine.Target]) -> dict[str, Report]:
        """The reports of these pods, by name; only those that were read while the pod was in its present state, for a container before knew other things."""
        service = self._services.get(key)
        read = service.reports if service is not None else {}
        return {target.pod: read[target.pod].report for target in targets if target.pod in read and read[target.pod].pod_state == target.state}

    def keep(self, services: Collection[Key]) -> None:
        """Forget every other service."""
        self._services = {key: self._services.get(key) or _Service() for key in services}

    def record(self, key: Key, at_seconds: float, pods: Collection[str], queues: Mapping[str, Queue]) -> None:
        """Take one round of a service: the pods that exist, all others are forgotten, and the queues of those that answered."""
        service = self._services.get(key)
        if service is None:  # Gone while its round was under way.
            return
        service.reports = {pod: read for pod, read in service.reports.items() if pod in pods}
        samples = {
            pod: Sample(at_seconds, queue.waiting, queue.running, self._max_sequences(key, pod), arriving=queue.arriving) for pod, queue in queues.items()
        }
        service.window.observe(at_seconds, pods, samples)

    def record_report(self, key: Key, target: engine.Target, at_seconds: float, report: Report) -> None:
        """Take the report of one pod, read while the pod was in the target's state."""
        service = self._services.get(key)
        if service is not None:
            service.reports[target.pod] = _Read(report, target.state, at_seconds)

    def report_is_due(self, key: Key, target: engine.Target, oldest_seconds: float) -> bool:
        """Whether a pod's report is missing, of another state of the pod, was read before `oldest_seconds`, or tells of adapters that are under way."""
        service = self._services.get(key)
        read = service.reports.get(target.pod) if service is not None else None
        return read is None or read.pod_state != target.state or read.at_seconds <= oldest_seconds or _under_way(read.report, target.adapters)

    def _max_sequences(self, key: Key, pod: str) -> int | None:
        report = self.report_of(key, pod)
        return report.max_sequences if report is not None else None


def _under_way(report: Report, wanted: frozenset[str]) -> bool:
    """Whether a replica still has to load or unload an adapter; one of a version that says nothing of adapters is not asked all the time."""
    if report.adapters is None:
        return False
    return {adapter.name for adapter in report.adapters} != wanted or any(adapter.state is AdapterState.LOADING for adapter in report.adapters)
