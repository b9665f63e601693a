"""Jobs and claims that come before the engines: made where they are not there, never applied again.

A download belongs to every service that waits for it: each is among its owners, none controls it, and the garbage collector takes it when the last is gone.
"""

import logging
from collections.abc import Collection

from llmfleet import names
from llmfleet.api.quantity import quantity_bytes
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import JOB, PERSISTENT_VOLUME_CLAIM
from llmfleet.kube.objects import Object, labels_of, uid_of
from llmfleet.kube.store import Store
from llmfleet.names import Reason
from llmfleet.reconcile.apply import Outcome, Problem
from llmfleet.reconcile.attempts import Attempt
from llmfleet.reconcile.knowledge import Start
from llmfleet.resources.blueprint import Manifest, Owner

log = logging.getLogger(__name__)


class Jobs:
    """Makes, replaces and removes the Jobs of one service at a time, and makes its claim."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store

    async def start(self, owner: Owner, start: Start, outcome: Outcome) -> ApiError | None:
        """Make a Job that is not there, or in the place of one that failed; return the API server's refusal, which is the caller's to judge."""
        name = start.manifest["metadata"]["name"]
        try:
            await self._start(owner, start, name, outcome)
        except ApiError as error:
            if (error.forbidden or error.invalid) and not error.namespace_terminating:
                return error
            outcome.judge(error, f"Job {name}")
        return None

    async def join(self, owner: Owner, name: str, outcome: Outcome) -> None:
        """Be among the owners of a Job that another service began."""
        job = self._store.get(JOB, owner.namespace, name)
        if job is None or _owns(owner, job):
            return
        try:
            await self._set_owners(job, [*job["metadata"].get("ownerReferences", ()), _reference(owner)])
            outcome.wrote = True
        except ApiError as error:
            outcome.judge(error, f"Job {name}")

    async def prune(self, owner: Owner, needed: Collection[str], outcome: Outcome) -> None:
        """Remove what is done or no longer wanted: Jobs of ours that are not needed, our name from those that others wait for."""
        for job in list(self._store.objects(JOB)):
            metadata = job["metadata"]
            if metadata["namespace"] != owner.namespace or metadata["name"] in needed or metadata.get("deletionTimestamp") or not _owns(owner, job):
                continue
            others = [reference for reference in metadata["ownerReferences"] if reference["uid"] != owner.uid]
            try:
                if others:
                    await self._set_owners(job, others)
                else:
                    await self._client.delete(JOB, owner.namespace, metadata["name"], uid=uid_of(job))
                    self._store.remove(JOB, job)
                    log.info("removed Job %s", metadata["name"])
            except ApiError as error:
                outcome.judge(error, f"the deletion of Job {metadata['name']}")

    async def ensure_claim(self, owner: Owner, manifest: Manifest, outcome: Outcome) -> bool:
        """Make the cache's claim where there is none, and let it grow with the specification; nothing else of it is ever changed.

        False where there is none of ours: what is somebody else's is not written to.
        """
        name = manifest["metadata"]["name"]
        try:
            await self._ensure_claim(owner, manifest, name, outcome)
        except ApiError as error:
            outcome.judge(error, f"PersistentVolumeClaim {name}")
        live = self._store.get(PERSISTENT_VOLUME_CLAIM, owner.namespace, name)
        return live is not None and _is_of(live, owner)

    async def _start(self, owner: Owner, start: Start, name: str, outcome: Outcome) -> None:
        if start.replaces is not None:
            await self._client.delete(JOB, owner.namespace, name, uid=start.replaces.uid)
        elif (found := await self._client.get(JOB, owner.namespace, name)) is not None:
            # Not in the store: its event is on its way, it is being deleted, or it is somebody else's.
            if labels_of(found).get(names.LABEL_MANAGED_BY) == names.MANAGED_BY:
                self._store.upsert(JOB, found)
            else:
                # What is not watched must not be taken for an attempt of ours: it would be waited for, and replaced.
                outcome.problems.append(Problem(Reason.FOREIGN_OBJECT, f"Job {name} exists and is not the operator's: it is left alone; remove it"))
            return
        stored = await self._client.create(_attempt(owner, start))
        self._store.upsert(JOB, stored)
        outcome.wrote = True
        log.info("created Job %s", name)

    async def _set_owners(self, job: Object, references: list[Manifest]) -> None:
        metadata = job["metadata"]
        # With the revision that was seen: another service may come or go at the same time.
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "ownerReferences": references}}
        self._store.upsert(JOB, await self._client.merge_patch(JOB, metadata["namespace"], metadata["name"], patch))

    async def _ensure_claim(self, owner: Owner, manifest: Manifest, name: str, outcome: Outcome) -> None:
        live = self._store.get(PERSISTENT_VOLUME_CLAIM, owner.namespace, name)
        if live is None:
            live = await self._client.get(PERSISTENT_VOLUME_CLAIM, owner.namespace, name)
            if live is not None and _is_of(live, owner):
                self._store.upsert(PERSISTENT_VOLUME_CLAIM, live)
            if live is None:
                self._store.upsert(PERSISTENT_VOLUME_CLAIM, await self._client.create(manifest))
                outcome.wrote = True
                log.info("created PersistentVolumeClaim %s", name)
                return
        if not _is_of(live, owner):
            words = f"PersistentVolumeClaim {name} exists and is not this LLMService's: to use it, set model.cache.claimName: {name}; else rename or remove it"
            outcome.problems.append(Problem(Reason.FOREIGN_OBJECT, words))
            return
        wanted = manifest["spec"]["resources"]["requests"]["storage"]
        if quantity_bytes(wanted) > quantity_bytes(live["spec"]["resources"]["requests"]["storage"]):
            patch = {"spec": {"resources": {"requests": {"storage": wanted}}}}
            self._store.upsert(PERSISTENT_VOLUME_CLAIM, await self._client.merge_patch(PERSISTENT_VOLUME_CLAIM, owner.namespace, name, patch))
            outcome.wrote = True
            log.info("PersistentVolumeClaim %s grows to %s", name, wanted)


def _attempt(owner: Owner, start: Start) -> Manifest:
    """The Job as it is made: with its owner, and with what is to be remembered of the attempt before."""
    metadata = dict(start.manifest["metadata"])
    if not metadata.get("ownerReferences"):
        metadata["ownerReferences"] = [_reference(owner)]
    if (before := start.replaces) is not None:
        metadata["annotations"] = {names.ANNOTATION_ATTEMPT: str(before.number + 1), **_last_failure(before)}
    return {**start.manifest, "metadata": metadata}


def _last_failure(before: Attempt) -> dict[str, str]:
    words = before.failed
    return {names.ANNOTATION_LAST_FAILURE: words.to_annotation()} if words is not None else {}


def _reference(owner: Owner) -> Manifest:
    return {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "name": owner.name, "uid": owner.uid}


def _is_of(claim: Object, owner: Owner) -> bool:
    labels = labels_of(claim)
    return (labels.get(names.LABEL_MANAGED_BY), labels.get(names.LABEL_SERVICE)) == (names.MANAGED_BY, owner.name)


def _owns(owner: Owner, job: Object) -> bool:
    return any(reference["uid"] == owner.uid for reference in job["metadata"].get("ownerReferences", ()))
