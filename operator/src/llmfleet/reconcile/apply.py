"""Brings the children in line with what is desired, with the fewest writes that can carry it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET, SERVICE, SERVICE_ACCOUNT, Kind, kind_of
from llmfleet.kube.objects import Object, controller_uid, uid_of
from llmfleet.kube.ownership import Applied, stamped
from llmfleet.kube.schemas import Schemas
from llmfleet.kube.store import Store
from llmfleet.names import Reason
from llmfleet.resources.blueprint import Manifest, Owner

log = logging.getLogger(__name__)

CHILD_KINDS = (DEPLOYMENT, SERVICE_ACCOUNT, SERVICE, POD_DISRUPTION_BUDGET, CONFIG_MAP, HORIZONTAL_POD_AUTOSCALER)
"""Every kind of child there can be; what is ours of these kinds and not desired is pruned."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a child is not as it should be. Waiting does not mend it."""

    reason: Reason
    message: str


class NamespaceTerminatingError(Exception):
    """The namespace is being deleted: there is nothing left to do."""


@dataclass(slots=True)
class Outcome:
    """What came of an attempt to bring all children in line."""

    problems: list[Problem] = field(default_factory=list)
    retry: ApiError | None = None
    """An error that may pass: try again later."""
    wrote: bool = False
    """Something was written, so that the cluster is about to answer."""
    workload_applied: bool = False
    """The workload is as rendered."""

    def judge(self, error: ApiError, what: str) -> None:
        """Sort an error by what can be done about it: a problem to tell, something to try again, or both.

        Raises NamespaceTerminatingError where there is nothing left to do.
        """
        if error.namespace_terminating:
            raise NamespaceTerminatingError from error
        if not error.invalid and not error.forbidden:
            self.retry = error
            return
        log.warning("%s is refused: %s", what, error.message)
        if error.forbidden:
            # A quota may be raised and an admission rule changed without an event for us: look again, seldom.
            self.retry = error
        self.problems.append(Problem(Reason.CHILD_REFUSED if error.forbidden else Reason.INVALID, f"the API server refuses {what}: {error.message}"))


class Applier:
    """Applies, scales and prunes the children of one service at a time."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._schemas = Schemas(client, CHILD_KINDS)
        self._applied = Applied()

    async def ensure(self, owner: Owner, manifests: Iterable[Manifest]) -> Outcome:
        """Apply every child that is not as rendered, the first (the workload) before all; prune what is not desired any more.

        A refused workload stops the rest: what a user wrote cannot run, and nothing else may change. A refused sibling stops nobody.
        """
        await self._schemas.load()
        outcome = Outcome()
        wanted: set[tuple[Kind, str]] = set()
        for position, manifest in enumerate(manifests):
            kind = kind_of(manifest)
            wanted.add((kind, manifest["metadata"]["name"]))
            try:
                problem = await self._ensure_one(owner, kind, manifest, outcome)
            except ApiError as error:
                outcome.judge(error, f"{kind.kind} {manifest['metadata']['name']}")
            else:
                outcome.problems += [problem] if problem is not None else []
            if position == 0:
                outcome.workload_applied = not outcome.problems and outcome.retry is None
                if not outcome.workload_applied:
                    return outcome
        await self._prune(owner, wanted, outcome)
        return outcome

    async def as_rendered(self, owner: Owner, manifest: Manifest) -> bool:
        """Tell whether a child of ours is there as it is rendered, so that to apply it would change nothing."""
        await self._schemas.load()
        kind = kind_of(manifest)
        live = self.live(owner, kind, manifest["metadata"]["name"])
        return live is not None and self._applied.as_rendered(kind, live, manifest, self._schemas)

    async def scale(self, owner: Owner, kind: Kind, name: str, replicas: int) -> None:
        """Write the number of replicas, through the scale subresource alone: its field never becomes part of what we apply.

        What is stored of a child follows at once: until its event came, another look would write the number again.
        """
        answer = await self._client.set_scale(kind, owner.namespace, name, replicas)
        live = self._store.get(kind, owner.namespace, name) if kind in CHILD_KINDS else None
        if live is not None:
            metadata = live["metadata"]
            scaled = {**metadata, "generation": metadata.get("generation", 0) + 1, "resourceVersion": answer["metadata"]["resourceVersion"]}
            self._store.upsert(kind, {**live, "metadata": scaled, "spec": {"replicas": replicas}})
        log.info("scaled %s %s to %d", kind.kind, name, replicas)

    def live(self, owner: Owner, kind: Kind, name: str) -> Object | None:
        """Return a child as last seen, if it is ours."""
        found = self._store.get(kind, owner.namespace, name)
        return found if found is not None and controller_uid(found) == owner.uid else None

    async def _ensure_one(self, owner: Owner, kind: Kind, manifest: Manifest, outcome: Outcome) -> Problem | None:
        name = manifest["metadata"]["name"]
        live = self._store.get(kind, owner.namespace, name)
        if live is None:
            # Not in the store: brand new, without our label, or someone else's. Forced apply would take it over without a word.
            live = await self._client.get(kind, owner.namespace, name)
            if live is not None and controller_uid(live) == owner.uid:
                self._store.upsert(kind, live)
                live = self._store.get(kind, owner.namespace, name)
        if live is not None and controller_uid(live) != owner.uid:
            if _of_predecessor(live, owner):
                return None  # the garbage collector is on its way to it; its deletion comes as an event
            return Problem(
                Reason.FOREIGN_OBJECT,
                f"{kind.kind} {name} exists and does not belong to this LLMService: it is left alone; remove or rename it, or rename the LLMService",
            )
        if live is not None and live["metadata"].get("deletionTimestamp"):
            return None  # its deletion comes as an event, and with it the next attempt
        if live is not None and self._applied.as_rendered(kind, live, manifest, self._schemas):
            return None
        sent = stamped(manifest)
        if live is not None:
            # Of this very object: one that was deleted and made again by somebody else meanwhile answers with a conflict.
            sent["metadata"]["uid"] = uid_of(live)
        stored = await self._client.apply(sent, field_manager=names.FIELD_MANAGER)
        outcome.wrote = True
        self._applied.remember(kind, stored)
        self._store.upsert(kind, stored)
        log.info("%s %s %s", "created" if live is None else "applied", kind.kind, name)
        return None

    async def _prune(self, owner: Owner, wanted: set[tuple[Kind, str]], outcome: Outcome) -> None:
        for kind in CHILD_KINDS:
            for child in self._store.select(kind, owner.namespace, names.LABEL_SERVICE, owner.name):
                name = child["metadata"]["name"]
                if (kind, name) in wanted or controller_uid(child) != owner.uid or child["metadata"].get("deletionTimestamp"):
                    continue
                try:
                    await self._client.delete(kind, owner.namespace, name, uid=uid_of(child))
                    outcome.wrote = True
                    self._applied.forget(kind, (owner.namespace, name))
                    log.info("pruned %s %s", kind.kind, name)
                except ApiError as error:
                    outcome.judge(error, f"the deletion of {kind.kind} {name}")


def _of_predecessor(live: Object, owner: Owner) -> bool:
    """Tell whether a child was left by a deleted LLMService of the same name."""
    references = live["metadata"].get("ownerReferences", ())
    return any(item["kind"] == names.LLMSERVICE and item["name"] == owner.name and item["uid"] != owner.uid for item in references)
