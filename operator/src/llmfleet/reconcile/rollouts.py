"""Rollouts of all services: what each is told, and the little that is remembered of each so that patience has a beginning."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from llmfleet.api.v1alpha1 import RolloutStatus
from llmfleet.kube.objects import Key
from llmfleet.reconcile import remedies
from llmfleet.reconcile.desired import Accepted, Draft
from llmfleet.reconcile.engine_pods import engine_pods
from llmfleet.reconcile.inputs import Gatherer
from llmfleet.reconcile.rollout import Scene, current, given_up, measured_seconds, plan
from llmfleet.reconcile.stuck import stuck
from llmfleet.resources import engine_pod
from llmfleet.resources.children import children
from llmfleet.resources.rollout_plan import start_seconds
from llmfleet.resources.workload import Progress, Workload


@dataclass(frozen=True, slots=True)
class Course:
    """What one reconcile does about a service's rollout."""

    before: RolloutStatus | None
    """The rollout as it was carried out last."""
    rollout: RolloutStatus
    """The rollout of the specification."""
    again_seconds: float | None
    """When the disruption budget may be another (seconds since the epoch)."""


@dataclass(slots=True)
class _Memory:
    """What was seen of one service. A restart forgets it, which costs patience and no write."""

    placed: frozenset[str] = frozenset()
    """Uids of the pods that had a place."""
    freed_at_seconds: float = 0.0
    quota_since_seconds: float | None = None
    given_up: dict[str, frozenset[str]] = field(default_factory=dict)
    """ReplicaSets that were scaled to 0, with the uids of the pods that they had then: they are going."""


class Rollouts:
    """Directs the rollouts. `clock` gives seconds since the epoch, as the cluster's times do."""

    def __init__(self, gatherer: Gatherer, clock: Callable[[], float] = time.time) -> None:
        self._gatherer = gatherer
        self._clock = clock
        self._memories: dict[Key, _Memory] = {}

    def direct(self, draft: Draft, decision: Accepted, workload: Workload, progress: Progress | None) -> tuple[Accepted, Course]:
        """Return the decision with its children as the rollout wants them."""
        blueprint, status = decision.blueprint, draft.status
        engine, before = (status.engine, status.rollout) if status is not None else (None, None)
        measured = measured_seconds(engine, blueprint.image, engine_pod.engine_arguments(blueprint))
        rollout = current(before, decision.spec, workload.revision(decision.children[0]), measured)
        scene = self.scene((blueprint.owner.namespace, blueprint.owner.name), progress)
        counted_out = stuck(
            scene.pods,
            scene.wanted,
            refused=progress is not None and progress.refused is not None,
            start_seconds=start_seconds(decision.spec, measured),
            now_seconds=scene.now_seconds,
        )
        blueprint = replace(blueprint, rollout=plan(rollout), stuck_replicas=counted_out.replicas)
        return replace(decision, blueprint=blueprint, children=children(blueprint)), Course(before, rollout, counted_out.again_seconds)

    def scene(self, key: Key, progress: Progress | None) -> Scene:
        """Return what the pods of a service show now."""
        memory, now = self._memories.setdefault(key, _Memory()), self._clock()
        pods = engine_pods(self._gatherer.pods(key))
        placed = frozenset(pod.uid for pod in pods if pod.placed)
        if memory.placed - placed:
            memory.freed_at_seconds = now
        memory.placed = placed
        refused = progress.refused if progress is not None else None
        quota = remedies.with_creation(refused) if refused is not None and remedies.QUOTA in refused else None
        memory.quota_since_seconds = None if quota is None else now if memory.quota_since_seconds is None else memory.quota_since_seconds
        wanted = progress.wanted if progress is not None else 0
        return Scene(pods, wanted, memory.freed_at_seconds, now, quota, memory.quota_since_seconds or 0.0)

    def to_empty(self, key: Key, rollout: RolloutStatus, scene: Scene) -> list[str]:
        """Return the ReplicaSets to scale to 0, without those that were and whose pods are going."""
        memory, found = self._memories.setdefault(key, _Memory()), given_up(rollout, scene)
        memory.given_up = {name: pods for name, pods in memory.given_up.items() if name in found}
        return [name for name, pods in found.items() if not pods <= memory.given_up.get(name, frozenset())]

    def emptied(self, key: Key, name: str, scene: Scene) -> None:
        """A ReplicaSet was scaled to 0."""
        pods = frozenset(pod.uid for pod in scene.pods if pod.replica_set == name)
        self._memories.setdefault(key, _Memory()).given_up[name] = pods

    def forget(self, key: Key) -> None:
        """The service is gone."""
        self._memories.pop(key, None)

    def seconds_until(self, at_seconds: float) -> float:
        """How long until then; 0 for what is past."""
        return max(0.0, at_seconds - self._clock())
