"""What the cluster looks like, as far as we watch it: slim copies in memory, one per object, read by every reconcile without a request.

Three writers race: the watch, the answers to our own writes, and the periodic authoritative re-list. The newest revision wins; a resourceVersion is
etcd's revision, one sequence for all objects of a kind. The re-list is needed because kopf's watch forgets deletions that happen while it is expired.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from llmfleet import names
from llmfleet.kube.kinds import Kind
from llmfleet.kube.objects import Key, Listing, Object, key_of, labels_of, revision, uid_of

LABEL_JOB: Final = "batch.kubernetes.io/job-name"
"""On the pods of a Job, by its controller (kubernetes, pkg/apis/batch/types.go)."""

INDEXED_LABELS: Final = (names.LABEL_SERVICE, LABEL_JOB)
"""Labels that `select` can ask for: what belongs to one owner, or to one Job, is found without a walk over the fleet."""


class Store:
    """Objects by kind, namespace and name. `slim` reduces an object to what is worth keeping, per kind."""

    def __init__(self, slim: Mapping[Kind, Callable[[Object], Object]]) -> None:
        self._slim = slim
        self._objects: dict[Kind, dict[Key, Object]] = {kind: {} for kind in slim}
        self._index: dict[Kind, dict[tuple[str, str, str], set[str]]] = {kind: {} for kind in slim}
        self._removed: dict[Kind, dict[str, int]] = {kind: {} for kind in slim}
        """Revision at which a uid was removed, so that a list begun before does not bring it back; forgotten at the first list begun after.

        What is of this very revision exists: an object that lost the label watched for is called deleted with the revision of the write that took it.
        """
        self._synced: set[Kind] = set()

    def synced(self, *kinds: Kind) -> bool:
        """Whether each of the kinds (all, if none is named) was listed completely at least once: before that, absence means nothing."""
        return self._synced.issuperset(kinds or self._slim)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The slim object, None where it is not known. Not to be changed."""
        return self._objects[kind].get((namespace, name))

    def objects(self, kind: Kind) -> Iterator[Object]:
        """Every slim object of the kind."""
        return iter(list(self._objects[kind].values()))

    def select(self, kind: Kind, namespace: str, label_name: str, label_value: str) -> list[Object]:
        """The slim objects of one namespace with one of INDEXED_LABELS, by name."""
        if label_name not in INDEXED_LABELS:
            raise ValueError(f"no index by label {label_name}")
        found = self._index[kind].get((namespace, label_name, label_value), ())
        return [self._objects[kind][namespace, name] for name in sorted(found)]

    def upsert(self, kind: Kind, obj: Object) -> bool:
        """Take over an object from a watch event or an answer, unless something newer is known. Answers whether more than its revision differs."""
        key = key_of(obj)
        known = self._objects[kind].get(key)
        if self._outdated(kind, obj, known):
            return False
        slim = self._slim[kind](obj)
        self._put(kind, key, slim)
        return known is None or _content(known) != _content(slim)

    def remove(self, kind: Kind, obj: Object) -> bool:
        """Forget an object that a watch event calls deleted (or that lost the label watched for), unless something newer has its name."""
        key = key_of(obj)
        removed_at = revision(obj["metadata"].get("resourceVersion"))
        if removed_at is not None:
            self._removed[kind][uid_of(obj)] = removed_at
        known = self._objects[kind].get(key)
        if known is None or _older(obj, known) or (removed_at is None and uid_of(known) != uid_of(obj)):
            return False
        self._drop(kind, key)
        return True

    def replace(self, kind: Kind, listing: Listing) -> set[Key]:
        """Take over an authoritative list, and answer the keys of what changed or vanished.

        What was written or removed after the list's revision, as a watch or an answer told meanwhile, stays as told.
        """
        listed_at = revision(listing.resource_version)
        changed = {key_of(obj) for obj in listing if self.upsert(kind, obj)}
        present = {key_of(obj) for obj in listing}
        for key, known in list(self._objects[kind].items()):
            known_at = revision(known["metadata"].get("resourceVersion"))
            newer = listed_at is not None and known_at is not None and known_at > listed_at
            if key not in present and not newer:
                self._drop(kind, key)
                changed.add(key)
        if listed_at is not None:
            self._removed[kind] = {uid: at for uid, at in self._removed[kind].items() if at > listed_at}
        self._synced.add(kind)
        return changed

    def _outdated(self, kind: Kind, obj: Object, known: Object | None) -> bool:
        if known is not None and _older(obj, known):
            return True
        removed_at = self._removed[kind].get(uid_of(obj))
        written_at = revision(obj["metadata"].get("resourceVersion"))
        return removed_at is not None and written_at is not None and written_at < removed_at

    def _put(self, kind: Kind, key: Key, slim: Object) -> None:
        self._drop(kind, key)
        self._objects[kind][key] = slim
        for entry in _index_entries(slim):
            self._index[kind].setdefault(entry, set()).add(key[1])

    def _drop(self, kind: Kind, key: Key) -> None:
        known = self._objects[kind].pop(key, None)
        if known is None:
            return
        for entry in _index_entries(known):
            names_there = self._index[kind][entry]
            names_there.discard(key[1])
            if not names_there:
                del self._index[kind][entry]


def _index_entries(slim: Object) -> Iterator[tuple[str, str, str]]:
    labels = labels_of(slim)
    return ((slim["metadata"].get("namespace", ""), name, labels[name]) for name in INDEXED_LABELS if name in labels)


def _older(one: Object, other: Object) -> bool:
    """Whether `one` is of an older revision; False where revisions cannot be compared, so that what comes later wins."""
    a, b = revision(one["metadata"].get("resourceVersion")), revision(other["metadata"].get("resourceVersion"))
    return a is not None and b is not None and a < b


def _content(slim: Object) -> Object:
    metadata = {name: value for name, value in slim["metadata"].items() if name != "resourceVersion"}
    return {**slim, "metadata": metadata}
