"""Between the store and the scaler: which pods to read, and what a service's demand is."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from llmfleet import names
from llmfleet.api.v1alpha1 import Autoscaling, QueueDepth
from llmfleet.autoscaling.demand import Bounds, Demand, InFlightTarget, NoData, QueueDepthTarget, Replicas
from llmfleet.kube.kinds import DEPLOYMENT, LLMSERVICE, POD
from llmfleet.kube.objects import Key, Object, is_ready, key_of, stays
from llmfleet.kube.store import Store
from llmfleet.metrics_api.application import Missing, Value
from llmfleet.resources import children
from llmfleet.resources.blueprint import Owner
from llmfleet.scrape.engine import Target
from llmfleet.scrape.fleet import Fleet


class Scaling:
    """Demand of every service: from the store and the fleet's windows, by the same function for the metrics API and for status."""

    def __init__(self, store: Store, fleet: Fleet, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._raised: dict[Key, _Raised] = {}

    def targets(self) -> Mapping[Key, Collection[Target]]:
        """Return the pods to read, by service."""
        found: dict[Key, list[Target]] = {}
        for service in self._store.objects(LLMSERVICE):
            found[key_of(service)] = self._targets(service)
        self._raised = {key: raised for key, raised in self._raised.items() if key in found}
        return found

    def targets_of(self, key: Key) -> Collection[Target]:
        """Return the pods to read of one service; none of one that is gone."""
        service = self._store.get(LLMSERVICE, *key)
        return self._targets(service) if service is not None else ()

    def demand(self, key: Key) -> Demand | NoData | None:
        """Return what a service asks for; None for one without autoscaling, or whose specification cannot be read."""
        service = self._store.get(LLMSERVICE, *key)
        autoscaling = None if service is None else _autoscaling(service)
        if service is None or autoscaling is None:
            return None
        target = InFlightTarget(autoscaling.in_flight.target) if autoscaling.in_flight else QueueDepthTarget((autoscaling.queue_depth or QueueDepth()).target)
        bounds = Bounds(autoscaling.min_replicas, autoscaling.max_replicas)
        return self._fleet.demand_of(key, target, bounds, self._replicas(key), self._clock())

    def read(self, namespace: str, name: str, metric: str) -> Value | Missing:
        """Return what the metrics API serves."""
        key = (namespace, name)
        if self._store.get(LLMSERVICE, *key) is None:
            return Missing(f"there is no LLMService {namespace}/{name}", exists=False)
        now = self._clock()
        if metric == names.METRIC_DEMAND:
            wanted = self.demand(key)
            if wanted is None:
                return Missing(f"LLMService {namespace}/{name} has no autoscaling", exists=False)
            return Missing(wanted.reason) if isinstance(wanted, NoData) else Value(wanted.replicas, now)
        load = self._fleet.load_of(key, now)
        if load is None:
            return Missing("no replica answers: nothing is known about the load")
        return Value(load.waiting if metric == names.METRIC_QUEUE_DEPTH else load.in_flight, now)

    def _replicas(self, key: Key) -> Replicas:
        workload = self._store.get(DEPLOYMENT, key[0], Owner(key[0], key[1], "").engine_name)
        pods = self._pods(key)
        ready = frozenset(pod["metadata"]["name"] for pod in pods if is_ready(pod))
        wanted = children.workload().progress(workload).wanted if workload is not None else len(pods)
        return Replicas(wanted=wanted, ready=ready, raised_at_seconds=self._raised_at(key, wanted))

    def _raised_at(self, key: Key, wanted: int) -> float:
        """When the number wanted last rose, as far as this process has seen; what it sees first counts as risen then."""
        known = self._raised.get(key)
        if known is None or wanted != known.wanted:
            risen = known is None or wanted > known.wanted
            known = self._raised[key] = _Raised(wanted, self._clock() if known is None or risen else known.at_seconds)
        return known.at_seconds

    def _targets(self, service: Object) -> list[Target]:
        adapters = _adapters(service)
        return [_target(pod, adapters) for pod in self._pods(key_of(service)) if pod["status"].get("podIP")]

    def _pods(self, key: Key) -> list[Object]:
        """Engine pods that are there to stay."""
        pods = self._store.select(POD, key[0], names.LABEL_SERVICE, key[1])
        return [pod for pod in pods if pod["metadata"]["labels"].get(names.LABEL_ROLE) == names.ROLE_ENGINE and stays(pod)]


@dataclass(frozen=True, slots=True)
class _Raised:
    """A number of wanted replicas, and when it was last raised (seconds since the epoch)."""

    wanted: int
    at_seconds: float


def _autoscaling(service: Object) -> Autoscaling | None:
    raw = service.get("spec", {}).get("autoscaling")
    try:
        return None if raw is None else Autoscaling.model_validate(raw)
    except ValueError:
        return None  # the reconciler says so in a condition


def _adapters(service: Object) -> frozenset[str]:
    """Names of the adapters that a specification lists; it may be one that nobody can read, of which the reconciler says so."""
    adapters = service.get("spec", {}).get("adapters")
    items = adapters.get("items") if isinstance(adapters, dict) else None
    return frozenset(item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)) if isinstance(items, list) else frozenset()


def _target(pod: Object, adapters: frozenset[str]) -> Target:
    restarts = sum(container.get("restartCount", 0) for container in pod["status"].get("containerStatuses", ()))
    return Target(pod=pod["metadata"]["name"], address=pod["status"]["podIP"], state=f"{is_ready(pod)}/{restarts}", adapters=adapters)
