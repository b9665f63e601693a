import json
from typing import Any

import pytest

from llmfleet.names import Reason
from llmfleet.reconcile import remedies
from llmfleet.reconcile.failures import Ended, reason_and_message, worst


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": list(containers), "initContainerStatuses": list(init), **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"name": "engine", "image": "vllm:1", "ready": False, "state": {"waiting": {"reason": reason, "message": message}}}


def crashed(message: str) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}
    return waiting("CrashLoopBackOff") | {"lastState": ended}


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_both_faces_of_a_failed_pull_read_the_same(reason: str) -> None:
    found = worst([pod(waiting(reason, "words that alternate"))])
    assert found is not None
    assert found.reason is Reason.IMAGE_PULL_FAILED
    assert found.message.startswith("image vllm:1 of container engine cannot be pulled; correct spec.engine.image")
    assert found.final


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (json.dumps({"reason": "OutOfMemory", "message": "CUDA out of memory"}), "container engine: OutOfMemory: CUDA out of memory"),
        ("ValueError: no\n", "container engine: ValueError: no"),
        ("", "container engine: exit code 1"),
        ("[1]", "container engine: [1]"),
        pytest.param("[" * 4096, "container engine: " + "[" * 4096, id="nested beyond measure"),
        ('{"other": 1}', 'container engine: {"other": 1}'),
    ],
)
def test_a_crash_is_told_in_the_engines_words(message: str, told: str) -> None:
    found = worst([pod(crashed(message))])
    assert found is not None
    assert (found.reason, found.message) == (Reason.CRASH_LOOP, told)


def test_no_node_is_told_in_the_schedulers_words_and_may_pass() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    found = worst([pod(conditions=[condition])])
    assert found is not None
    assert (found.reason, found.message, found.final) == (Reason.UNSCHEDULABLE, "0/3 nodes: no gpu", False)


def test_a_missing_secret_is_a_configuration_error() -> None:
    found = worst([pod(waiting("CreateContainerConfigError", 'secret "hf" not found'))])
    assert found is not None
    assert found.reason is Reason.CONFIG_ERROR
    assert found.message.startswith('container engine: secret "hf" not found; create the Secret, or correct its name in spec.model.credentials')


def test_a_failing_init_container_is_named() -> None:
    found = worst([pod(waiting("PodInitializing"), init=(crashed("no space") | {"name": "runtime"},))])
    assert found is not None
    assert found.message == "container runtime: no space"


def test_an_evicted_pod_without_containers_says_why() -> None:
    found = worst([{"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}])
    assert found is not None
    assert (found.reason, found.final) == (Reason.POD_REFUSED, False)
    assert found.message.startswith("Evicted: low on memory; have spec.template.spec request the memory")


def test_an_evicted_pod_is_forgotten_where_another_has_taken_its_place() -> None:
    evicted = {"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}
    assert worst([evicted, pod({"name": "engine", "ready": False, "state": {"running": {}}})]) is None


def test_one_crash_may_be_chance_a_second_is_a_loop() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "x"}}
    running = {"name": "engine", "ready": False, "state": {"running": {}}, "lastState": ended}
    for restarts, final in ((1, False), (2, True)):
        found = worst([pod({**running, "restartCount": restarts})])
        assert found is not None
        assert (found.reason, found.final) == (Reason.CRASH_LOOP, final)


def test_a_pod_that_is_being_deleted_has_no_failure() -> None:
    going = pod(crashed("killed"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert worst([going]) is None


def test_what_ended_well_is_no_failure() -> None:
    done = {"name": "runtime", "ready": False, "state": {"terminated": {"exitCode": 0}}}
    assert worst([pod(init=(done,))]) is None


def test_what_a_person_must_mend_is_told_first_in_any_order() -> None:
    pods = [pod(waiting("ErrImagePull")), pod(crashed("x"))]
    assert worst(pods) == worst(reversed(pods))
    assert (found := worst(pods)) is not None
    assert found.reason is Reason.CRASH_LOOP


def test_half_a_surrogate_pair_is_not_carried_on() -> None:
    assert reason_and_message('{"reason": "R", "message": "a \\ud800 b"}') == Ended("R", "a ? b")


def test_a_crash_is_told_with_its_remedy() -> None:
    message = {"reason": "KVCacheTooSmall", "message": "too small", "remedy": "lower spec.model.maxLength to 384", "state": "Starting", "exitCode": 1}
    found = worst([pod(crashed(json.dumps(message)))])
    assert found is not None
    assert found.message == "container engine: KVCacheTooSmall: too small; lower spec.model.maxLength to 384"
    assert reason_and_message(json.dumps(message)) == Ended("KVCacheTooSmall", "too small", "lower spec.model.maxLength to 384", "Starting")


def test_what_the_kernel_ended_is_told_with_its_limit_and_not_with_the_end_of_the_log() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "INFO 11-21 loading"}}
    killed = pod(waiting("CrashLoopBackOff") | {"lastState": last})
    killed["spec"] = {"containers": [{"name": "engine", "resources": {"limits": {"memory": "8Gi"}}}]}
    found = worst([killed])
    assert found is not None
    assert found.message.startswith("container engine: OutOfMemory: the kernel ended the container at its memory limit of 8Gi; raise the memory limit")


def unschedulable(message: str, **spec: Any) -> str:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = worst([pod(conditions=[condition]) | {"spec": spec}])
    assert found is not None
    return found.message


def test_what_no_node_has_enough_of_is_told_with_what_is_asked() -> None:
    sidecar = {"name": "sidecar", "resources": {"requests": {"cpu": "1"}}}
    engine = {"name": "engine", "resources": {"requests": {"cpu": "24"}, "limits": {"nvidia.com/gpu": "8"}}}
    words = "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    told = unschedulable(words, containers=[sidecar, engine])
    assert told.startswith(words)
    assert "; a replica asks for 24 cpu on one node: free as much or add a node that has it, or lower the requests in spec.template.spec" in told
    assert told.count("a replica asks for 8 nvidia.com/gpu on one node: free as much or add a node that has it, or lower spec.parallelism") == 1


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("0/2 nodes are available: 2 node(s) had untolerated taint(s).", "spec.template.spec.tolerations"),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "(node selector gpu=h100)"),
        ('0/2 nodes are available: persistentvolumeclaim "models" not found.', "create the claim"),
        ("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "storage class"),
        ("0/2 nodes are available: 2 node(s) had volume node affinity conflict.", "every node can mount"),
    ],
)
def test_why_no_node_takes_a_pod_is_told_with_the_field(words: str, remedy: str) -> None:
    assert remedy in unschedulable(words, nodeSelector={"gpu": "h100"})


@pytest.mark.parametrize(
    ("reason", "words", "meaning"),
    [
        ("ErrImagePull", 'rpc error: code = NotFound desc = failed to resolve "r/x:1": r/x:1: not found', "the registry has no such image"),
        ("ImagePullBackOff", 'Back-off pulling image "r/x:1": ErrImagePull: rpc error: r/x:1: not found', "the registry has no such image"),
        ("ErrImagePull", "failed to authorize: failed to fetch oauth token: 401 Unauthorized", "the registry refuses"),
        ("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout", "the registry cannot be reached"),
        ("ErrImagePull", "no match for platform in manifest: not found", "the image has no variant for the node's processor"),
    ],
)
def test_why_an_image_cannot_be_pulled_is_told_without_what_changes(reason: str, words: str, meaning: str) -> None:
    found = worst([pod(waiting(reason, words))])
    assert found is not None
    assert f"cannot be pulled ({meaning}" in found.message
    assert "10.0.0.1" not in found.message


def test_the_runtimes_image_is_the_installations() -> None:
    found = worst([pod(init=(waiting("ErrImagePull") | {"name": "runtime"},))])
    assert found is not None
    assert found.message.endswith("correct runtimeImage in the values of the llmfleet chart; the namespaces of services must be able to pull it")


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ({"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."}, "spec.model.cache"),
        ({"reason": "Evicted", "message": 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".'}, "sizeLimit"),
        (
            {"reason": "UnexpectedAdmissionError", "message": "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu"},
            "device plugin",
        ),
        ({"reason": "OutOfcpu", "message": "Pod was rejected"}, "scheduled by itself"),
        ({"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."}, "shutting down"),
    ],
)
def test_a_pod_that_its_node_gave_up_says_what_to_do(status: dict[str, Any], remedy: str) -> None:
    found = worst([{"metadata": {"name": "p"}, "status": {"phase": "Failed", **status}}])
    assert found is not None
    assert remedy in found.message


def test_a_container_that_cannot_be_made_says_what_to_do() -> None:
    for words, remedy in (
        ("couldn't find key token in Secret default/hf", "add the key"),
        ('configmap "templates" not found', "spec.model.chatTemplate"),
        ('exec: "python3": executable file not found in $PATH', "spec.engine.image"),
        ("container has runAsNonRoot and image will run as root", "runAsUser"),
    ):
        found = worst([pod(waiting("CreateContainerConfigError", words))])
        assert found is not None
        assert found.message.startswith(f"container engine: {words}; ")
        assert remedy in found.message


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ('pods "x-engine-5b-{}" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1', "ResourceQuota"),
        ('pods "x-engine-5b-{}" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes', "profile of the namespace"),
        ('pods "x-engine-5b-{}" is forbidden: maximum cpu usage per Container is 2, but limit is 4', "LimitRange"),
        ('pods "x-engine-5b-{}" is forbidden: no PriorityClass with name high was found', "priorityClassName"),
        ('pods "x-engine-5b-{}" is forbidden: error looking up service account ns/x: serviceaccount "x" not found', "serviceAccountName"),
        ('admission webhook "policy.example" denied the request: no images of strangers', "the policy behind that webhook"),
    ],
)
def test_why_no_pod_can_be_made_is_told_without_its_name_and_with_what_to_do(words: str, remedy: str) -> None:
    told = remedies.with_creation(words.format("abcde"))
    assert told == remedies.with_creation(words.format("fghij"))
    assert remedy in told


def test_what_nobody_knows_of_is_told_as_it_is() -> None:
    assert remedies.with_creation("the unknown") == "the unknown"
