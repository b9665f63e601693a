"""kopf as what it is best at here: logins and watch streams. Every event becomes two cheap steps: the store learns the object, the queue whom it concerns.

kopf's stateful half is not used: it writes annotations into people's objects, and it misses what was deleted while a watch was expired. What the
streams miss, the re-list finds.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import kopf

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import ACCELERATOR_PROFILE, JOB, LLMSERVICE, PERSISTENT_VOLUME_CLAIM, POD, Kind
from llmfleet.kube.objects import Key, Listing, Object, key_of, labels_of
from llmfleet.kube.slim import slim_child, slim_claim, slim_job, slim_owner, slim_pod
from llmfleet.kube.store import LABEL_JOB, Store
from llmfleet.reconcile.apply import CHILD_KINDS
from llmfleet.server.connection import login
from llmfleet.server.settings import Settings

log = logging.getLogger(__name__)

OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
"""Selector of everything that the operator made; the server filters, so that other people's pods cost nothing."""

WATCHED: Mapping[Kind, Callable[[Object], Object]] = {
    # Before the services that refer to them.
    ACCELERATOR_PROFILE: slim_owner,
    LLMSERVICE: slim_owner,
    # Before its pods, which lead to their services through it.
    JOB: slim_job,
    POD: slim_pod,
    PERSISTENT_VOLUME_CLAIM: slim_claim,
    **dict.fromkeys(CHILD_KINDS, slim_child),
}
"""What is watched, and what is kept of each object."""

WRITTEN_BY_PEOPLE: Final = frozenset({ACCELERATOR_PROFILE, LLMSERVICE})
"""Kinds that carry no label of ours."""


class MissingKindError(Exception):
    """The cluster does not know a kind of ours."""


class NoDiff(kopf.DiffBaseStorage):
    """No memory in annotations: nothing is ever written into a user's object."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None, ignored_fields: Any = None) -> Any:
        """Return nothing to compare."""
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        """Return nothing that was stored."""
        return {}

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Store nothing."""


def concerned(kind: Kind, obj: Object, store: Store, default_profile: str) -> Iterator[Key]:
    """Yield the keys of the LLMServices that a change of an object concerns; by label, which a child keeps until the API server has it back."""
    namespace, name = key_of(obj)
    if kind is LLMSERVICE:
        yield namespace, name
    elif kind is ACCELERATOR_PROFILE:
        yield from (key_of(service) for service in store.objects(LLMSERVICE) if _profile_of(service, default_profile) == name)
    elif (service := labels_of(obj).get(names.LABEL_SERVICE)) is not None:
        yield namespace, service
    elif kind is POD and (job := store.get(JOB, namespace, labels_of(obj).get(LABEL_JOB, ""))) is not None:
        yield from concerned(JOB, job, store, default_profile)
    else:
        # A download that several services wait for has each among its owners.
        owners = obj["metadata"].get("ownerReferences", ())
        yield from ((namespace, reference["name"]) for reference in owners if reference["kind"] == names.LLMSERVICE)


def _profile_of(service: Object, default_profile: str) -> object:
    spec = service.get("spec")
    accelerator = spec.get("accelerator") if isinstance(spec, dict) else None
    return (accelerator.get("profile") if isinstance(accelerator, dict) else None) or default_profile


def watch_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: quiet, standing alone, with the server's own filtering."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiff()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    for kind in WATCHED:
        if kind not in WRITTEN_BY_PEOPLE:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = OURS
    return settings


def registry(store: Store, changed: Callable[[Kind, Object], None]) -> kopf.OperatorRegistry:
    """Return the handlers: one per kind, each storing the object and telling `changed` of it."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def _login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        return login(settings)

    for kind in WATCHED:
        _watch(handlers, kind, store, changed)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, kind: Kind, store: Store, changed: Callable[[Kind, Object], None]) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=f"watch-{kind.plural}")
    async def _seen(event: kopf.RawEvent, **_: Any) -> None:
        obj: Object = {"apiVersion": kind.api_version, "kind": kind.kind, **event["object"]}
        moved = store.remove(kind, obj) if event["type"] == "DELETED" else store.upsert(kind, obj)
        if moved:
            changed(kind, obj)


async def relist(client: Client, store: Store, changed: Callable[[Kind, Object], None]) -> None:
    """Read everything once more, and look again at whatever is not as it was known."""
    for kind in WATCHED:
        listing = await _list(client, kind)
        before = {key_of(obj): obj for obj in store.objects(kind)}
        for key in store.replace(kind, listing):
            if (obj := store.get(kind, *key) or before.get(key)) is not None:
                changed(kind, obj)


async def _list(client: Client, kind: Kind) -> Listing:
    try:
        return await client.list(kind, label_selector=None if kind in WRITTEN_BY_PEOPLE else OURS, slim=WATCHED[kind])
    except ApiError as error:
        if error.not_found and kind in WRITTEN_BY_PEOPLE:
            crd = f"{kind.plural}.{kind.group}"
            raise MissingKindError(
                f"the CustomResourceDefinition {crd} is not installed: upgrade the release with crds.install=true, or apply the repository's crds/"
            ) from error
        raise


async def relist_forever(client: Client, store: Store, changed: Callable[[Kind, Object], None], settings: Settings, done: Callable[[], None]) -> None:
    """Re-list every `resync_seconds`, and queue every service then: referenced ConfigMaps and refused children are looked at again."""
    while True:
        await asyncio.sleep(settings.resync_seconds)
        try:
            await relist(client, store, changed)
        except Exception:
            log.exception("the re-list failed; the watches go on, the next one follows in %g s", settings.resync_seconds)
            continue
        for service in store.objects(LLMSERVICE):
            changed(LLMSERVICE, service)
        done()
