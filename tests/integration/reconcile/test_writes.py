"""How often the operator writes, counted in the API server's audit log."""

import signal

from e2e.kubectl import Kubectl
from e2e.waiting import eventually, throughout
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, LLMSERVICE
from tests.integration.operator_process import Operator, quiet, service, status_of


async def _twenty(kubectl: Kubectl, client: Client, namespace: str) -> None:
    fixed = [service(f"fixed-{number}", namespace) for number in range(10)]
    scaled = [service(f"scaled-{number}", namespace, autoscaling={"maxReplicas": 3}) for number in range(10)]
    kubectl.must("apply", "-f", "-", given=[*fixed, *scaled])

    async def observed() -> bool:
        return all([(await status_of(client, namespace, item["metadata"]["name"])).get("observedGeneration") == 1 for item in (*fixed, *scaled)])

    await eventually(observed, within_seconds=60)


async def test_twenty_idle_services_cause_no_write_for_a_minute_nor_after_a_kill(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    await _twenty(kubectl, client, namespace)
    before = await quiet(operator, namespace, seconds=7)  # longer than the HPA controller's period: its first conditions are shown

    def nothing_new() -> None:
        assert operator.writes(namespace) == before

    await throughout(nothing_new, seconds=60)

    operator.end(signal.SIGKILL)
    operator.identity = "second"
    operator.start()
    await operator.leading()
    assert await quiet(operator, namespace, seconds=7) == before


async def test_a_field_change_costs_one_write_to_the_workload_and_one_status(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    before = await quiet(operator, namespace)
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model={"source": "pvc://models/tiny", "maxLength": 1024}))
    after = await quiet(operator, namespace)

    assert [str(write) for write in after[len(before) :]] == ["patch deployments one-engine 200", "patch llmservices/status one 200"]


async def test_a_change_that_concerns_only_the_scaler_does_not_touch_the_workload(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, autoscaling={"maxReplicas": 3}))
    before = await quiet(operator, namespace, seconds=7)
    kubectl.must("apply", "-f", "-", given=service("one", namespace, autoscaling={"maxReplicas": 4}))
    after = await quiet(operator, namespace)

    assert [str(write) for write in after[len(before) :]] == ["patch horizontalpodautoscalers one-engine 200", "patch llmservices/status one 200"]


async def test_from_fixed_replicas_to_autoscaling_and_back(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=2))
    await quiet(operator, namespace)
    kubectl.must("apply", "-f", "-", given=service("one", namespace, autoscaling={"maxReplicas": 3}))
    await quiet(operator, namespace)
    deployment = await client.get(DEPLOYMENT, namespace, "one-engine")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 2, "the hand-over resets nothing"
    assert await client.get(HORIZONTAL_POD_AUTOSCALER, namespace, "one-engine") is not None

    kubectl.must("apply", "-f", "-", given=service("one", namespace, replicas=1))
    await quiet(operator, namespace)
    deployment = await client.get(DEPLOYMENT, namespace, "one-engine")
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 1
    assert await client.get(HORIZONTAL_POD_AUTOSCALER, namespace, "one-engine") is None, "what is no longer desired is pruned"


async def test_the_users_object_is_never_written(operator: Operator, kubectl: Kubectl, client: Client, namespace: str) -> None:
    kubectl.must("apply", "--server-side", "-f", "-", given=service("one", namespace))
    await quiet(operator, namespace)
    stored = await client.get(LLMSERVICE, namespace, "one")

    assert stored is not None
    assert "finalizers" not in stored["metadata"]
    assert "annotations" not in stored["metadata"]
    assert {(entry["manager"], entry.get("subresource")) for entry in stored["metadata"]["managedFields"]} == {
        ("kubectl", None),
        ("llmfleet-status", "status"),
    }
