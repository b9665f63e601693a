"""What pods and people say may be anything: it is told, or passed over, and never stops the loop nor makes it write for ever."""

import json
from typing import Any

import pytest

from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, JOB, PERSISTENT_VOLUME_CLAIM
from tests.integration.kubelet import DONE, Ending, Kubelet
from tests.integration.operator_process import Operator, condition, quiet, service, status_of

ODD = {
    "schemaVersion": 1,
    "source": "hf://somebody/else",
    "config": {"a": [None, {"b": None, "c": [None]}], "huge": 2**70 + 1, "not": float("nan"), "endless": float("-inf"), "tiny": 1e-7, "round": 1.0},
    "generation": {"temperature": float("inf")},
    "quantization": {"quant_method": "fp8", "modules_to_not_convert": None, "groups": [{"x": None}]},
}
"""Valid for Python's json: numbers that JSON has not, nulls wherever they can stand, another source."""

RESULTS: dict[str, Any] = {
    "odd facts": ODD,
    "a list": [1, 2],
    "another shape": {"reason": "x" * 3000, "message": 5},
    "sizes of no disk": {"source": "x", "weights": {"bytes": 2**80, "files": 1}},
    "no shape at all": 5,
    "junk": "\ufffd" * 900,
}


@pytest.mark.parametrize("result", RESULTS)
async def test_whatever_an_inspection_says_the_engine_starts_and_nothing_is_written_for_ever(
    operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str, result: str
) -> None:
    kubelet.endings[names.ROLE_INSPECT] = Ending(RESULTS[result])
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    before = await quiet(operator, namespace, seconds=3)
    assert await client.get(DEPLOYMENT, namespace, "one-engine") is not None
    model = (await status_of(client, namespace, "one"))["model"]
    assert ("facts" in model) != ("unknown" in model), json.dumps(model)
    if "facts" in model:
        assert model["facts"]["source"] == "pvc://models/tiny"

    kubectl.must("-n", namespace, "label", "llm", "one", "looked=again")
    assert await quiet(operator, namespace, seconds=2) == before, "what is known is as it was"


async def test_whatever_an_inspection_fails_with_is_told(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubelet.endings[names.ROLE_INSPECT] = Ending({"reason": "R" * 2000, "message": "\ud800" + "m" * 1500}, exit_code=1)
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    before = await quiet(operator, namespace, seconds=3)
    assert (await status_of(client, namespace, "one"))["model"]["unknown"].startswith("RRR")
    kubectl.must("-n", namespace, "label", "llm", "one", "looked=again")
    assert await quiet(operator, namespace, seconds=2) == before


async def test_a_jobs_name_that_is_taken_is_left_alone(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubelet.endings[names.ROLE_INSPECT] = None
    kubectl.must("apply", "-f", "-", given=service("one", namespace))

    async def begun() -> dict[str, Any] | None:
        found = await client.list(JOB, namespace=namespace)
        return found[0] if found else None

    ours = await eventually(begun)
    name = ours["metadata"]["name"]
    kubectl.must("-n", namespace, "delete", "llm", "one", "--cascade=foreground", "--timeout=60s")
    container = {"name": "c", "image": "example.com/somebody"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace}, "spec": {"template": template}}
    kubectl.must("apply", "-f", "-", given=job)
    kubectl.must("-n", namespace, "create", "configmap", "nothing")
    kubectl.must("apply", "-f", "-", given=service("one", namespace))

    async def told() -> bool:
        return bool(condition(await status_of(client, namespace, "one"), "Ready")["reason"] == "ForeignObject")

    await eventually(told)
    await quiet(operator, namespace, seconds=3)
    kubectl.must("-n", namespace, "label", "llm", "one", "looked=again")
    await quiet(operator, namespace, seconds=3)
    assert condition(await status_of(client, namespace, "one"), "Ready")["reason"] == "ForeignObject"
    left = await client.get(JOB, namespace, name)
    assert left is not None
    assert "ownerReferences" not in left["metadata"]


async def test_nothing_is_fetched_into_somebody_elses_claim(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str) -> None:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "one-models", "namespace": namespace}, "spec": spec}
    kubectl.must("apply", "-f", "-", given=claim)
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model={"source": "hf://owner/model", "cache": {"storage": "1Gi"}}))
    writes = await quiet(operator, namespace, seconds=3)
    assert [write.name for write in writes if write.verb == "create" and "download" in write.name] == []
    status = await status_of(client, namespace, "one")
    assert (condition(status, "Ready")["reason"], condition(status, "ModelReady")["reason"]) == ("ForeignObject", "ForeignObject")

    # Once it is out of the way, all goes on: such an object is looked for every half minute.
    kubectl.must("-n", namespace, "delete", "pvc", "one-models", "--timeout=30s")

    async def filled() -> bool:
        return bool(condition(await status_of(client, namespace, "one"), "ModelReady")["status"] == "True")

    await eventually(filled, within_seconds=50)


async def test_what_lacks_its_config_map_can_still_be_stopped(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("-n", namespace, "create", "configmap", "settings", "--from-literal=A=b")
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=2, engine={"envFrom": [{"configMapRef": {"name": "settings"}}]}))
    await quiet(operator, namespace)
    kubectl.must("-n", namespace, "delete", "configmap", "settings")
    kubectl.must("-n", namespace, "scale", "llm/one", "--replicas=0")

    async def stopped() -> bool:
        live = await client.get(DEPLOYMENT, namespace, "one-engine")
        return live is not None and live["spec"]["replicas"] == 0

    await eventually(stopped)
    await quiet(operator, namespace)
    assert condition(await status_of(client, namespace, "one"), "Ready")["reason"] == "ConfigError"


async def test_a_claim_that_was_deleted_is_filled_again(operator: Operator, kubelet: Kubelet, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model={"source": "hf://owner/model", "cache": {"storage": "1Gi"}}))
    await quiet(operator, namespace, seconds=3)
    kubelet.endings[names.ROLE_DOWNLOAD] = None
    claim = await client.get(PERSISTENT_VOLUME_CLAIM, namespace, "one-models")
    assert claim is not None
    kubectl.must("-n", namespace, "delete", "pvc", "one-models", "--timeout=30s")

    async def again() -> bool:
        now = await client.get(PERSISTENT_VOLUME_CLAIM, namespace, "one-models")
        jobs = await client.list(JOB, namespace=namespace, label_selector=f"{names.LABEL_ROLE}={names.ROLE_DOWNLOAD}")
        return now is not None and now["metadata"]["uid"] != claim["metadata"]["uid"] and bool(jobs)

    await eventually(again, what="a claim in its place, and a download into it")
    await quiet(operator, namespace)
    assert condition(await status_of(client, namespace, "one"), "ModelReady")["status"] == "False"
    kubelet.endings[names.ROLE_DOWNLOAD] = DONE
    await quiet(operator, namespace, seconds=3)
    assert condition(await status_of(client, namespace, "one"), "ModelReady")["status"] == "True"
