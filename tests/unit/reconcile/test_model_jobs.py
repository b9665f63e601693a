"""A service whose model is not known yet: which Jobs and claims are made, in which order, and what a failure costs."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, JOB, LLMSERVICE, PERSISTENT_VOLUME_CLAIM, POD
from llmfleet.kube.objects import Object
from llmfleet.reconcile.knowledge import DEFINITE_SECONDS, START_SECONDS
from llmfleet.reconcile.reconciler import SETTLE_SECONDS
from llmfleet.scrape.download import Progress
from tests.unit.reconcile.api_server import ApiServer
from tests.unit.reconcile.test_reconciler import BEGAN, CHILDREN, WORKLOAD, House

UNKNOWN: dict[str, Any] = {"model": {}}
GIB = 1024**3


def job_of(house: House, role: str) -> Object:
    [found] = [job for job in house.store.objects(JOB) if job["metadata"]["labels"]["llmfleet.dev/role"] == role]
    return found


def ends(house: House, role: str, condition: str, message: object = "", exit_code: int = 0) -> None:
    """Play the kubelet and the Job's controller."""
    job = job_of(house, role)
    ended = {"terminated": {"exitCode": exit_code, "reason": "Error", "message": json.dumps(message)}}
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    labels = {"batch.kubernetes.io/job-name": name}
    owners = [{"kind": "Job", "name": name, "uid": uid, "controller": True}]
    metadata = {"name": "pod", "namespace": "ns", "uid": f"pod-of-{uid}", "labels": labels, "ownerReferences": owners}
    phase = "Succeeded" if exit_code == 0 else "Failed"
    house.store.upsert(POD, {"metadata": metadata, "status": {"phase": phase, "containerStatuses": [{"name": role, "state": ended}]}})
    said = {"type": condition, "status": "True", "reason": "R", "message": "m", "lastTransitionTime": stamp(house.now)}
    house.store.upsert(JOB, house.api.changed(JOB.path("ns", name), status={"conditions": [said]}))


def stamp(now: float) -> str:
    return datetime.fromtimestamp(BEGAN + now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(house: House) -> dict[str, Any]:
    status: dict[str, Any] = house.api.objects[LLMSERVICE.path("ns", "x")]["status"]
    return status


def conditions(house: House) -> dict[str, Any]:
    return {item["type"]: item for item in shown(house)["conditions"]}


async def settled(house: House) -> list[str]:
    """Look until the last burst has ended; all writes."""
    writes: list[str] = []
    house.now += SETTLE_SECONDS
    for _ in range(10):
        again = await house.look()
        writes += house.api.writes
        if (workload := house.api.objects.get(WORKLOAD)) is not None:
            house.store.upsert(DEPLOYMENT, workload)
        if again is None or again.after_seconds > SETTLE_SECONDS:
            return writes
        house.now += again.after_seconds
    raise AssertionError(f"no end: {writes}")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    api = ApiServer(clock=lambda: stamp(built.now))
    async with TestServer(api.application()) as server, aiohttp.ClientSession() as session:
        built = House(Client(lambda: (session, str(server.make_url("/")))), api)
        built.wants(UNKNOWN)
        yield built


async def test_a_new_model_is_looked_at_first_and_then_served(house: House) -> None:
    writes = await settled(house)
    name = job_of(house, "inspect")["metadata"]["name"]
    assert writes == ["POST jobs/" + name, "PATCH llmservices/x/status"]
    assert conditions(house)["Ready"]["reason"] == "Inspecting"
    assert conditions(house)["Reconciling"]["status"] == "True"
    house.now += 5
    assert await settled(house) == [], "nothing has changed"

    ends(house, "inspect", "Complete", {"source": "/models/tiny", "config": {"hidden_size": 64}})
    assert await settled(house) == [*CHILDREN, "PATCH llmservices/x/status", f"DELETE jobs/{name}"]
    status = shown(house)
    assert status["model"]["facts"]["source"] == "pvc://models/tiny"
    assert await settled(house) == []


async def test_a_model_that_does_not_exist_takes_no_accelerator_and_is_looked_for_again(house: House) -> None:
    await settled(house)
    first = job_of(house, "inspect")
    ends(house, "inspect", "Failed", {"reason": "ModelNotFound", "message": "there is no such model"}, exit_code=1)
    assert await settled(house) == ["PATCH llmservices/x/status"]
    ready = conditions(house)["Ready"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "ModelUnavailable", "ModelNotFound: there is no such model")
    assert conditions(house)["Stalled"]["status"] == "True"

    house.now += DEFINITE_SECONDS[0]
    name = first["metadata"]["name"]
    assert await settled(house) == [f"DELETE jobs/{name}", f"POST jobs/{name}"], "what is shown holds still"
    again = job_of(house, "inspect")
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert again["metadata"]["annotations"]["llmfleet.dev/attempt"] == "2"
    ends(house, "inspect", "Complete", {"source": "x"})
    assert (await settled(house))[:4] == CHILDREN


async def test_what_serves_goes_on_while_another_source_is_looked_at(house: House) -> None:
    house.wants()
    await settled(house)
    house.wants(shown(house), model={"source": "pvc://models/other"}, replicas=2)
    writes = await settled(house)
    assert writes == ["POST jobs/" + job_of(house, "inspect")["metadata"]["name"], "PATCH deployments/x-engine/scale", "PATCH llmservices/x/status"]
    assert conditions(house)["Ready"]["reason"] == "Inspecting"
    ends(house, "inspect", "Failed", {"reason": "InvalidModel", "message": "no config.json"}, exit_code=1)
    assert await settled(house) == ["PATCH llmservices/x/status"]
    assert conditions(house)["Ready"]["reason"] == "ModelUnavailable"


async def test_engines_that_run_as_wanted_are_not_held_back_by_a_second_look(house: House) -> None:
    house.wants()
    await settled(house)
    before = conditions(house)
    house.wants({key: value for key, value in shown(house).items() if key != "model"})
    assert (await settled(house))[0] == "POST jobs/" + job_of(house, "inspect")["metadata"]["name"]
    assert conditions(house) == before


async def test_an_inspection_that_does_not_begin_blocks_nobody(house: House) -> None:
    await settled(house)
    house.now += START_SECONDS
    writes = await settled(house)
    assert writes == [*CHILDREN, "PATCH llmservices/x/status"]
    assert "has not begun after 120 s" in shown(house)["model"]["unknown"]


async def test_an_inspection_that_a_quota_forbids_blocks_nobody(house: House) -> None:
    house.api.refuse("/jobs", 403, "exceeded quota")
    writes = await settled(house)
    assert writes[1:] == [*CHILDREN, "PATCH llmservices/x/status"]
    assert "exceeded quota" in shown(house)["model"]["unknown"]
    assert conditions(house)["Ready"]["reason"] != "ChildRefused"


async def test_a_cache_is_filled_although_a_look_is_not_allowed(house: House) -> None:
    house.wants(UNKNOWN, model=CACHED)
    [inspect, *_] = await settled(house)
    house.store.remove(JOB, job_of(house, "inspect"))
    house.api.objects.clear()
    house.wants(UNKNOWN, model=CACHED)
    house.api.refuse(inspect.removeprefix("POST jobs"), 403, "no")
    assert [write.split("-")[1] for write in await settled(house) if write.startswith("POST")] == ["inspect", "download"]


async def test_somebody_elses_job_of_that_name_is_left_alone(house: House) -> None:
    await settled(house)
    name = job_of(house, "inspect")["metadata"]["name"]
    house.store.remove(JOB, house.store.get(JOB, "ns", name) or {})
    house.api.objects[JOB.path("ns", name)]["metadata"]["labels"] = {}
    assert await settled(house) == ["PATCH llmservices/x/status"]
    assert conditions(house)["Ready"]["reason"] == "ForeignObject"


CACHED = {"source": "hf://owner/model", "cache": {"claimName": "models"}}
FILLED = {"source": "hf://owner/model", "cache": {"storage": "10Gi"}}


async def test_a_cache_is_filled_before_engines_start(house: House) -> None:
    house.wants(model=FILLED)
    writes = await settled(house)
    name = job_of(house, "download")["metadata"]["name"]
    assert writes == ["POST persistentvolumeclaims/x-models", f"POST jobs/{name}", "PATCH llmservices/x/status"]
    assert (conditions(house)["Ready"]["reason"], conditions(house)["ModelReady"]["status"]) == ("Downloading", "False")

    house.downloaded = Progress(5 * GIB, 10 * GIB, None, 100)
    ends(house, "download", "Suspended", {}, exit_code=0)
    assert await settled(house) == ["PATCH llmservices/x/status"]
    assert conditions(house)["Ready"]["message"] == "the cache is being filled: 50% of 10.0 GiB"

    ends(house, "download", "Complete", {})
    assert await settled(house) == [*CHILDREN, "PATCH llmservices/x/status", f"DELETE jobs/{name}"]
    cache = shown(house)["model"]["cache"]
    assert (cache["complete"], cache["claimName"]) == (True, "x-models")
    assert await settled(house) == []


async def test_a_claim_grows_and_never_shrinks(house: House) -> None:
    house.wants(model=FILLED)
    await settled(house)
    claim = PERSISTENT_VOLUME_CLAIM.path("ns", "x-models")
    assert "ownerReferences" not in house.api.objects[claim]["metadata"], "it outlives the service"
    house.wants(model={**FILLED, "cache": {"storage": "20Gi"}})
    assert "PATCH persistentvolumeclaims/x-models" in await settled(house)
    assert house.api.objects[claim]["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    house.wants(model={**FILLED, "cache": {"storage": "5Gi"}})
    assert "PATCH persistentvolumeclaims/x-models" not in await settled(house)


async def test_a_claim_that_somebody_else_made_is_left_alone_and_the_way_to_use_it_is_said(house: House) -> None:
    metadata = {"name": "x-models", "namespace": "ns", "uid": "c", "resourceVersion": "1"}
    house.api.objects[PERSISTENT_VOLUME_CLAIM.path("ns", "x-models")] = {"metadata": metadata, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    house.wants(model=FILLED)
    await settled(house)
    assert conditions(house)["Ready"]["reason"] == "ForeignObject"
    assert "model.cache.claimName: x-models" in conditions(house)["Ready"]["message"]


async def test_two_services_share_one_download(house: House) -> None:
    house.wants(model=CACHED)
    await settled(house)
    [job] = list(house.store.objects(JOB))
    sibling = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "name": "sibling", "uid": "other"}
    path = JOB.path("ns", job["metadata"]["name"])
    house.store.upsert(JOB, house.api.changed(path, metadata={"ownerReferences": [sibling]}))
    assert await settled(house) == [f"PATCH jobs/{job['metadata']['name']}"]
    assert [reference["name"] for reference in house.api.objects[path]["metadata"]["ownerReferences"]] == ["sibling", "x"]

    ends(house, "download", "Complete", {})
    writes = await settled(house)
    assert writes[-1] == f"PATCH jobs/{job['metadata']['name']}", "the sibling still has it"
    assert house.api.objects[path]["metadata"]["ownerReferences"] == [sibling]


async def test_a_download_that_failed_is_told_and_tried_again(house: House) -> None:
    house.wants(model=CACHED)
    await settled(house)
    ends(house, "download", "Failed", {"reason": "NoSpaceLeft", "message": "the claim is full"}, exit_code=1)
    await settled(house)
    for kind in ("Ready", "ModelReady"):
        assert conditions(house)[kind]["reason"] == "ModelUnavailable"
        assert conditions(house)[kind]["message"] == "NoSpaceLeft: the claim is full; trying again"
    house.now += DEFINITE_SECONDS[0]
    name = job_of(house, "download")["metadata"]["name"]
    assert await settled(house) == [f"DELETE jobs/{name}", f"POST jobs/{name}"]


async def test_a_refused_specification_starts_no_job(house: House) -> None:
    house.wants(UNKNOWN, engine={"extraArgs": ["--port=1"]})
    assert await settled(house) == ["PATCH llmservices/x/status"]
