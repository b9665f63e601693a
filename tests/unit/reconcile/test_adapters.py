"""The adapters over all replicas: one state for each, which holds still, and the condition that sums them up."""

from typing import Any

import pytest

from llmfleet.api.v1alpha1 import AdapterStatus
from llmfleet.names import Reason
from llmfleet.reconcile.adapters import UNSEEN, Summary, adapter_statuses, summary
from llmfleet.reconcile.replicas import Replica, replicas
from llmfleet.scrape.report import AdapterReport, AdapterState, Report

SQL, OTHER = "/adapters/1", "/adapters/2"
LOADED = AdapterReport("sql", AdapterState.LOADED, path=SQL)
LOADING = AdapterReport("sql", AdapterState.LOADING, "being fetched from hf://org/sql", SQL)
FAILED = AdapterReport("sql", AdapterState.FAILED, "its rank is 64: raise adapters.maxRank", SQL)


def pod(name: str, *, ready: bool = True, **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name, **metadata}, "status": {"phase": "Running", "conditions": conditions}}


def replica(*adapters: AdapterReport, ready: bool = True) -> Replica:
    return Replica(pod("p", ready=ready), Report(adapters=adapters))


UNHEARD = Replica(pod("p"), None)
OLDER = Replica(pod("p"), Report())
"""A launcher of a version that says nothing of adapters."""


def state(*found: Replica, before: AdapterStatus | None = None) -> tuple[str, str]:
    [status] = adapter_statuses({"sql": SQL}, found, [before] if before is not None else [])
    return status.state, status.message


def shown(state: str, message: str = "") -> AdapterStatus:
    return AdapterStatus.model_validate({"name": "sql", "state": state, "message": message})


def test_what_every_replica_has_loaded_is_loaded() -> None:
    assert state(replica(LOADED), replica(LOADED)) == ("Loaded", "")


def test_what_one_replica_still_loads_is_loading() -> None:
    assert state(replica(LOADED), replica(LOADING)) == ("Loading", LOADING.message)


def test_what_fails_on_one_replica_has_failed() -> None:
    assert state(replica(LOADED), replica(FAILED), replica(LOADING)) == ("Failed", FAILED.message)


def test_an_adapter_that_a_replica_has_not_in_its_list_is_loading() -> None:
    assert state(replica(LOADED), replica()) == ("Loading", UNSEEN)


def test_a_changed_source_is_not_loaded_while_a_replica_has_the_one_before() -> None:
    before = AdapterReport("sql", AdapterState.LOADED, path=OTHER)
    assert state(replica(LOADED), replica(before), before=shown("Loaded")) == ("Loading", UNSEEN)
    assert state(replica(AdapterReport("sql", AdapterState.FAILED, "x", OTHER)), before=shown("Failed", "x")) == ("Loading", UNSEEN)


def test_a_launcher_that_does_not_tell_versions_apart_is_believed() -> None:
    assert state(replica(AdapterReport("sql", AdapterState.LOADED))) == ("Loaded", "")


def test_replicas_that_are_not_ready_do_not_count() -> None:
    """A new one loads its adapters before it is."""
    assert state(replica(LOADED), replica(LOADING, ready=False)) == ("Loaded", "")


@pytest.mark.parametrize("silent", [UNHEARD, OLDER])
def test_while_a_replica_has_not_been_heard_what_was_said_holds(silent: Replica) -> None:
    """As after a restart of the operator, which reads one after the other."""
    assert state(replica(LOADED), silent, before=shown("Failed", "x")) == ("Failed", "x")
    assert state(replica(LOADED), silent, before=shown("Loaded")) == ("Loaded", "")
    assert state(replica(LOADED), silent) == ("Loading", "")
    assert state(replica(FAILED), silent) == ("Failed", FAILED.message)


def test_without_any_replica_what_was_said_holds() -> None:
    assert state() == ("Loading", "")
    assert state(before=shown("Loaded")) == ("Loaded", "")


def test_of_unlike_words_those_that_are_shown_stay() -> None:
    """Or each look would be a write, in the order in which the pods happen to be named."""
    other = AdapterReport("sql", AdapterState.FAILED, "another thing", SQL)
    assert state(replica(FAILED), replica(other)) == state(replica(other), replica(FAILED)) == ("Failed", "another thing")
    assert state(replica(FAILED), replica(other), before=shown("Failed", FAILED.message)) == ("Failed", FAILED.message)
    assert state(replica(other), before=shown("Failed", FAILED.message)) == ("Failed", "another thing")


def test_only_what_is_wanted_is_shown_in_the_order_of_names() -> None:
    gone = AdapterReport("gone", AdapterState.LOADED)
    found = adapter_statuses({"sql": SQL, "fr": OTHER}, [replica(LOADED, gone)], [AdapterStatus(name="gone", state="Loaded")])
    assert [(status.name, status.state) for status in found] == [("fr", "Loading"), ("sql", "Loaded")]


def test_the_condition_names_each_adapter_that_failed_with_its_words() -> None:
    fr, loading = AdapterStatus(name="fr", state="Failed", message="no such repository"), AdapterStatus(name="de", state="Loading")
    assert summary([shown("Failed", "rank 64"), fr, loading]) == Summary(
        False, Reason.ADAPTER_FAILED, "sql: rank 64; fr: no such repository; the model and every other adapter answer"
    )


def test_the_condition_says_what_is_loading_and_what_is_loaded() -> None:
    de = AdapterStatus(name="de", state="Loading", message="being fetched")
    assert summary([shown("Loaded"), de]) == Summary(False, Reason.ADAPTERS_LOADING, "de: being fetched")
    assert summary([shown("Loaded")]) == Summary(True, Reason.ADAPTERS_LOADED, "every replica that answers has loaded sql")


def test_without_adapters_there_is_no_condition() -> None:
    assert summary([]) is None


def test_pods_that_go_or_have_ended_are_no_replicas() -> None:
    failed = pod("failed") | {"status": {"phase": "Failed"}}
    found = replicas([pod("b"), failed, pod("going", deletionTimestamp="2026-01-01T00:00:00Z"), pod("a")], {"a": Report(), "failed": Report()})
    assert [(one.name, one.ready, one.report) for one in found] == [("a", True, Report()), ("b", True, None)]
