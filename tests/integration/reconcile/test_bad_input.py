"""Wrong input is refused where it is written, or named in a condition with its remedy; what served before goes on as it was."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT
from tests.integration.operator_process import Operator, condition, quiet, service, status_of

REFUSED_AT_ADMISSION: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"modle": {}}, "modle"),
    "replicas and autoscaling": ({"replicas": 1, "autoscaling": {"maxReplicas": 2}}, "replicas and autoscaling exclude each other"),
    "min above max": ({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "minReplicas must not exceed maxReplicas"),
    "min of zero": ({"autoscaling": {"minReplicas": 0, "maxReplicas": 2}}, "minReplicas"),
    "utilisation 7.5": ({"engine": {"memoryUtilization": 7.5}}, "spec.engine.memoryUtilization"),
    "a source of another kind": ({"model": {"source": "ftp://x/y"}}, "must be hf://owner/repository"),
}


@pytest.mark.parametrize("case", REFUSED_AT_ADMISSION)
async def test_refused_at_admission_with_the_field_and_the_rule(case: str, operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    spec, message = REFUSED_AT_ADMISSION[case]
    answer = kubectl("apply", "-f", "-", given=service("one", namespace, **spec))
    assert answer.returncode != 0
    assert message in answer.stderr


@pytest.mark.parametrize("name", ["a.b", "1st", "x" * 51])
async def test_a_name_that_cannot_become_a_services_is_refused(name: str, operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    answer = kubectl("apply", "-f", "-", given=service(name, namespace))
    assert answer.returncode != 0
    assert "metadata.name" in answer.stderr
    assert "at most 50 characters" in answer.stderr


async def test_the_class_of_a_claim_that_was_made_cannot_change(operator: Operator, kubectl: Kubectl, namespace: str) -> None:
    def cached(**cache: str) -> dict[str, Any]:
        return service("one", namespace, model={"source": "hf://org/tiny", "cache": cache})

    assert kubectl("apply", "-f", "-", given=cached(storage="1Gi", storageClassName="fast")).returncode == 0
    answer = kubectl("apply", "-f", "-", given=cached(storage="1Gi", storageClassName="slow"))
    assert "the class of a claim cannot change" in answer.stderr
    assert kubectl("apply", "-f", "-", given=cached(storage="2Gi", storageClassName="fast")).returncode == 0
    assert kubectl("apply", "-f", "-", given=cached(claimName="other")).returncode == 0


NAMED_IN_A_CONDITION: dict[str, tuple[dict[str, Any], str]] = {
    "cpu abc": ({"template": {"spec": {"containers": [{"name": "engine", "resources": {"limits": {"cpu": "abc"}}}]}}}, "must be a Kubernetes quantity"),
    "an owned flag": ({"engine": {"extraArgs": ["--port", "9"]}}, "--port"),
    "a short owned flag": ({"engine": {"extraArgs": ["-tp", "4"]}}, "set spec.parallelism.tensor"),
    "a prefix of an owned flag": ({"engine": {"extraArgs": ["--tensor-par=2"]}}, "set spec.parallelism.tensor"),
    "an unknown quantization": ({"quantization": {"method": "nonsense"}}, "spec.quantization.method 'nonsense'"),
    "an unknown profile": ({"accelerator": {"profile": "abacus"}}, "spec.accelerator.profile 'abacus'"),
    "accelerators said twice": (
        {
            "accelerator": {"profile": "nvidia"},
            "template": {"spec": {"containers": [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}},
        },
        "nvidia.com/gpu",
    ),
}


async def test_what_served_before_goes_on_and_the_condition_names_field_and_remedy(
    operator: Operator, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    cases = {f"case-{number}": case for number, case in enumerate(NAMED_IN_A_CONDITION.values())}
    good = [service(name, namespace) for name in cases]
    kubectl.must("apply", "-f", "-", given=good)
    before = await quiet(operator, namespace)
    deployments = {name: await client.get(DEPLOYMENT, namespace, f"{name}-engine") for name in cases}
    kubectl.must("apply", "-f", "-", given=[service(name, namespace, **spec) for name, (spec, _) in cases.items()])
    after = await quiet(operator, namespace)

    assert sorted(str(write) for write in after[len(before) :]) == [f"patch llmservices/status {name} 200" for name in cases], "no child changes"
    for name, (_, message) in cases.items():
        assert await client.get(DEPLOYMENT, namespace, f"{name}-engine") == deployments[name]
        status = await status_of(client, namespace, name)
        accepted = condition(status, "Accepted")
        assert (accepted["status"], accepted["reason"]) == ("False", "Invalid")
        assert message in accepted["message"]
        assert condition(status, "Ready")["status"] == "False"
        assert condition(status, "Stalled")["status"] == "True"

    kubectl.must("apply", "-f", "-", given=good)
    await quiet(operator, namespace)
    for name in cases:
        assert condition(await status_of(client, namespace, name), "Accepted")["status"] == "True", "the remedy works"


async def test_a_pod_that_the_api_server_refuses_changes_nothing_else(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    volume: dict[str, Any] = {"name": "scratch", "noSuchVolume": {}}
    kubectl.must("apply", "-f", "-", given=service("one", namespace, template={"spec": {"volumes": [volume]}}))
    writes = await quiet(operator, namespace)

    status = await status_of(client, namespace, "one")
    accepted = condition(status, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "Invalid")
    assert "noSuchVolume" in accepted["message"]
    assert {write.resource for write in writes if write.status < 300} == {"llmservices/status"}, "the workload comes first"


async def test_kubectl_scale_scales_and_under_autoscaling_says_the_way_out(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("fixed", namespace))
    kubectl.must("apply", "-f", "-", given=service("scaled", namespace, autoscaling={"maxReplicas": 3}))
    await quiet(operator, namespace)
    kubectl.must("-n", namespace, "scale", "llm/fixed", "--replicas=3")
    await quiet(operator, namespace)
    deployment = await client.get(DEPLOYMENT, namespace, "fixed-engine")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 3

    refused = kubectl("-n", namespace, "scale", "llm/scaled", "--replicas=3")
    assert refused.returncode != 0
    assert "kubectl patch llm scaled --type=json" in refused.stderr

    # The way out of a replicas that kubectl scale left behind, as the message gives it.
    refused = kubectl("apply", "-f", "-", given=service("fixed", namespace, autoscaling={"maxReplicas": 3}))
    assert refused.returncode != 0
    patch = '[{"op":"remove","path":"/spec/replicas"}]'
    assert f"kubectl patch llm fixed --type=json -p '{patch}'" in refused.stderr
    kubectl.must("-n", namespace, "patch", "llm", "fixed", "--type=json", "-p", patch)
    kubectl.must("apply", "-f", "-", given=service("fixed", namespace, autoscaling={"maxReplicas": 3}))


CRD = "llmservices.llmfleet.dev"

BYPASSES: dict[str, tuple[dict[str, Any], str]] = {
    "one": ({"model": 7, "engine": {"extraArgs": "--port"}, "ofAnotherVersion": {"a": [1]}}, "spec.model"),
    "two": ({"accelerator": None, "autoscaling": [], "template": "none"}, "spec.template"),
    "three": ({"autoscaling": {"minReplicas": 5, "maxReplicas": 2}, "replicas": 3}, "minReplicas must not exceed maxReplicas"),
}
"""What no schema of today lets in: an older one did, or somebody restored a backup."""


@contextmanager
def _schema_that_takes_everything(kubectl: Kubectl) -> Iterator[None]:
    """Replace the CRD's schema for a while."""
    found = kubectl.get("crd", CRD, "default")
    assert found is not None
    versions = found["spec"]["versions"]
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}

    def patch(content: list[dict[str, Any]]) -> None:
        kubectl.must("patch", "crd", CRD, "--type=merge", "-p", json.dumps({"spec": {"versions": content}}))

    patch([{**version, "schema": schema} for version in versions])
    try:
        yield
    finally:
        patch(versions)


async def test_an_object_that_bypassed_todays_schema_crashes_nobody(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    strange = [service(name, namespace, **spec) for name, (spec, _) in BYPASSES.items()]

    def stored() -> bool:
        # The API server takes up another schema a moment after it was written.
        kubectl.must("apply", "--validate=false", "-f", "-", given=strange)
        return True

    with _schema_that_takes_everything(kubectl):
        await eventually(stored, what="the API server takes everything")
    await eventually(lambda: kubectl("apply", "--dry-run=server", "-f", "-", given=service("x", namespace, model=7)).returncode != 0, what="today's schema")
    kubectl.must("apply", "-f", "-", given=service("good", namespace))

    async def good() -> bool:
        return await client.get(DEPLOYMENT, namespace, "good-engine") is not None

    await eventually(good, what="one bad object concerns no other")
    await eventually(operator.is_ready, what="the operator is ready")

    async def named(name: str, message: str) -> bool:
        accepted = condition(await status_of(client, namespace, name), "Accepted")
        assert (accepted["status"], accepted["reason"]) == ("False", "Invalid")
        assert message in accepted["message"]
        return True

    for name, (_, message) in BYPASSES.items():
        await eventually(partial(named, name, message), what=f"{name} is named invalid")
        assert await client.get(DEPLOYMENT, namespace, f"{name}-engine") is None
