"""The process's small parts: settings, whose event it is, health, log lines, and what the scaler reads from the store."""

import json
import logging
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from llmfleet.autoscaling.demand import LOADING_DEADLINE_SECONDS, Demand
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import ACCELERATOR_PROFILE, DEPLOYMENT, JOB, LLMSERVICE, POD, SERVICE, Kind
from llmfleet.kube.objects import Key, Object
from llmfleet.kube.store import Store
from llmfleet.metrics_api.application import Missing
from llmfleet.scrape.fleet import Fleet
from llmfleet.scrape.queue_metrics import Queue
from llmfleet.server import health
from llmfleet.server.reports import download_targets
from llmfleet.server.scaling import Scaling
from llmfleet.server.settings import Settings
from llmfleet.server.telemetry import JsonFormatter, Telemetry
from llmfleet.server.watching import WATCHED, MissingKindError, concerned, relist, watch_settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NAMESPACE", "IDENTITY", "RUNTIME_IMAGE"):
        monkeypatch.setenv(f"LLMFLEET_{name}", "x")
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LLMFLEET_WORKERS", "3")
    assert Settings().workers == 3


@pytest.mark.parametrize(("name", "value"), [("workers", "0"), ("log_level", "loud"), ("scrape_interval_seconds", "60"), ("health_port", "x")])
def test_a_bad_setting_is_named(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(f"LLMFLEET_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_an_object_concerns_the_service_of_its_label_or_its_owner() -> None:
    store = Store(WATCHED)

    def keys(kind: Kind, **metadata: Any) -> list[Key]:
        return list(concerned(kind, {"metadata": {"name": "y", "namespace": "ns", **metadata}}, store, "cpu"))

    assert keys(LLMSERVICE, name="x") == [("ns", "x")]
    assert keys(SERVICE, labels={"llmfleet.dev/service": "x"}) == [("ns", "x")]
    assert keys(SERVICE, ownerReferences=[{"kind": "LLMService", "name": "x"}]) == [("ns", "x")]
    assert keys(SERVICE) == []


def test_a_download_and_its_pods_concern_every_service_that_waits_for_it() -> None:
    store = Store(WATCHED)
    owners = [{"kind": "LLMService", "name": name} for name in ("a", "b")]
    job: Object = {"metadata": {"name": "llmfleet-download-1", "namespace": "ns", "uid": "j", "ownerReferences": owners}}
    store.upsert(JOB, job)
    pod: Object = {"metadata": {"name": "p", "namespace": "ns", "labels": {"batch.kubernetes.io/job-name": "llmfleet-download-1"}}}
    for kind, obj in ((JOB, job), (POD, pod)):
        assert list(concerned(kind, obj, store, "cpu")) == [("ns", "a"), ("ns", "b")]


def test_a_profile_concerns_the_services_that_name_it_or_default_to_it() -> None:
    store = Store(WATCHED)
    for name, spec in {
        "named": {"accelerator": {"profile": "h100"}},
        "default": {},
        "other": {"accelerator": {"profile": "cpu"}},
        "odd": {"accelerator": 7},
    }.items():
        store.upsert(LLMSERVICE, {"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": spec})

    def keys(default_profile: str) -> set[str]:
        return {name for _, name in concerned(ACCELERATOR_PROFILE, {"metadata": {"name": "h100"}}, store, default_profile)}

    assert keys("cpu") == {"named"}
    assert keys("h100") == {"named", "default", "odd"}


def test_watches_write_nothing() -> None:
    settings = watch_settings()
    assert settings.peering.standalone
    assert not settings.posting.enabled


async def test_health_says_what_is_wrong() -> None:
    app = health.application(healthy=lambda: "no list", ready=lambda: None, registry=CollectorRegistry())
    async with TestClient(TestServer(app)) as client:
        sick, ready = await client.get("/healthz"), await client.get("/readyz")
        assert (sick.status, await sick.text(), ready.status) == (503, "no list", 200)


def test_log_lines_within_a_reconcile_carry_the_service() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "said %d", (1,), None)
    with Telemetry().reconcile(("ns", "x")):
        within = json.loads(JsonFormatter().format(record))
    assert (within["namespace"], within["name"], within["message"]) == ("ns", "x", "said 1")
    assert "namespace" not in json.loads(JsonFormatter().format(record))


def scaling(*pods: dict[str, Any], **spec: Any) -> Scaling:
    store = Store(WATCHED)
    store.upsert(LLMSERVICE, {"metadata": {"name": "x", "namespace": "ns", "uid": "u"}, "spec": spec})
    for pod in pods:
        store.upsert(POD, pod)
    return Scaling(store, Fleet())


def pod(name: str, ip: str | None, **metadata: Any) -> dict[str, Any]:
    labels = {"llmfleet.dev/service": "x", "llmfleet.dev/role": "engine"}
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z", **metadata},
        "status": {"podIP": ip} if ip else {},
    }


def test_pods_with_an_address_that_stay_are_read() -> None:
    found = scaling(pod("a", "10.0.0.1"), pod("b", None), pod("c", "10.0.0.3", deletionTimestamp="2026-01-01T00:00:00Z")).targets()
    assert [target.address for target in found["ns", "x"]] == ["10.0.0.1"]


def test_a_pod_is_read_with_the_adapters_that_it_is_to_load() -> None:
    found = scaling(pod("a", "10.0.0.1"), adapters={"items": [{"name": "sql"}, {"name": 7}, "odd"]}).targets_of(("ns", "x"))
    assert [target.adapters for target in found] == [{"sql"}]
    unreadable: tuple[Any, ...] = (None, [], {"items": None}, {"items": "sql"}, {"items": {"name": "sql"}})
    for odd in unreadable:
        assert [target.adapters for target in scaling(pod("a", "10.0.0.1"), adapters=odd).targets_of(("ns", "x"))] == [frozenset()]
    assert list(scaling().targets_of(("ns", "gone"))) == []


def test_a_pod_that_has_ended_is_not_read_its_address_may_be_anothers() -> None:
    ended = pod("a", "10.0.0.1")
    ended["status"]["phase"] = "Failed"
    assert list(scaling(ended).targets()["ns", "x"]) == []


def test_pods_of_jobs_are_no_replicas() -> None:
    looking = pod("a", "10.0.0.1")
    looking["metadata"]["labels"]["llmfleet.dev/role"] = "inspect"
    assert list(scaling(looking).targets()["ns", "x"]) == []


def test_only_downloads_that_run_are_asked_for_their_progress() -> None:
    store = Store(WATCHED)
    for role in ("download", "inspect"):
        store.upsert(JOB, {"metadata": {"name": role, "namespace": "ns", "uid": f"job-{role}", "labels": {"llmfleet.dev/role": role}}})
    for name, role, phase, job in (
        ("runs", "download", "Running", "job-download"),
        ("ended", "download", "Succeeded", "job-download"),
        ("of-the-job-before", "download", "Running", "job-before"),
        ("looks", "inspect", "Running", "job-inspect"),
    ):
        owners = [{"uid": job, "kind": "Job", "name": role, "controller": True}]
        metadata = {"name": name, "namespace": "ns", "uid": name, "labels": {"batch.kubernetes.io/job-name": role}, "ownerReferences": owners}
        store.upsert(POD, {"metadata": metadata, "status": {"phase": phase, "podIP": "10.0.0.1"}})
    assert set(download_targets(store)) == {"runs"}


def test_more_replicas_hold_the_demand_from_when_they_were_asked_for() -> None:
    """A pod that a rollout replaces, or one that is stuck, was not asked for anew."""
    now, key = 0.0, ("ns", "x")
    store, fleet = Store(WATCHED), Fleet()
    store.upsert(LLMSERVICE, {"metadata": {"name": "x", "namespace": "ns", "uid": "u"}, "spec": {"autoscaling": {"maxReplicas": 9}}})
    ready = pod("a", "10.0.0.1")
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    store.upsert(POD, ready)
    scaled = Scaling(store, fleet, clock=lambda: now)
    fleet.keep([key])

    def asked(replicas: int) -> int:
        workload = {"metadata": {"name": "x-engine", "namespace": "ns", "uid": "d", "generation": replicas}, "spec": {"replicas": replicas}}
        store.upsert(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", **workload})
        fleet.record(key, now, ["a"], {"a": Queue(waiting=1000, running=256)})
        found = scaled.demand(key)
        assert isinstance(found, Demand)
        return found.replicas

    assert asked(1) == 5
    now = 1000.0
    assert asked(2) == 2, "one is on its way"
    now = 1000.0 + LOADING_DEADLINE_SECONDS
    assert asked(2) == 5, "it did not come in time"


def test_no_data_is_missing_and_never_zero() -> None:
    assert isinstance(scaling(autoscaling={"maxReplicas": 2}).read("ns", "x", "demand"), Missing)
    assert isinstance(scaling().read("ns", "x", "queue_depth"), Missing)


def test_what_does_not_exist_is_said_so() -> None:
    for missing in (scaling().read("ns", "x", "demand"), scaling().read("ns", "other", "demand")):
        assert isinstance(missing, Missing)
        assert not missing.exists


def test_an_unreadable_autoscaling_has_no_demand() -> None:
    assert scaling(autoscaling={"maxReplicas": 0}).demand(("ns", "x")) is None


async def test_a_cluster_without_our_kinds_is_told_what_to_do() -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", _not_found)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        client = Client(lambda: (session, str(server.make_url("/"))))
        with pytest.raises(MissingKindError, match=r"acceleratorprofiles.llmfleet.dev is not installed: upgrade the release with crds.install=true"):
            await relist(client, Store(WATCHED), lambda kind, obj: None)


async def _not_found(_: web.Request) -> web.Response:
    return web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)


def test_the_error_of_an_estimate_is_a_metric() -> None:
    telemetry = Telemetry()
    tokens = {"estimated": {"low": 90, "high": 110}, "measured": 80, "errorPercent": 25}
    services: list[Object] = [
        {"metadata": {"name": "x", "namespace": "ns"}, "status": {"plan": {"verdict": "Fits", "kvTokens": tokens}}},
        {"metadata": {"name": "new", "namespace": "ns"}},
    ]
    telemetry.export_services(lambda: services)

    def value(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(f"llmfleet_kv_cache_tokens_{name}", {"namespace": "ns", "name": "x", **labels})

    assert (value("estimated", bound="low"), value("estimated", bound="high"), value("measured"), value("error_ratio")) == (90, 110, 80, 0.25)
    services.clear()
    assert value("measured") is None


def test_what_a_person_would_be_woken_for_is_a_metric() -> None:
    telemetry = Telemetry()
    conditions = [
        {"type": "Ready", "status": "False", "reason": "Degraded", "message": "x"},
        {"type": "AdaptersReady", "status": "True", "reason": "AdaptersLoaded", "message": "x"},
    ]
    startup = [{"name": "Imports", "seconds": 6}, {"name": "Weights", "seconds": 42}]
    services: list[Object] = [{"metadata": {"name": "x", "namespace": "ns"}, "status": {"conditions": conditions, "engine": {"startup": startup}}}]
    telemetry.export_services(lambda: services)

    def value(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(f"llmfleet_{name}", {"namespace": "ns", "name": "x", **labels})

    assert value("condition", type="Ready", reason="Degraded") == 0
    assert value("condition", type="AdaptersReady", reason="AdaptersLoaded") == 1
    assert value("start_seconds", phase="Weights") == 42
    services.clear()
    assert value("start_seconds", phase="Weights") is None
