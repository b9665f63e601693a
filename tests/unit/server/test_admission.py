"""The validating webhook: its answers, what it passes over, and whom it tells to trust it."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.kube.client import Client
from llmfleet.planning.review import Surroundings
from llmfleet.server.admission import Admission, answered
from tests.unit.tls.fake_api_server import FakeApiServer

AROUND = Surroundings(built_in_profiles(), "nvidia")
REGISTRATION = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/llmfleet"


def service(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "qwen", "namespace": "chat"}
    return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": {"model": {"source": "hf://a/b"}, **spec}}


GOOD = service()
WRONG = service(engine={"extraArgs": ["--port", "9"]}, accelerator={"profile": "abacus"})


def asked(new: dict[str, Any], old: dict[str, Any] | None = None, *, dry_run: bool = False) -> dict[str, Any]:
    operation = "CREATE" if old is None else "UPDATE"
    return answered({"uid": "7", "operation": operation, "object": new, "oldObject": old, "dryRun": dry_run}, AROUND)


def test_what_is_good_is_allowed_without_a_word() -> None:
    assert asked(GOOD) == {"uid": "7", "allowed": True}
    assert asked(service(replicas=2), GOOD) == {"uid": "7", "allowed": True}


def test_what_is_wrong_is_refused_with_every_message_on_its_own_line() -> None:
    answer = asked(WRONG)
    assert not answer["allowed"]
    status = answer["status"]
    assert (status["code"], status["reason"], status["status"]) == (422, "Invalid", "Failure")
    first, *lines = status["message"].split("\n")
    assert first == ""
    assert all(line.startswith("- spec.") for line in lines)
    assert any(line.startswith("- spec.accelerator.profile 'abacus': is no accelerator profile; ") for line in lines)
    assert any("spec.engine.extraArgs[0] '--port'" in line for line in lines)


def test_a_single_message_needs_no_list() -> None:
    assert asked(service(accelerator={"profile": "abacus"}))["status"]["message"].startswith("spec.accelerator.profile 'abacus': ")


def test_what_costs_is_said_and_allowed() -> None:
    answer = asked(service(model={"source": "hf://a/b", "loadFormat": "dummy"}))
    assert answer["allowed"]
    assert any("serves random weights" in warning for warning in answer["warnings"])


def test_what_was_wrong_before_can_be_labelled_and_finalized_and_mended() -> None:
    labelled = {**WRONG, "metadata": {**WRONG["metadata"], "labels": {"team": "a"}}}
    assert asked(labelled, WRONG)["allowed"]
    going = {**service(accelerator={"profile": "other"}), "metadata": {**WRONG["metadata"], "deletionTimestamp": "2026-11-21T00:00:00Z"}}
    assert asked(going, WRONG)["allowed"]
    assert asked(GOOD, WRONG)["allowed"]
    assert not asked(service(accelerator={"profile": "other"}), WRONG)["allowed"]


def test_a_dry_run_gets_the_same_answer() -> None:
    assert asked(WRONG, dry_run=True) == asked(WRONG)


FACTS = {"source": "hf://a/b", "config": {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]}}


def test_what_was_found_out_about_the_model_counts_while_its_source_stays() -> None:
    """float16 is refused for Gemma 2, which only the model's own configuration tells."""
    known = {**GOOD, "status": {"model": {"facts": FACTS}}}
    wanted = service(model={"source": "hf://a/b", "dtype": "float16"})
    assert not asked(wanted, known)["allowed"]
    assert asked(wanted, GOOD)["allowed"]
    assert asked(service(model={"source": "hf://a/other", "dtype": "float16"}), known)["allowed"]


def test_the_status_of_the_new_object_is_not_believed() -> None:
    """Whoever may write the specification may send a status with it, which the API server drops afterwards."""
    assert asked({**service(model={"source": "hf://a/b", "dtype": "float16"}), "status": {"model": {"facts": FACTS}}}, GOOD)["allowed"]


def test_profiles_are_looked_at_too() -> None:
    profile = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": "x"}, "spec": {"resourceName": "a.b/c"}}
    assert asked(profile)["allowed"]
    answer = asked({**profile, "spec": {"resurceName": "a.b/c"}})
    assert answer["status"]["message"] == "spec.resurceName: is no field of llmfleet.dev/v1alpha1; did you mean resourceName?"


@pytest.fixture
def api_server() -> FakeApiServer:
    server = FakeApiServer()
    ours = {"namespace": "llmfleet-system", "name": "llmfleet", "path": "/admit"}
    server.objects[REGISTRATION] = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "llmfleet", "resourceVersion": "1"},
        "webhooks": [{"name": "admission.llmfleet.dev", "clientConfig": {"service": ours}, "failurePolicy": "Ignore"}],
    }
    return server


@pytest.fixture
async def client(api_server: FakeApiServer) -> AsyncIterator[Client]:
    async with api_server.client() as client:
        yield client


def admission(client: Client) -> Admission:
    return Admission(client, built_in_profiles, "nvidia", namespace="llmfleet-system", service="llmfleet")


@pytest.fixture
async def webhook(client: Client) -> AsyncIterator[TestClient[Any, Any]]:
    served = aiohttp.web.Application()
    served.add_subapp(Admission.path, admission(client).application)
    async with TestClient(TestServer(served)) as asking:
        yield asking


async def test_a_review_is_answered_as_a_review(webhook: TestClient[Any, Any]) -> None:
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "7", "object": GOOD, "oldObject": None}}
    answer = await webhook.post("/admit?timeout=5s", json=review)
    assert (answer.status, await answer.json()) == (
        200,
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "7", "allowed": True}},
    )


async def test_a_profile_of_the_same_file_is_waited_for(client: Client) -> None:
    own = {**built_in_profiles(), "own": built_in_profiles()["nvidia"]}
    seen = iter([built_in_profiles(), built_in_profiles()])
    served = aiohttp.web.Application()
    late = Admission(client, lambda: next(seen, own), "nvidia", namespace="llmfleet-system", service="llmfleet")
    served.add_subapp(Admission.path, late.application)
    review = {"request": {"uid": "7", "object": service(accelerator={"profile": "own"}), "oldObject": None}}
    async with TestClient(TestServer(served)) as asking:
        answer = await (await asking.post("/admit", json=review)).json()
    assert answer["response"]["allowed"] is True


@pytest.mark.parametrize("body", ["", "x", "[]", "{}", '{"request": 7}', '{"request": {"uid": "7", "object": {"metadata": {}, "kind": "Pod"}}}', "[" * 100_000])
async def test_what_is_no_review_is_a_bad_request_and_not_logged(webhook: TestClient[Any, Any], caplog: pytest.LogCaptureFixture, body: str) -> None:
    with caplog.at_level(logging.DEBUG, logger="llmfleet"):
        answer = await webhook.post("/admit", data=body)
    assert answer.status == 400
    assert "Pod" not in caplog.text


async def test_nothing_of_an_object_is_logged(webhook: TestClient[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    secret = service(engine={"env": [{"name": "KEY", "value": "hunter2"}], "extraArgs": ["--port", "hunter2"]})
    with caplog.at_level(logging.DEBUG, logger="llmfleet"):
        await webhook.post("/admit", json={"request": {"uid": "7", "object": secret}})
    assert "hunter2" not in caplog.text


async def test_whoever_dribbles_is_not_waited_for(client: Client) -> None:
    hasty = Admission(client, built_in_profiles, "nvidia", namespace="llmfleet-system", service="llmfleet", patience_seconds=0.01)
    served = aiohttp.web.Application()
    served.add_subapp(Admission.path, hasty.application)
    told = asyncio.Event()

    async def dribble() -> AsyncIterator[bytes]:
        yield b"{"
        await told.wait()

    async with TestClient(TestServer(served)) as asking:
        answer = await asking.post("/admit", data=dribble())
        told.set()
        assert answer.status == 408


async def test_other_methods_and_paths_do_not_exist(webhook: TestClient[Any, Any]) -> None:
    assert (await webhook.get("/admit")).status == 405
    assert (await webhook.post("/admit/x")).status == 404


async def test_the_registration_is_told_whom_to_trust_once(api_server: FakeApiServer, client: Client) -> None:
    assert await admission(client).publish("CA")
    assert await admission(client).publish("CA")
    [(method, path)] = api_server.writes
    assert (method, path) == ("PATCH", REGISTRATION)
    assert json.loads(json.dumps(api_server.sent[0])) == {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "llmfleet"},
        "webhooks": [{"name": "admission.llmfleet.dev", "clientConfig": {"caBundle": base64.b64encode(b"CA").decode()}}],
    }


async def test_a_registration_that_leads_elsewhere_or_is_not_there_is_left_alone(api_server: FakeApiServer, client: Client) -> None:
    api_server.objects[REGISTRATION]["webhooks"][0]["clientConfig"]["service"]["namespace"] = "other"
    assert not await admission(client).publish("CA")
    del api_server.objects[REGISTRATION]
    assert not await admission(client).publish("CA")
    assert api_server.writes == []
