"""One service, from what is written to what is shown. Reads like the recipe it is."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import HORIZONTAL_POD_AUTOSCALER, LLMSERVICE, kind_of
from llmfleet.kube.objects import Key, Object
from llmfleet.kube.store import Store
from llmfleet.names import Reason
from llmfleet.reconcile.adapters import adapters
from llmfleet.reconcile.apply import Applier, NamespaceTerminatingError, Outcome, Problem
from llmfleet.reconcile.conditions import Observation
from llmfleet.reconcile.desired import Accepted, Draft, Installation, Refused, decided, drafted
from llmfleet.reconcile.failures import worst
from llmfleet.reconcile.inputs import Gatherer, Inputs
from llmfleet.reconcile.knowledge import Knowledge, Waiting
from llmfleet.reconcile.models import Models
from llmfleet.reconcile.replicas import replicas
from llmfleet.reconcile.status import status
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
class Judgement:
    """What one reconcile goes by."""

    inputs: Inputs
    owner: Owner
    decision: Accepted | Refused
    draft: Draft | None
    """None for a specification that is refused whatever the model is like."""
    knowledge: Knowledge | None
    """What is known of the model; None without a draft."""
    workload: Workload


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._gatherer = gatherer
        self._applier = applier
        self._models = models
        self._installation = installation
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
        changed_meanwhile = await self._show(judgement, waiting, outcome)
        try:
            if judgement.draft is not None:
                await self._models.tidy(judgement.draft, outcome)
        except NamespaceTerminatingError:
            return None
        if outcome.retry is not None:
            return Again(outcome.retry.retry_after, failed=True)
        if changed_meanwhile:
            return Again(0.0, failed=False)
        return self._again(judgement, outcome)

    def _again(self, judgement: Judgement, outcome: Outcome) -> Again | None:
        """When to look again at what is as it should be, as far as that is up to us."""
        waits = [UNWATCHED_SECONDS] if any(problem.reason in UNWATCHED for problem in outcome.problems) else []
        if judgement.knowledge is not None and judgement.knowledge.again_seconds is not None:
            waits.append(self._models.seconds_until(judgement.knowledge.again_seconds))
        return Again(min(waits), failed=False) if waits else None

    def _judge(self, inputs: Inputs) -> Judgement:
        """Read the specification, put together what is known of the model, and decide."""
        metadata = inputs.raw["metadata"]
        owner, workload = Owner(metadata["namespace"], metadata["name"], metadata["uid"]), children.workload()
        draft = drafted(inputs.raw, self._installation(), inputs.configuration)
        if isinstance(draft, Refused):
            return Judgement(inputs, owner, draft, None, None, workload)
        knowledge = self._models.learn(draft)
        return Judgement(inputs, owner, decided(draft, knowledge), draft, knowledge, workload)

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
        outcome.wrote |= prepared.wrote
        outcome.problems += prepared.problems
        outcome.retry = outcome.retry or prepared.retry
        return judgement, outcome, None

    async def _try_to_scale(self, judgement: Judgement, outcome: Outcome) -> None:
        owner, decision = judgement.owner, judgement.decision
        if isinstance(decision, Refused):
            return
        try:
            outcome.wrote |= await self._scale(owner, decision, judgement.workload)
        except ApiError as error:
            outcome.judge(error, f"the number of replicas of {owner.engine_name}")

    def _settle(self, key: Key) -> None:
        self._settled_at[key] = self._clock() + SETTLE_SECONDS

    async def _scale(self, owner: Owner, decision: Accepted, workload: Workload) -> bool:
        live = self._workload(owner, workload)
        if live is None:
            return False
        current, wanted = workload.progress(live).wanted, _replicas(decision, workload.progress(live))
        if current == wanted:
            return False
        target = workload.scale_target(owner)
        await self._applier.scale(owner, kind_of(target), target["name"], wanted)
        return True

    async def _show(self, judgement: Judgement, waiting: Waiting | None, outcome: Outcome) -> bool:
        """Write the status if it differs; return whether the object was changed by others while we looked at it."""
        inputs, owner, decision, workload = judgement.inputs, judgement.owner, judgement.decision, judgement.workload
        knowledge = judgement.knowledge
        refusal = Waiting(decision.reason, decision.message) if isinstance(decision, Refused) else None
        live = self._workload(owner, workload)
        progress = None if live is None else workload.progress(live)
        if progress is not None and isinstance(decision, Accepted):
            progress = replace(progress, wanted=_replicas(decision, progress))
        autoscaled = isinstance(decision, Accepted) and decision.spec.autoscaling is not None
        autoscaler = self._applier.live(owner, HORIZONTAL_POD_AUTOSCALER, owner.engine_name) if autoscaled else None
        pods = self._gatherer.pods((owner.namespace, owner.name))
        found = replicas(pods, inputs.reports)
        seen = Observation(
            refusal=refusal,
            problems=outcome.problems,
            waiting=waiting,
            progress=progress,
            failure=worst(pods),
            autoscaler=autoscaler,
            warnings="; ".join(violation.message for violation in decision.warnings) if isinstance(decision, Accepted) else "",
            cache=knowledge.cache if knowledge is not None else None,
            model_ready=refusal or (knowledge.model_ready if knowledge is not None else None),
            adapters=adapters(decision, found, inputs.raw.get("status", {}), applied=outcome.workload_applied),
        )
        shown = status(
            inputs.raw,
            decision,
            seen,
            applied=outcome.workload_applied,
            owner=owner,
            workload=workload,
            knowledge=knowledge,
            demand=inputs.demand,
            measured=inputs.measured,
            replicas=found,
            rollout=None,
            now=_now(),
        )
        if _comparable(shown) == _comparable(inputs.raw.get("status", {})):
            return False
        return await self._write(inputs.raw, shown)

    async def _write(self, raw: Manifest, shown: Manifest) -> bool:
        metadata = {field: raw["metadata"][field] for field in ("name", "namespace", "uid")}
        manifest = {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "metadata": metadata, "status": shown}
        stored = await self._client.apply(manifest, field_manager=names.STATUS_FIELD_MANAGER, subresource="status")
        self._store.upsert(LLMSERVICE, stored)
        self._settle((metadata["namespace"], metadata["name"]))
        # The answer carries a newer specification, if there is one, into the store: its own event will not count as news any more.
        return bool(stored["metadata"].get("generation") != raw["metadata"].get("generation"))

    def _workload(self, owner: Owner, workload: Workload) -> Object | None:
        target = workload.scale_target(owner)
        return self._applier.live(owner, kind_of(target), target["name"])


def _comparable(shown: Manifest) -> Manifest:
    """A status whose conditions and adapters are keyed by type and name: their order is the server's."""
    conditions = {condition["type"]: condition for condition in shown.get("conditions", ())}
    return {**shown, "conditions": conditions, "adapters": {adapter["name"]: adapter for adapter in shown.get("adapters", ())}}


def _replicas(decision: Accepted, progress: Progress) -> int:
    """Return how many replicas there should be: the user's number, or the HPA's.

    An HPA stands still at 0 replicas (someone stopped the service before autoscaling was turned on), so that 0 is lifted.
    """
    spec = decision.spec
    if spec.autoscaling is not None:
        return progress.wanted or spec.autoscaling.min_replicas
    return 1 if spec.replicas is None else spec.replicas


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
