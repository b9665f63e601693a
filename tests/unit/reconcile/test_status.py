"""Status moves only when something did, and which ConfigMaps a specification reads."""

from collections.abc import Sequence
from typing import Any

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.api.v1alpha1 import AdapterStatus, RolloutStatus
from llmfleet.api.v1alpha1.status import MAX_ARGUMENT_CHARACTERS
from llmfleet.names import Reason
from llmfleet.reconcile.conditions import Observation
from llmfleet.reconcile.desired import Accepted, Installation, desired
from llmfleet.reconcile.failures import Failure
from llmfleet.reconcile.inputs import config_maps
from llmfleet.reconcile.knowledge import Knowledge, Waiting
from llmfleet.reconcile.replicas import Replica
from llmfleet.reconcile.status import status
from llmfleet.reconcile.waits import Wait
from llmfleet.resources.blueprint import Owner, Platform
from llmfleet.resources.deployment import DeploymentWorkload
from llmfleet.resources.workload import Progress
from llmfleet.scrape.report import Report

INSTALLATION = Installation(Platform("runtime:1", 3), built_in_profiles(), "cpu")


def shown(
    before: dict[str, Any],
    now: str,
    *,
    ready: int = 1,
    refusal: str | None = None,
    source: str = "pvc://models/tiny",
    applied: bool = True,
    replicas: Sequence[Replica] = (),
    rollout: RolloutStatus | None = None,
    loaded: Sequence[AdapterStatus] = (),
    failure: Failure | None = None,
    wait: Wait | None = None,
    generation: int = 2,
    **fields: Any,
) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "ns", "uid": "u", "generation": generation}
    spec = {"model": {"source": source}} | fields
    raw = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": spec, "status": before}
    why = None if refusal is None else Waiting(Reason.INVALID, refusal)
    seen = Observation(why, (), None, Progress(True, 1, 1, 1, ready, False, None), failure, None, adapters=loaded, wait=wait)
    decision = desired(raw, INSTALLATION, {})
    owner = Owner("ns", "x", "u")
    return status(
        raw,
        decision,
        seen,
        applied=applied,
        owner=owner,
        workload=DeploymentWorkload(),
        knowledge=Knowledge() if isinstance(decision, Accepted) else None,
        demand=None,
        measured=None,
        replicas=replicas,
        rollout=rollout,
        now=now,
    )


def test_a_second_look_changes_nothing() -> None:
    first = shown({}, "2026-01-01T00:00:00Z")
    assert shown(first, "2026-02-02T00:00:00Z") == first
    assert first["selector"] == "llmfleet.dev/role=engine,llmfleet.dev/service=x"


def test_an_adapter_is_among_the_models_that_answer() -> None:
    adapters = {"items": [{"name": "sql", "source": "pvc://models/sql"}]}
    assert shown({}, "2026-01-01T00:00:00Z", adapters=adapters)["endpoint"]["models"] == ["x", "sql"]


def test_times_move_on_flips_only() -> None:
    first = shown({}, "2026-01-01T00:00:00Z")
    later = {item["type"]: item["lastTransitionTime"][:7] for item in shown(first, "2026-02-02T00:00:00Z", ready=0)["conditions"]}
    assert later == {"Ready": "2026-02", "Reconciling": "2026-02", "Stalled": "2026-01", "Accepted": "2026-01", "Available": "2026-02"}


def crashing(message: str, before: dict[str, Any], generation: int = 2) -> dict[str, Any]:
    return shown(before, "2026-01-01T00:00:00Z", ready=0, failure=Failure(0, Reason.CRASH_LOOP, message, final=True), generation=generation)


def test_an_engine_that_crashes_again_in_the_same_way_changes_nothing() -> None:
    first = crashing("3.04 of 23.55 GiB are free", {})
    assert crashing("3.11 of 23.55 GiB are free", first) == first
    assert crashing("no space left", first) != first


def degraded(message: str, before: dict[str, Any]) -> dict[str, Any]:
    wait = Wait(Reason.DEGRADED, message, final=True)
    return shown(before, "2026-01-01T00:00:00Z", ready=0, wait=wait, rollout=ROLLOUT)


def test_nor_does_one_that_stops_a_rollout_but_for_the_number_of_replicas_that_serve_on() -> None:
    first = degraded("3.04 GiB are free; 2 of 2 replicas of the revision before serve on", {})
    assert first["rollout"]["waitingFor"] == "3.04 GiB are free; 2 of 2 replicas of the revision before serve on"
    assert degraded("3.11 GiB are free; 2 of 2 replicas of the revision before serve on", first) == first
    later = degraded("3.11 GiB are free; 0 of 2 replicas of the revision before serve on", first)
    assert later["conditions"][0]["message"] == later["rollout"]["waitingFor"] == "3.11 GiB are free; 0 of 2 replicas of the revision before serve on"


def test_numbers_of_another_generation_are_told() -> None:
    first = crashing("lower spec.model.maxLength to 384", {})
    ready = crashing("lower spec.model.maxLength to 640", first, generation=3)["conditions"][0]
    assert ready["message"] == "lower spec.model.maxLength to 640"


def test_a_refused_specification_keeps_what_runs() -> None:
    first = shown({}, "2026-01-01T00:00:00Z")
    refused = shown(first, "2026-02-02T00:00:00Z", refusal="no", source="ftp://x")
    assert (refused["engine"], refused["endpoint"]) == (first["engine"], first["endpoint"])


def test_a_workload_that_was_not_applied_is_not_what_runs() -> None:
    first = shown({}, "2026-01-01T00:00:00Z")
    refused = shown(first, "2026-02-02T00:00:00Z", source="hf://other/model", applied=False)
    assert refused["engine"] == first["engine"]


ROLLOUT = RolloutStatus(revision="aaaaaaaaaa", strategy="Surge", message="why", progress_deadline_seconds=600)
FAILED = AdapterStatus(name="sql", state="Failed", message="its rank is 64")


def test_rollout_and_adapters_are_shown_as_they_are_given() -> None:
    first = shown({}, "2026-01-01T00:00:00Z", rollout=ROLLOUT, loaded=[FAILED])
    assert first["rollout"] == ROLLOUT.to_wire()
    assert first["adapters"] == [FAILED.to_wire()]
    conditions = {item["type"]: (item["status"], item["reason"]) for item in first["conditions"]}
    assert conditions["AdaptersReady"] == ("False", "AdapterFailed")
    assert conditions["Ready"] == ("True", "Serving"), "a failure is the adapter's alone"
    refused = shown(first, "2026-02-02T00:00:00Z", refusal="no", source="ftp://x")
    assert (refused["rollout"], refused["adapters"]) == (first["rollout"], first["adapters"])
    gone = shown(first, "2026-02-02T00:00:00Z", rollout=ROLLOUT)
    assert "adapters" not in gone
    assert "AdaptersReady" not in {item["type"] for item in gone["conditions"]}


def test_what_replicas_say_counts_for_their_own_revision() -> None:
    pod = {
        "metadata": {"name": "p", "labels": {"llmfleet.dev/revision": ROLLOUT.revision}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    one = Replica(pod, Report(version="0.32.0+cpu"))
    assert shown({}, "2026-01-01T00:00:00Z", rollout=ROLLOUT, replicas=[one])["engine"]["reportedVersion"] == "0.32.0+cpu"
    other = ROLLOUT.model_copy(update={"revision": "bbbbbbbbbb"})
    assert "reportedVersion" not in shown({}, "2026-01-01T00:00:00Z", rollout=other, replicas=[one])["engine"]


def test_config_maps_are_found_wherever_a_pod_may_refer_to_one() -> None:
    container = {
        "env": [{"name": "C", "valueFrom": {"configMapKeyRef": {"name": "e", "key": "k"}}}],
        "envFrom": [{"configMapRef": {"name": "f", "optional": True}}],
    }
    spec = {
        "model": {"chatTemplate": {"configMapKeyRef": {"name": "a", "key": "t"}}},
        "engine": {"env": [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "k"}}}, "bad"], "envFrom": [{"configMapRef": {"name": "c"}}]},
        "template": {
            "spec": {
                "containers": [{"name": "engine", **container}, {"name": "sidecar", "envFrom": [{"configMapRef": {"name": "g"}}]}],
                "initContainers": [{"name": "first", "envFrom": [{"configMapRef": {"name": "d"}}]}],
                "volumes": [{"configMap": {"name": "h", "optional": True}}, {"projected": {"sources": [{"configMap": {"name": "i"}}]}}, {"configMap": 1}],
            }
        },
    }
    assert dict(config_maps(spec)) == {"a": False, "b": False, "c": False, "d": False, "e": False, "f": True, "g": False, "h": True, "i": False}
    assert dict(config_maps({"engine": [], "template": {"spec": None}})) == {}


def test_a_config_map_that_is_needed_anywhere_is_not_optional() -> None:
    volumes = [{"configMap": {"name": "a", "optional": True}}, {"projected": {"sources": [{"configMap": {"name": "a"}}]}}]
    assert dict(config_maps({"template": {"spec": {"volumes": volumes}}})) == {"a": False}


def test_whatever_may_be_specified_fits_the_status() -> None:
    model = {
        "source": "pvc://models/tiny",
        "servedNames": [f"n{i}" for i in range(16)],
        "configOverrides": {"rope_parameters": {"long_factor": [1.1] * 20_000}},
    }
    adapters = {"maxLoaded": 4, "items": [{"name": f"a{i}", "source": f"pvc://models/a{i}"} for i in range(64)]}
    found = shown({}, "2026-01-01T00:00:00Z", model=model, adapters=adapters, engine={"extraArgs": ["--middleware", "m"] * 64})
    assert len(found["endpoint"]["models"]) == 80
    assert max(map(len, found["engine"]["arguments"])) == MAX_ARGUMENT_CHARACTERS
