import json
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from llmfleet import names
from llmfleet.kube.kinds import DEPLOYMENT
from llmfleet.kube.objects import Object
from llmfleet.kube.slim import slim_child, slim_claim, slim_job, slim_owner, slim_pod
from llmfleet.kube.store import Store

FIELDS: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {f"f:field{number}": {"f:deeper": {}} for number in range(150)}}}}
"""As large as the entry of a real engine Deployment (4.7 kB)."""


def deployment(number: int = 0) -> Object:
    conditions = [
        {"type": kind, "status": "True", "reason": "Fine", "message": "All is well.", "lastTransitionTime": "2026-11-21T09:00:00Z", "lastUpdateTime": "x"}
        for kind in ("Available", "Progressing")
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"service-{number}-engine",
            "namespace": "models",
            "uid": f"00000000-0000-0000-0000-{number:012}",
            "resourceVersion": str(1000000 + number),
            "generation": 3,
            "creationTimestamp": "2026-11-21T09:00:00Z",
            "labels": {names.LABEL_SERVICE: f"service-{number}", names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_NAME: "vllm"},
            "annotations": {names.ANNOTATION_APPLIED: f"{number:016x}", "deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [{"apiVersion": names.API_VERSION, "kind": "LLMService", "name": f"service-{number}", "uid": str(number), "controller": True}],
            "managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
                {"manager": names.FIELD_MANAGER, "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": names.FIELD_MANAGER, "operation": "Apply", "fieldsV1": FIELDS},
            ],
        },
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "engine", "args": ["x"] * 50}]}}},
        "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2, "observedGeneration": 3, "conditions": conditions},
    }


def test_of_a_child_ownership_replicas_and_status_are_kept() -> None:
    full = deployment()
    slim = slim_child(full)
    assert json.loads(slim["owned"]) == FIELDS
    assert slim["spec"] == {"replicas": 2}
    assert slim["status"] == full["status"]
    assert slim["metadata"]["annotations"] == {names.ANNOTATION_APPLIED: "0" * 16}
    assert "managedFields" not in slim["metadata"]


def test_of_a_list_of_adapters_nothing_is_kept_but_who_owns_it() -> None:
    owned: dict[str, Any] = {"f:data": {"f:adapters.json": {}}}
    metadata = {**deployment()["metadata"], "managedFields": [{"manager": names.FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}]}
    slim = slim_child({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"adapters.json": "[]"}})
    assert set(slim) == {"apiVersion", "kind", "metadata", "owned"}
    assert json.loads(slim["owned"]) == owned


def test_a_child_that_we_did_not_apply_is_not_owned() -> None:
    full = deployment()
    del full["metadata"]["managedFields"][2]
    assert slim_child(full)["owned"] == ""


@pytest.mark.parametrize("slim", [slim_child, slim_owner, slim_pod])
def test_slimming_again_changes_nothing(slim: Callable[[Object], Object]) -> None:
    once = slim(deployment())
    assert slim(once) == once


def test_of_an_owner_everything_is_kept_but_who_wrote_it() -> None:
    full = deployment()
    expected = deepcopy(full)
    del expected["metadata"]["managedFields"]
    assert slim_owner(full) == expected


def test_of_a_pod_where_it_runs_and_what_happened_is_kept() -> None:
    status = {"phase": "Running", "podIP": "10.0.0.1", "startTime": "t", "containerStatuses": [{"ready": True}], "qosClass": "Burstable"}
    full = {**deployment(), "kind": "Pod", "spec": {"nodeName": "node", "containers": [{"name": "sidecar", "image": "i"}]}, "status": status}
    slim = slim_pod(full)
    assert slim["spec"] == {"nodeName": "node"}
    assert slim["status"] == {"phase": "Running", "podIP": "10.0.0.1", "startTime": "t", "containerStatuses": [{"ready": True}]}
    assert "annotations" not in slim["metadata"]


def test_of_containers_how_they_fare_is_kept_and_not_what_newer_kubelets_repeat() -> None:
    fares = {"name": "engine", "image": "i", "ready": False, "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}
    repeated = {"containerID": "c", "imageID": "i", "started": True, "resources": {}, "allocatedResources": {}, "volumeMounts": [{"name": "v"}]}
    statuses = {"initContainerStatuses": [fares | repeated], "containerStatuses": [fares | repeated]}
    slim = slim_pod({**deployment(), "kind": "Pod", "spec": {}, "status": statuses})
    assert slim["status"] == {"initContainerStatuses": [fares], "containerStatuses": [fares]}
    assert slim_pod(slim) == slim


def test_of_a_pod_what_it_asks_for_is_kept() -> None:
    """Why no node takes it, and why the kernel ended it, is told with the figures (reconcile.remedies)."""
    asks = {"name": "engine", "resources": {"limits": {"nvidia.com/gpu": "2", "memory": "64Gi"}}}
    fetches = {"name": "runtime", "resources": {"limits": {"memory": "1Gi"}}}
    selector = {"gpu": "h100"}
    spec = {"nodeSelector": selector, "initContainers": [{**fetches, "image": "i"}], "containers": [asks | {"env": []}]}
    full = {**deployment(), "kind": "Pod", "spec": spec}
    assert slim_pod(full)["spec"] == {"nodeSelector": selector, "initContainers": [fetches], "containers": [asks]}


@pytest.mark.parametrize("slim", [slim_child, slim_owner, slim_pod])
def test_keys_are_shared_and_values_are_not_kept_for_ever(slim: Callable[[Object], Object]) -> None:
    """What is interned is immortal from Python 3.12 on: of a value that changes with every write, that would be a leak."""
    one, other = (slim(json.loads(json.dumps(deployment()))) for _ in range(2))
    assert one["kind"] is other["kind"]
    assert one["apiVersion"] is other["apiVersion"]
    for name in ("uid", "resourceVersion", "creationTimestamp"):
        assert one["metadata"][name] == other["metadata"][name]
        assert one["metadata"][name] is not other["metadata"][name]
    for mine, theirs in zip(one["status"], other["status"], strict=True):
        assert mine is theirs
    for mine, theirs in zip(one["status"].get("conditions", ()), other["status"].get("conditions", ()), strict=True):
        assert mine["message"] is not theirs["message"]


def test_the_ownership_of_children_of_one_shape_is_held_once() -> None:
    one, other = (slim_child(json.loads(json.dumps(deployment(number)))) for number in range(2))
    assert one["owned"] is other["owned"]


@pytest.mark.parametrize("count", [300])
def test_a_deployment_costs_less_than_five_kilobytes(count: int) -> None:
    """As watch events bring it, each parsed from its own text."""
    texts = [json.dumps(deployment(number)) for number in range(count)]
    tracemalloc.start()
    store = Store({DEPLOYMENT: slim_child})
    before = tracemalloc.get_traced_memory()[0]
    for text in texts:
        store.upsert(DEPLOYMENT, json.loads(text))
    per_object = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    print(f"{per_object:.0f} bytes")
    assert per_object < 5000


def test_of_a_job_the_attempt_and_its_end_are_kept() -> None:
    noted = {names.ANNOTATION_ATTEMPT: "2", names.ANNOTATION_LAST_FAILURE: "{}", "batch.kubernetes.io/job-tracking": ""}
    full: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "ns", "uid": "u", "annotations": noted, "managedFields": []},
        "spec": {"template": {"spec": {}}},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
    }
    slim = slim_job(full)
    assert slim["metadata"]["annotations"] == {names.ANNOTATION_ATTEMPT: "2", names.ANNOTATION_LAST_FAILURE: "{}"}
    assert slim["status"] == full["status"]
    assert "spec" not in slim
    assert slim_job(slim) == slim


def test_of_a_claim_its_request_is_kept() -> None:
    resources = {"requests": {"storage": "1Gi"}}
    full: Object = {
        "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"resources": resources, "volumeName": "v"},
        "status": {"phase": "Bound", "capacity": {}},
    }
    slim = slim_claim(full)
    assert (slim["spec"], slim["status"]) == ({"resources": resources}, {"phase": "Bound"})
    assert slim_claim(slim) == slim
