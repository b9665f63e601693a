"""The model of one service: what is known of it, and the Jobs and the claim that come before the engines."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from llmfleet.kube.kinds import LLMSERVICE, PERSISTENT_VOLUME_CLAIM
from llmfleet.kube.objects import Key, uid_of
from llmfleet.kube.store import Store
from llmfleet.reconcile.apply import Outcome
from llmfleet.reconcile.desired import Draft
from llmfleet.reconcile.inputs import Gatherer
from llmfleet.reconcile.jobs import Jobs
from llmfleet.reconcile.knowledge import Download, Inspection, Knowledge, Refusal, Waiting, learn
from llmfleet.resources.blueprint import Owner

log = logging.getLogger(__name__)


class Models:
    """Knows, looks at and fetches the models of one service at a time. `clock` gives seconds since the epoch, as the cluster's times do."""

    def __init__(self, store: Store, gatherer: Gatherer, jobs: Jobs, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._gatherer = gatherer
        self._jobs = jobs
        self._clock = clock
        self._refusals: dict[Key, Refusal] = {}

    def learn(self, draft: Draft) -> Knowledge:
        """Put together what is known."""
        owner, source = draft.blueprint.owner, draft.blueprint.spec.model.source
        before = draft.status.model if draft.status is not None else None
        looked = self._gatherer.attempt(owner.namespace, draft.inspection["metadata"]["name"])
        inspection = Inspection(source, draft.inspection, looked, self._refusals.get(_key(owner)))
        download = None
        if draft.download is not None:
            name = draft.download["metadata"]["name"]
            attempt, progress = self._gatherer.attempt(owner.namespace, name), self._gatherer.progress(owner.namespace, name)
            download = Download(draft.cache_claim, draft.cache_path, draft.download, attempt, progress, self._claim_uid(draft))
        return learn(before, inspection, download, self._clock())

    async def prepare(self, draft: Draft, knowledge: Knowledge) -> tuple[Outcome, Knowledge]:
        """Make what comes before the engines: the inspection, the claim, the download. Return what is known then."""
        outcome, owner = Outcome(), draft.blueprint.owner
        if not await self._look(draft, knowledge, outcome):
            knowledge = self.learn(draft)
        if draft.claim is not None and knowledge.inspected and not await self._jobs.ensure_claim(owner, draft.claim, outcome):
            # The first problem says why; the next reconcile that follows it tries again.
            why = next((Waiting(problem.reason, problem.message, final=True) for problem in outcome.problems), knowledge.model_ready)
            return outcome, replace(knowledge, model_ready=why)
        for start in knowledge.starts:
            if start.manifest is draft.download and (refusal := await self._jobs.start(owner, start, outcome)) is not None:
                outcome.judge(refusal, f"Job {start.manifest['metadata']['name']}")
        if draft.download is not None and knowledge.cache is not None and not knowledge.cache.complete:
            await self._jobs.join(owner, draft.download["metadata"]["name"], outcome)
        return outcome, knowledge

    async def _look(self, draft: Draft, knowledge: Knowledge, outcome: Outcome) -> bool:
        """Begin an inspection where one is due; False where it is not allowed, for then nobody's engine waits for it."""
        owner = draft.blueprint.owner
        for start in knowledge.starts:
            if start.manifest is not draft.inspection:
                continue
            refusal = await self._jobs.start(owner, start, outcome)
            if refusal is not None:
                log.warning("the model cannot be looked at: %s", refusal.message)
                self._refusals[_key(owner)] = Refusal(refusal.message, self._clock())
                return False
            self._refusals.pop(_key(owner), None)
        return True

    async def tidy(self, draft: Draft, outcome: Outcome) -> None:
        """Remove Jobs that nobody needs any more: what they found is in the status."""
        owner = draft.blueprint.owner
        shown = self._store.get(LLMSERVICE, owner.namespace, owner.name)
        if shown is None:
            return
        model = shown.get("status", {}).get("model", {})
        needed = set()
        if model.get("facts", {}).get("source") != draft.blueprint.spec.model.source:
            needed.add(draft.inspection["metadata"]["name"])
        if draft.download is not None and not model.get("cache", {}).get("complete"):
            needed.add(draft.download["metadata"]["name"])
        await self._jobs.prune(owner, needed, outcome)

    def _claim_uid(self, draft: Draft) -> str | None:
        if draft.claim is None:
            return None
        live = self._store.get(PERSISTENT_VOLUME_CLAIM, draft.blueprint.owner.namespace, draft.cache_claim)
        return uid_of(live) if live is not None else ""

    def forget(self, key: Key) -> None:
        """The service is gone."""
        self._refusals.pop(key, None)

    def seconds_until(self, at_seconds: float) -> float:
        """How long until then; 0 for what is past."""
        return max(0.0, at_seconds - self._clock())


def _key(owner: Owner) -> Key:
    return owner.namespace, owner.name
