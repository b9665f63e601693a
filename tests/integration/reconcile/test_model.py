"""A model is looked at, fetched and served: the operator on a real API server with its Job controller; only the kubelet is played."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, JOB, PERSISTENT_VOLUME_CLAIM, POD
from tests.integration.kubelet import DONE, FACTS, Ending, Kubelet
from tests.integration.operator_process import Operator, condition, quiet, service, status_of

GONE = Ending({"reason": "ModelNotFound", "message": "there is no such model", "exitCode": 1}, exit_code=1)


async def jobs(client: Client, namespace: str, role: str) -> list[dict[str, Any]]:
    return list(await client.list(JOB, namespace=namespace, label_selector=f"{names.LABEL_ROLE}={role}"))


async def test_a_new_service_costs_few_writes_and_leaves_no_job(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    writes = [f"{write.verb} {write.resource} {write.status}" for write in await quiet(operator, namespace, seconds=3)]

    statuses = writes.count("patch llmservices/status 200")
    assert 1 <= statuses <= 2, "that it is looked at, where that takes longer than a second, and what was found"
    children = ["patch deployments 201", "patch serviceaccounts 201", "patch services 201", "patch poddisruptionbudgets 201"]
    assert sorted(writes) == sorted(["create jobs 201", *children, "delete jobs 200", *["patch llmservices/status 200"] * statuses])
    status = await status_of(client, namespace, "one")
    assert status["model"]["facts"]["source"] == "pvc://models/tiny"
    assert status["plan"]["verdict"]

    async def gone() -> bool:
        return not await client.list(JOB, namespace=namespace) and not await client.list(POD, namespace=namespace, label_selector=f"{names.LABEL_ROLE}=inspect")

    await eventually(gone, what="the Job and its pod are gone")


async def test_a_model_that_does_not_exist_takes_no_accelerator(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubelet.endings[names.ROLE_INSPECT] = GONE
    kubectl.must("apply", "-f", "-", given=service("one", namespace))

    async def told() -> bool:
        return bool(condition(await status_of(client, namespace, "one"), "Ready")["reason"] == "ModelUnavailable")

    await eventually(told)
    before = await quiet(operator, namespace, seconds=3)
    status = await status_of(client, namespace, "one")
    assert condition(status, "Ready")["message"] == "ModelNotFound: there is no such model"
    assert condition(status, "Stalled")["status"] == "True"
    assert await client.get(DEPLOYMENT, namespace, "one-engine") is None

    # A credentials reference makes another Job, at once.
    kubelet.endings[names.ROLE_INSPECT] = FACTS
    model = {"source": "hf://owner/model", "credentials": {"secretKeyRef": {"name": "hf", "key": "token"}}}
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model=model))
    after = await quiet(operator, namespace, seconds=3)
    assert await client.get(DEPLOYMENT, namespace, "one-engine") is not None
    assert await jobs(client, namespace, "inspect") == [], "the failed Job went with the new one"
    assert len(after) - len(before) <= 10


async def test_what_serves_goes_on_while_another_revision_is_looked_at_and_fetched(
    operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    def wanted(revision: str) -> dict[str, Any]:
        return service("one", namespace, model={"source": f"hf://owner/model@{revision}", "cache": {"storage": "1Gi"}})

    kubectl.must("apply", "-f", "-", given=wanted("v1"))
    await quiet(operator, namespace, seconds=3)
    first = await client.get(DEPLOYMENT, namespace, "one-engine")
    assert first is not None
    status = await status_of(client, namespace, "one")
    assert (status["model"]["cache"]["complete"], status["model"]["cache"]["claimName"]) == (True, "one-models")
    assert condition(status, "ModelReady")["reason"] == "Cached"

    kubelet.endings[names.ROLE_DOWNLOAD] = None
    kubectl.must("apply", "-f", "-", given=wanted("v2"))

    async def downloading() -> bool:
        status = await status_of(client, namespace, "one")
        return bool(condition(status, "Ready")["reason"] == "Downloading" and status["observedGeneration"] == 2)

    await eventually(downloading)
    held = await client.get(DEPLOYMENT, namespace, "one-engine")
    assert held is not None
    assert held["spec"] == first["spec"], "the engines of the old revision serve on"

    kubelet.endings[names.ROLE_DOWNLOAD] = DONE

    async def rolled() -> bool:
        live = await client.get(DEPLOYMENT, namespace, "one-engine")
        return live is not None and live["metadata"]["generation"] > first["metadata"]["generation"]

    await eventually(rolled)
    await quiet(operator, namespace, seconds=3)
    assert await client.list(JOB, namespace=namespace) == []


async def test_a_deleted_service_leaves_its_cache(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model={"source": "hf://owner/model", "cache": {"storage": "1Gi"}}))
    await quiet(operator, namespace, seconds=3)
    kubectl.must("-n", namespace, "delete", "llm", "one", "--cascade=foreground", "--timeout=60s")
    await quiet(operator, namespace)
    assert await client.get(PERSISTENT_VOLUME_CLAIM, namespace, "one-models") is not None


async def test_two_services_share_one_download_and_see_its_progress(
    operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    kubelet.endings[names.ROLE_DOWNLOAD] = None
    model = {"source": "hf://owner/model", "cache": {"claimName": "models"}}
    both = [service(name, namespace, model=model) for name in ("one", "two")]
    kubectl.must("apply", "-f", "-", given=both)

    async def shared() -> dict[str, Any] | None:
        found = await jobs(client, namespace, "download")
        assert len(found) <= 1
        return found[0] if found and len(found[0]["metadata"]["ownerReferences"]) == 2 else None

    job = await eventually(shared, what="both are owners")
    assert {reference["name"] for reference in job["metadata"]["ownerReferences"]} == {"one", "two"}

    # The owner that began it goes: the other one keeps it.
    kubectl.must("-n", namespace, "delete", "llm", job["metadata"]["ownerReferences"][0]["name"])
    await quiet(operator, namespace, seconds=3)
    [kept] = await jobs(client, namespace, "download")
    assert kept["metadata"]["uid"] == job["metadata"]["uid"]
    left = job["metadata"]["ownerReferences"][1]["name"]
    kubelet.endings[names.ROLE_DOWNLOAD] = DONE

    async def complete() -> bool:
        return bool(condition(await status_of(client, namespace, left), "ModelReady")["status"] == "True")

    await eventually(complete)


async def test_a_profile_of_the_cluster_rolls_out_where_it_is_used(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    name = f"profile-{namespace}"

    def profile(**spec: Any) -> dict[str, Any]:
        return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": name}, "spec": spec}

    used = service("one", namespace, accelerator={"profile": name})
    kubectl.must("apply", "-f", "-", given=[used, service("two", namespace)])
    await quiet(operator, namespace, seconds=3)
    assert condition(await status_of(client, namespace, "one"), "Accepted")["status"] == "False", "there is no such profile"

    kubectl.must("apply", "-f", "-", given=profile(images={"*": "example.com/vllm:{version}"}, nodeSelector={"pool": "a"}))
    before = await quiet(operator, namespace, seconds=3)
    assert condition(await status_of(client, namespace, "one"), "Accepted")["status"] == "True"
    kubectl.must("apply", "-f", "-", given=profile(images={"*": "example.com/vllm:{version}"}, nodeSelector={"pool": "b"}))

    async def rolled() -> bool:
        live = await client.get(DEPLOYMENT, namespace, "one-engine")
        return live is not None and live["spec"]["template"]["spec"].get("nodeSelector") == {"pool": "b"}

    await eventually(rolled)
    after = await quiet(operator, namespace, seconds=3)
    answers = [str(write) for write in after[len(before) :]]
    assert answers[0] == "patch deployments one-engine 200"
    assert answers[1:] in ([], ["patch llmservices/status one 200"]), "who does not use it is not touched"


async def test_progress_of_a_download_is_shown(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str, tmp_path: Path) -> None:
    kubelet.endings[names.ROLE_DOWNLOAD] = None
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model={"source": "hf://owner/model", "cache": {"claimName": "models"}}))

    async def pod() -> Any:
        found = await client.list(POD, namespace=namespace, label_selector=f"{names.LABEL_ROLE}=download")
        return found[0] if found else None

    downloading = await eventually(pod)
    app = web.Application()
    report = {"phase": "Downloading", "bytes": {"done": 6 * 1024**3, "total": 12 * 1024**3}, "bytesPerSecond": 1024**3, "secondsLeft": 6}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(report)

    app.router.add_get("/report", answer)
    server = TestServer(app, host="127.0.0.77", port=names.LAUNCHER_PORT)
    try:
        await server.start_server()
    except OSError as error:
        pytest.skip(f"no second address of the loopback: {error}")
    try:
        await kubelet.runs(downloading, "127.0.0.77")

        async def told() -> bool:
            return "50% of 12.0 GiB, 1,024 MiB/s" in condition(await status_of(client, namespace, "one"), "Ready")["message"]

        await eventually(told)
    finally:
        await server.close()
