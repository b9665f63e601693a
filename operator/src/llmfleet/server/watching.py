"""kopf as what it is best at here: logins and watch streams. Every event becomes two cheap steps: the store learns the object, the queue its owner.

kopf's stateful half is not used: it writes annotations into people's objects, and it misses what was deleted while a watch was expired. What the
streams miss, the re-list finds.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import LLMSERVICE, POD, Kind
from llmfleet.kube.objects import Key, Object, labels_of
from llmfleet.kube.slim import slim_child, slim_owner, slim_pod
from llmfleet.kube.store import Store
from llmfleet.reconcile.apply import CHILD_KINDS
from llmfleet.server.connection import login
from llmfleet.server.settings import Settings

log = logging.getLogger(__name__)

OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
"""Selector of everything that the operator made; the server filters, so that other people's pods cost nothing."""

WATCHED: Mapping[Kind, Callable[[Object], Object]] = {LLMSERVICE: slim_owner, POD: slim_pod, **dict.fromkeys(CHILD_KINDS, slim_child)}
"""What is watched, and what is kept of each object."""


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


def owner_of(kind: Kind, obj: Object) -> Key | None:
    """Return the key of the LLMService that an object belongs to; by label, which a child keeps until the API server has it back."""
    namespace = obj["metadata"].get("namespace", "")
    name = obj["metadata"]["name"] if kind is LLMSERVICE else labels_of(obj).get(names.LABEL_SERVICE)
    if name is None:
        references = obj["metadata"].get("ownerReferences", ())
        name = next((reference["name"] for reference in references if reference["kind"] == names.LLMSERVICE), None)
    return None if name is None else (namespace, name)


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
        if kind is not LLMSERVICE:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = OURS
    return settings


def registry(store: Store, changed: Callable[[Key], None]) -> kopf.OperatorRegistry:
    """Return the handlers: one per kind, each storing the object and calling `changed` with its owner's key."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def _login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        return login(settings)

    for kind in WATCHED:
        _watch(handlers, kind, store, changed)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, kind: Kind, store: Store, changed: Callable[[Key], None]) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=f"watch-{kind.plural}")
    async def _seen(event: kopf.RawEvent, **_: Any) -> None:
        obj: Object = {"apiVersion": kind.api_version, "kind": kind.kind, **event["object"]}
        moved = store.remove(kind, obj) if event["type"] == "DELETED" else store.upsert(kind, obj)
        if moved and (owner := owner_of(kind, obj)) is not None:
            changed(owner)


async def relist(client: Client, store: Store, changed: Callable[[Key], None]) -> None:
    """Read everything once more, and look again at whatever is not as it was known."""
    for kind in WATCHED:
        listing = await client.list(kind, label_selector=None if kind is LLMSERVICE else OURS, slim=WATCHED[kind])
        before = {key: store.get(kind, *key) for key in _keys(store, kind)}
        for key in store.replace(kind, listing):
            obj = store.get(kind, *key) or before.get(key)
            if obj is not None and (owner := owner_of(kind, obj)) is not None:
                changed(owner)


async def relist_forever(client: Client, store: Store, changed: Callable[[Key], None], settings: Settings, done: Callable[[], None]) -> None:
    """Re-list every `resync_seconds`, and queue every service then: referenced ConfigMaps and refused children are looked at again."""
    while True:
        await asyncio.sleep(settings.resync_seconds)
        try:
            await relist(client, store, changed)
        except Exception:
            log.exception("the re-list failed; the watches go on, the next one follows in %g s", settings.resync_seconds)
            continue
        for key in _keys(store, LLMSERVICE):
            changed(key)
        done()


def _keys(store: Store, kind: Kind) -> list[Key]:
    return [(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in store.objects(kind)]
