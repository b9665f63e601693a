from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmfleet import names
from llmfleet.kube.kinds import DEPLOYMENT, LLMSERVICE, POD
from llmfleet.kube.objects import Listing, Object
from llmfleet.kube.store import Store


def obj(name: str, revision: int | str, *, uid: str | None = None, service: str | None = None, namespace: str = "ns", **content: Any) -> Object:
    labels = {names.LABEL_SERVICE: service} if service else {}
    metadata = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "resourceVersion": str(revision), "labels": labels}
    return {"metadata": metadata, **content}


def listing(revision: int, *objects: Object) -> Listing:
    return Listing(objects, resource_version=str(revision))


@pytest.fixture
def store() -> Store:
    return Store({DEPLOYMENT: lambda found: found, POD: lambda found: found})


def test_what_is_put_in_can_be_read(store: Store) -> None:
    assert store.upsert(DEPLOYMENT, obj("a", 1))
    assert store.get(DEPLOYMENT, "ns", "a") == obj("a", 1)
    assert store.get(POD, "ns", "a") is None
    assert store.get(DEPLOYMENT, "elsewhere", "a") is None


def test_a_late_event_does_not_undo_a_newer_answer(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 10, spec=2))
    assert not store.upsert(DEPLOYMENT, obj("a", 9, spec=1))
    assert store.get(DEPLOYMENT, "ns", "a") == obj("a", 10, spec=2)


def test_revisions_are_compared_as_numbers(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 9))
    store.upsert(DEPLOYMENT, obj("a", 10, spec=2))
    assert store.get(DEPLOYMENT, "ns", "a") == obj("a", 10, spec=2)


def test_where_revisions_are_no_numbers_the_last_word_counts(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", "zz"))
    store.upsert(DEPLOYMENT, obj("a", "aa", spec=2))
    assert store.get(DEPLOYMENT, "ns", "a") == obj("a", "aa", spec=2)


def test_a_new_revision_of_the_same_content_is_no_change(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1))
    assert not store.upsert(DEPLOYMENT, obj("a", 2))
    assert store.get(DEPLOYMENT, "ns", "a") == obj("a", 2)


def test_a_removed_object_is_gone(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1, service="s"))
    assert store.remove(DEPLOYMENT, obj("a", 2, service="s"))
    assert store.get(DEPLOYMENT, "ns", "a") is None
    assert store.select(DEPLOYMENT, "ns", names.LABEL_SERVICE, "s") == []
    assert not store.remove(DEPLOYMENT, obj("a", 2))


def test_a_late_deletion_does_not_remove_the_successor_of_the_same_name(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1, uid="first"))
    store.upsert(DEPLOYMENT, obj("a", 5, uid="second"))
    assert not store.remove(DEPLOYMENT, obj("a", 4, uid="first"))
    assert store.get(DEPLOYMENT, "ns", "a") == obj("a", 5, uid="second")


def test_an_object_that_lost_its_label_can_come_back(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1))
    """The event carries the revision of the write that took the label; a read afterwards finds the object with that very revision."""
    store.remove(DEPLOYMENT, obj("a", 2))
    assert store.upsert(DEPLOYMENT, obj("a", 2))


def test_an_answer_older_than_the_deletion_does_not_bring_an_object_back(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1))
    store.remove(DEPLOYMENT, obj("a", 3))
    assert not store.upsert(DEPLOYMENT, obj("a", 2))
    assert store.get(DEPLOYMENT, "ns", "a") is None


def test_selecting_finds_the_children_of_one_owner_only(store: Store) -> None:
    for found in (obj("b", 1, service="s"), obj("a", 1, service="s"), obj("c", 1, service="t"), obj("d", 1), obj("a", 1, service="s", namespace="other")):
        store.upsert(DEPLOYMENT, found)
    assert [found["metadata"]["name"] for found in store.select(DEPLOYMENT, "ns", names.LABEL_SERVICE, "s")] == ["a", "b"]
    assert store.select(POD, "ns", names.LABEL_SERVICE, "s") == []


def test_an_object_moves_with_its_label(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1, service="s"))
    store.upsert(DEPLOYMENT, obj("a", 2, service="t"))
    assert store.select(DEPLOYMENT, "ns", names.LABEL_SERVICE, "s") == []
    assert len(store.select(DEPLOYMENT, "ns", names.LABEL_SERVICE, "t")) == 1


def test_selecting_by_a_label_without_index_is_a_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="no index"):
        store.select(DEPLOYMENT, "ns", "color", "red")


def test_a_list_drops_the_ghosts_and_names_what_changed(store: Store) -> None:
    for found in (obj("same", 1), obj("changed", 1), obj("ghost", 1)):
        store.upsert(DEPLOYMENT, found)
    assert store.replace(DEPLOYMENT, listing(9, obj("same", 1), obj("changed", 7, spec=2), obj("new", 8))) == {
        ("ns", "changed"),
        ("ns", "new"),
        ("ns", "ghost"),
    }
    assert {found["metadata"]["name"] for found in store.objects(DEPLOYMENT)} == {"same", "changed", "new"}


def test_a_list_does_not_drop_what_was_created_after_it_began(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 10))
    assert store.replace(DEPLOYMENT, listing(9)) == set()
    assert store.get(DEPLOYMENT, "ns", "a") is not None


def test_a_list_does_not_bring_back_what_was_deleted_after_it_began(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 5))
    store.remove(DEPLOYMENT, obj("a", 10))
    assert store.replace(DEPLOYMENT, listing(9, obj("a", 5))) == set()
    assert store.get(DEPLOYMENT, "ns", "a") is None
    assert store.replace(DEPLOYMENT, listing(12)) == set()


def test_kinds_are_synced_by_their_first_list(store: Store) -> None:
    store.upsert(DEPLOYMENT, obj("a", 1))
    assert not store.synced(DEPLOYMENT)
    store.replace(DEPLOYMENT, listing(1, obj("a", 1)))
    assert store.synced(DEPLOYMENT)
    assert not store.synced()
    store.replace(POD, listing(1))
    assert store.synced()


def test_a_kind_that_is_not_watched_is_a_mistake(store: Store) -> None:
    with pytest.raises(KeyError):
        store.get(LLMSERVICE, "ns", "a")


HISTORY = st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12)


@given(history=HISTORY, data=st.data())
@settings(deadline=None)
def test_whatever_the_order_of_news_the_end_is_the_cluster(history: list[tuple[str, bool]], data: st.DataObject) -> None:
    """Watch events arrive in order, lists and answers of any moment in between; at the end all is as the cluster has it."""
    store = Store({DEPLOYMENT: lambda found: found})
    cluster: dict[str, Object] = {}
    snapshots = [listing(0)]
    answers: list[Object] = []
    events: list[tuple[bool, Object]] = []
    for revision, (name, delete) in enumerate(history, start=1):
        if delete:
            if name not in cluster:
                continue
            gone = cluster.pop(name)
            events.append((False, {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(revision)}}))
        else:
            uid = cluster[name]["metadata"]["uid"] if name in cluster else f"uid-{name}-{revision}"
            cluster[name] = obj(name, revision, uid=uid, service=f"s{revision}")
            events.append((True, cluster[name]))
            answers.append(cluster[name])
        snapshots.append(listing(revision, *cluster.values()))
    for exists, found in events:
        if exists:
            store.upsert(DEPLOYMENT, found)
        else:
            store.remove(DEPLOYMENT, found)
        seen = int(found["metadata"]["resourceVersion"])
        # A list or an answer that is newer than this event may have overtaken it, an older one may be late, but not by more than one list.
        if data.draw(st.booleans()):
            store.upsert(DEPLOYMENT, data.draw(st.sampled_from(answers)) if answers else found)
        if data.draw(st.booleans()):
            store.replace(DEPLOYMENT, data.draw(st.sampled_from([one for one in snapshots if int(one.resource_version) >= seen])))
    store.replace(DEPLOYMENT, snapshots[-1])
    assert {found["metadata"]["name"]: found for found in store.objects(DEPLOYMENT)} == cluster
    for found in cluster.values():
        assert found in store.select(DEPLOYMENT, "ns", names.LABEL_SERVICE, found["metadata"]["labels"][names.LABEL_SERVICE])
