"""One service, from what is written to what is shown. Reads like the recipe it is."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from llmfleet import names
from llmfleet.api.v1alpha1 import RolloutStatus
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import HORIZONTAL_POD_AUTOSCALER, LLMSERVICE, REPLICA_SET, kind_of
from llmfleet.kube.objects import Key, labels_of
from llmfleet.kube.store import Store
from llmfleet.names import Reason
from llmfleet.reconcile.adapters import adapters
from llmfleet.reconcile.apply import Applier, NamespaceTerminatingError, Outcome, Problem
from llmfleet.reconcile.desired import Accepted, Installation, Refused, decided, drafted
from llmfleet.reconcile.failures import worst
from llmfleet.reconcile.inputs import Gatherer, Inputs
from llmfleet.reconcile.judgement import Judgement, observation, replicas_wanted
from llmfleet.reconcile.knowledge import Waiting
from llmfleet.reconcile.models import Models
from llmfleet.reconcile.replicas import replicas
from llmfleet.reconcile.rollout import followed, plan, stopped
from llmfleet.reconcile.rollouts import Rollouts
from llmfleet.reconcile.status import status
from llmfleet.reconcile.waits import wait
from llmfleet.resources import children
from llmfleet.resources.blueprint import Manifest, Owner
from llmfleet.resources.workload import Progress, Workload

log = logging.getLogger(__name__)

UNWATCHED = frozenset({Reason.FOREIGN_OBJECT, Reason.CONFIG_ERROR})
"""Problems with objects that are not watched: that they come or go is no event."""

UNWATCHED_SECONDS = 30.0
"""How long until such an object is looked for again."""

SETTLE_SECONDS = 1.0
"""How long status waits after a write: the cluster answers it with a burst of changes, and one status at the end of the burst carries them all.
Until then observedGeneration is behind, which says just that."""

PATIENCE = 3
"""So many attempts in a row may fail before status tells of it: a conflict or a restart of the API server is over by then."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of showing a status."""

    at_once: bool
    """Others changed the object while we looked at it, or what was said is to be carried out now."""
    again_seconds: float | None
    """When the rollout may go on by time alone (seconds since the epoch)."""


@dataclass(frozen=True, slots=True)
class Again:
    """When a service has to be looked at again although nothing may happen to it."""

    after_seconds: float
    failed: bool
    """An error that may pass: the delay grows with each one."""


class Reconciler:
    """Makes one service at a time true."""

    def __init__(
        self,
        *,
        client: Client,
        store: Store,
        gatherer: Gatherer,
        applier: Applier,
        models: Models,
        installation: Callable[[], Installation],
        rollouts: Rollouts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._gatherer = gatherer
        self._applier = applier
        self._models = models
        self._installation = installation
        self._rollouts = rollouts
        self._clock = clock
        self._settled_at: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}

    async def reconcile(self, key: Key) -> Again | None:
        """Bring one service's children and status in line; say whether to look again."""
        inputs = await self._gatherer.gather(key)
        if inputs is None:
            self._settled_at.pop(key, None)
            self._failures.pop(key, None)
            self._models.forget(key)
            self._rollouts.forget(key)
            return None
        judgement = self._judge(inputs)
        try:
            judgement, outcome, waiting = await self._carry_out(judgement)
        except NamespaceTerminatingError:
            return None
        if outcome.wrote:
            self._settle(key)
        self._failures[key] = self._failures.get(key, 0) + 1 if outcome.retry is not None else 0
        if outcome.retry is not None and not outcome.problems:
            if self._failures[key] < PATIENCE:
                # The children are half-way: what they show is not about this generation.
                return Again(outcome.retry.retry_after, failed=True)
            outcome.problems.append(Problem(Reason.API_ERROR, f"{outcome.retry.message}; trying again"))
        if (remaining := self._settled_at.get(key, 0.0) - self._clock()) > 0:
            return Again(remaining, failed=False)
        shown = await self._show(judgement, waiting, outcome)
        try:
            if judgement.draft is not None:
                await self._models.tidy(judgement.draft, outcome)
        except NamespaceTerminatingError:
            return None
        if outcome.retry is not None:
            return Again(outcome.retry.retry_after, failed=True)
        if shown.at_once:
            return Again(0.0, failed=False)
        return self._again(judgement, outcome, shown)

    def _again(self, judgement: Judgement, outcome: Outcome, shown: Shown) -> Again | None:
        """When to look again at what is as it should be, as far as that is up to us."""
        waits = [UNWATCHED_SECONDS] if any(problem.reason in UNWATCHED for problem in outcome.problems) else []
        if judgement.knowledge is not None and judgement.knowledge.again_seconds is not None:
            waits.append(self._models.seconds_until(judgement.knowledge.again_seconds))
        times = [shown.again_seconds, judgement.course.again_seconds if judgement.course is not None else None]
        waits += [self._rollouts.seconds_until(at) for at in times if at is not None]
        return Again(min(waits), failed=False) if waits else None

    def _judge(self, inputs: Inputs) -> Judgement:
        """Read the specification, put together what is known of the model, and decide."""
        metadata = inputs.raw["metadata"]
        owner, workload = Owner(metadata["namespace"], metadata["name"], metadata["uid"]), children.workload()
        draft = drafted(inputs.raw, self._installation(), inputs.configuration)
        if isinstance(draft, Refused):
            return Judgement(inputs, owner, draft, None, None, workload, None)
        knowledge = self._models.learn(draft)
        decision, course = decided(draft, knowledge), None
        if isinstance(decision, Accepted):
            decision, course = self._rollouts.direct(draft, decision, workload, self._progress(owner, workload))
        return Judgement(inputs, owner, decision, draft, knowledge, workload, course)

    async def _carry_out(self, judgement: Judgement) -> tuple[Judgement, Outcome, Waiting | None]:
        """Bring what belongs to the service in line, as far as the specification can be carried out; say what the children are held back for."""
        inputs, owner, decision = judgement.inputs, judgement.owner, judgement.decision
        draft, knowledge = judgement.draft, judgement.knowledge
        if isinstance(decision, Refused) or draft is None or knowledge is None:
            return judgement, Outcome(), None
        # Applied without a ConfigMap, the workload would replace replicas that serve by replicas that cannot start.
        absent = [f"ConfigMap {name} does not exist: create it, or correct the reference" for name in inputs.missing]
        denied = [f"ConfigMap {name} cannot be read by the operator, and its changes could not roll out: {words}" for name, words in inputs.unreadable.items()]
        if absent or denied:
            outcome = Outcome(problems=[Problem(Reason.CONFIG_ERROR, "; ".join(absent + denied))])
            await self._try_to_scale(judgement, outcome)
            return judgement, outcome, None
        prepared, learned = await self._models.prepare(draft, knowledge)
        judgement = replace(judgement, knowledge=learned)
        waiting = learned.waiting
        if waiting is not None and await self._applier.as_rendered(owner, decision.children[0]):
            # Engines that run just so are not held back by what is looked up once more.
            waiting = None
        if waiting is not None or any(problem.reason is Reason.FOREIGN_OBJECT for problem in prepared.problems):
            await self._try_to_scale(judgement, prepared)
            return judgement, prepared, waiting
        outcome = await self._applier.ensure(owner, decision.children)
        if outcome.workload_applied:
            await self._try_to_scale(judgement, outcome)
            await self._give_up(judgement, outcome)
        outcome.wrote |= prepared.wrote
        outcome.problems += prepared.problems
        outcome.retry = outcome.retry or prepared.retry
        return judgement, outcome, None

    async def _try_to_scale(self, judgement: Judgement, outcome: Outcome) -> None:
        owner, decision = judgement.owner, judgement.decision
        if isinstance(decision, Refused):
            return
        try:
            outcome.wrote |= await self._scale(judgement, decision, applied=outcome.workload_applied)
        except ApiError as error:
            outcome.judge(error, f"the number of replicas of {owner.engine_name}")

    async def _give_up(self, judgement: Judgement, outcome: Outcome) -> None:
        """Take the pods of a revision that is held away from beside the one before, as soon as the workload's controller knows that it is paused."""
        owner, course, progress = judgement.owner, judgement.course, self._progress(judgement.owner, judgement.workload)
        if course is None or progress is None or not progress.observed:
            return
        key = (owner.namespace, owner.name)
        scene = self._rollouts.scene(key, progress)
        for name in self._rollouts.to_empty(key, course.rollout, scene):
            try:
                await self._applier.scale(owner, REPLICA_SET, name, 0)
                self._rollouts.emptied(key, name, scene)
                outcome.wrote = True
            except ApiError as error:
                if not error.not_found:
                    outcome.judge(error, f"the number of replicas of {name}")

    def _settle(self, key: Key) -> None:
        self._settled_at[key] = self._clock() + SETTLE_SECONDS

    async def _scale(self, judgement: Judgement, decision: Accepted, *, applied: bool) -> bool:
        owner, workload, course = judgement.owner, judgement.workload, judgement.course
        progress = self._progress(owner, workload)
        if progress is None or course is None:
            return False
        # A revision that was given up is not tried again while the one that follows it is held back.
        given_up = stopped(course.rollout if applied else course.before)
        wanted = 0 if given_up else replicas_wanted(decision, progress)
        if progress.wanted == wanted:
            return False
        target = workload.scale_target(owner)
        await self._applier.scale(owner, kind_of(target), target["name"], wanted)
        return True

    async def _show(self, judgement: Judgement, waiting: Waiting | None, outcome: Outcome) -> Shown:
        """Write the status if it differs."""
        inputs, owner, decision, course = judgement.inputs, judgement.owner, judgement.decision, judgement.course
        key, progress = (owner.namespace, owner.name), self._progress(owner, judgement.workload)
        scene, again = self._rollouts.scene(key, progress), None
        rollout = course.rollout if course is not None else None
        if rollout is not None and outcome.workload_applied:
            rollout, again = followed(rollout, scene)
        pods = self._gatherer.pods(key)
        found = replicas(pods, inputs.reports)
        failure = worst(pod for pod in pods if rollout is None or labels_of(pod).get(names.LABEL_REVISION) == rollout.revision)
        autoscaler = self._applier.live(owner, HORIZONTAL_POD_AUTOSCALER, owner.engine_name)
        seen = replace(
            observation(judgement, waiting, outcome.problems, progress, autoscaler),
            failure=failure,
            wait=wait(rollout, scene, failure) if rollout is not None and _tells(progress, rollout) else None,
            adapters=adapters(decision, found, inputs.raw.get("status", {}), applied=outcome.workload_applied),
        )
        shown = status(
            inputs.raw,
            decision,
            seen,
            applied=outcome.workload_applied,
            owner=owner,
            workload=judgement.workload,
            knowledge=judgement.knowledge,
            demand=inputs.demand,
            measured=inputs.measured,
            replicas=found,
            rollout=rollout,
            now=_now(),
        )
        changed = _comparable(shown) != _comparable(inputs.raw.get("status", {}))
        edited = changed and await self._write(inputs.raw, shown)
        decided_now = course is not None and rollout is not None and _told(rollout) != _told(course.rollout)
        return Shown(edited or decided_now, again)

    async def _write(self, raw: Manifest, shown: Manifest) -> bool:
        metadata = {field: raw["metadata"][field] for field in ("name", "namespace", "uid")}
        manifest = {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "metadata": metadata, "status": shown}
        stored = await self._client.apply(manifest, field_manager=names.STATUS_FIELD_MANAGER, subresource="status")
        self._store.upsert(LLMSERVICE, stored)
        self._settle((metadata["namespace"], metadata["name"]))
        # The answer carries a newer specification, if there is one, into the store: its own event will not count as news any more.
        return bool(stored["metadata"].get("generation") != raw["metadata"].get("generation"))

    def _progress(self, owner: Owner, workload: Workload) -> Progress | None:
        """How far the workload is, as last seen; None where it is not there."""
        target = workload.scale_target(owner)
        live = self._applier.live(owner, kind_of(target), target["name"])
        return workload.progress(live) if live is not None else None


def _tells(progress: Progress | None, rollout: RolloutStatus) -> bool:
    """Whether the pods speak of the newest specification."""
    return progress is not None and (progress.observed or rollout.held is not None)


def _told(rollout: RolloutStatus) -> object:
    """What is carried out of a rollout."""
    return plan(rollout), stopped(rollout)


def _comparable(shown: Manifest) -> Manifest:
    """A status whose conditions and adapters are keyed by type and name: their order is the server's."""
    conditions = {condition["type"]: condition for condition in shown.get("conditions", ())}
    return {**shown, "conditions": conditions, "adapters": {adapter["name"]: adapter for adapter in shown.get("adapters", ())}}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
