"""What spec.template may not touch, and what it may."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet import names
from llmfleet.api.pod_shape import pod_template
from llmfleet.planning import reserved
from llmfleet.planning.checks import CHECKS
from llmfleet.planning.checks import template as checks
from tests.unit.planning.checks.answers import fields_found, found, only

ROOT = "spec.template.spec"


def pod(**spec: Any) -> dict[str, Any]:
    return {"template": {"spec": spec}}


def engine(**container: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "engine", **container}])


def mounts(*, volumes: list[str], paths: dict[str, str], container: str = "engine") -> dict[str, Any]:
    """A template with volumes and mounts: volume -> path."""
    given = [{"name": name, "mountPath": path} for name, path in paths.items()]
    return pod(volumes=[{"name": name, "emptyDir": {}} for name in volumes], containers=[{"name": container, "volumeMounts": given}])


@pytest.mark.parametrize(
    "key", ["llmfleet.dev/role", "llmfleet.dev/anything", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"]
)
def test_the_operators_labels_are_refused(key: str) -> None:
    assert fields_found(checks.reserved_labels, template={"metadata": {"labels": {key: "x"}}}) == [f"spec.template.metadata.labels[{key}]"]


def test_the_operators_annotations_are_refused() -> None:
    assert only(checks.reserved_labels, template={"metadata": {"annotations": {"llmfleet.dev/config": "x"}}}).remedy == "choose another key"


def test_other_labels_are_the_users() -> None:
    metadata = {"labels": {"team": "chat", "app.kubernetes.io/part-of": "x", "llmfleet.dev.example.com/a": "b"}, "annotations": {"example.com/a": "b"}}
    assert found(checks.reserved_labels, template={"metadata": metadata}) == []


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("terminationGracePeriodSeconds", 60, "set spec.rollout.drainTimeout"),
        ("serviceAccountName", "admin", "an engine needs no access"),
        ("serviceAccount", "admin", "an engine needs no access"),
        ("automountServiceAccountToken", True, "an engine needs no access"),
        ("enableServiceLinks", True, "remove it"),
        ("restartPolicy", "Never", "remove it"),
        ("hostNetwork", True, "the Service leads to the pod"),
        ("hostPID", True, "remove it"),
        ("hostIPC", True, "/dev/shm is a volume"),
        ("shareProcessNamespace", True, "remove it"),
        ("nodeName", "node-1", "set nodeSelector or affinity"),
        ("ephemeralContainers", [], "kubectl debug"),
        ("activeDeadlineSeconds", 60, "remove it"),
    ],
)
def test_a_field_of_the_pod_that_the_operator_keeps_is_refused_with_where_to_say_it(field: str, value: object, remedy: str) -> None:
    violation = only(checks.kept_fields, **pod(**{field: value}))
    assert violation.field == f"{ROOT}.{field}"
    assert remedy in violation.remedy
    assert fields_found(checks.kept_fields, **pod(**{field: None})) == [f"{ROOT}.{field}"]


def test_every_kept_field_is_one_of_a_pods() -> None:
    spec = pod_template().fields["spec"]
    container = spec.fields["containers"].inner
    assert container is not None
    assert {*reserved.POD_FIELDS, *reserved.KEPT_PARTS} <= spec.fields.keys()
    assert {*reserved.ENGINE_FIELDS, *reserved.KEPT_ENGINE_PARTS} <= container.fields.keys()


def test_what_the_pod_is_anyway_may_be_written() -> None:
    fields = {"automountServiceAccountToken": False, "enableServiceLinks": False, "restartPolicy": "Always", "hostNetwork": False, "hostPID": False}
    assert found(checks.kept_fields, **pod(**fields)) == []


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("command", ["vllm"], "spec.engine.extraArgs"),
        ("args", ["--seed=1"], "spec.engine.extraArgs"),
        ("image", "mine:1", "spec.engine.image"),
        ("env", [{"name": "A", "value": "1"}], "spec.engine.env"),
        ("envFrom", [{"secretRef": {"name": "a"}}], "spec.engine.envFrom"),
        ("livenessProbe", {}, "remove it"),
        ("readinessProbe", {}, "remove it"),
        ("startupProbe", {}, "remove it"),
        ("lifecycle", {"preStop": {"sleep": {"seconds": 5}}}, "spec.rollout.drainTimeout"),
        ("terminationMessagePath", "/x", "remove it"),
    ],
)
def test_a_field_of_the_engine_that_has_another_owner_is_refused_with_it(field: str, value: object, remedy: str) -> None:
    violation = only(checks.kept_fields, **engine(**{field: value}))
    assert violation.field == f"{ROOT}.containers[0].{field}"
    assert remedy in violation.remedy


def test_the_fields_of_other_containers_are_their_own() -> None:
    sidecar = {"name": "sidecar", "image": "x", "command": ["y"], "env": [{"name": "A", "value": "1"}], "lifecycle": {}, "readinessProbe": {}}
    assert found(checks.kept_fields, **pod(containers=[sidecar])) == []


@pytest.mark.parametrize("part", ["containers", "initContainers", "volumes", "securityContext"])
def test_a_part_that_holds_the_operators_cannot_be_taken_away(part: str) -> None:
    assert "cannot be taken away" in only(checks.kept_fields, **pod(**{part: None})).rule


@pytest.mark.parametrize("part", ["ports", "resources", "volumeMounts", "securityContext"])
def test_a_part_of_the_engine_that_holds_the_operators_cannot_be_taken_away(part: str) -> None:
    assert "cannot be taken away" in only(checks.kept_fields, **engine(**{part: None})).rule


def test_limits_that_hold_the_accelerators_cannot_be_taken_away() -> None:
    assert fields_found(checks.kept_fields, **engine(resources={"limits": None})) == [f"{ROOT}.containers[0].resources.limits"]
    assert found(checks.kept_fields, **engine(resources={"limits": None}), accelerator={"profile": "cpu"}) == []
    assert found(checks.kept_fields, **engine(resources={"requests": None, "limits": {"memory": "1Gi"}})) == []


@pytest.mark.parametrize(
    ("part", "name"), [("initContainers", "runtime"), ("initContainers", "adapters-0"), ("initContainers", "engine"), ("containers", "runtime")]
)
def test_the_operators_containers_are_not_touched(part: str, name: str) -> None:
    assert fields_found(checks.reserved_containers, **pod(**{part: [{"name": "mine"}, {"name": name}]})) == [f"{ROOT}.{part}[1].name"]


def test_the_engine_and_ones_own_containers_are() -> None:
    assert found(checks.reserved_containers, **pod(containers=[{"name": "engine"}, {"name": "adapter-manager"}], initContainers=[{"name": "warm"}])) == []


@pytest.mark.parametrize("name", ["engine", "sidecar"])
@pytest.mark.parametrize(
    ("port", "part"), [({"containerPort": 8000}, "containerPort"), ({"containerPort": 8001}, "containerPort"), ({"containerPort": 1, "name": "http"}, "name")]
)
def test_the_engines_ports_are_given_away_in_the_whole_pod(name: str, port: dict[str, Any], part: str) -> None:
    assert fields_found(checks.reserved_ports, **pod(containers=[{"name": name, "ports": [port]}])) == [f"{ROOT}.containers[0].ports[0].{part}"]


def test_other_ports_are_free() -> None:
    assert found(checks.reserved_ports, **engine(ports=[{"name": "zmq", "containerPort": 5557}])) == []


@pytest.mark.parametrize("name", ["llmfleet-shm", "llmfleet-model", "llmfleet-claim-0", "llmfleet-anything"])
def test_a_volume_of_the_operators_name_is_refused(name: str) -> None:
    assert fields_found(checks.reserved_volumes, **pod(volumes=[{"name": "mine"}, {"name": name}])) == [f"{ROOT}.volumes[1].name"]


def test_every_volume_of_the_operators_is_covered() -> None:
    volumes = [value for key, value in vars(names).items() if key.startswith("VOLUME_")]
    assert all(name.startswith(names.VOLUME_PREFIX) for name in volumes)


@pytest.mark.parametrize("container", ["engine", "sidecar"])
def test_a_mount_without_a_volume_is_refused(container: str) -> None:
    assert fields_found(checks.misplaced_mounts, **mounts(volumes=[], paths={"data": "/data"}, container=container)) == [
        f"{ROOT}.containers[0].volumeMounts[0].name"
    ]


def test_the_operators_volumes_are_not_mounted_elsewhere() -> None:
    assert fields_found(checks.misplaced_mounts, **mounts(volumes=[], paths={"llmfleet-credentials": "/keys"}, container="sidecar")) != []


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/dev",
            "/dev/shm",
            "/dev/shm/",
            "/tmp",
            "/home",
            "/home/vllm",
            "/llmfleet/x",
            "/models/x",
            "//models/./x",
            "/data/../models",
            "/models/../models/x",
        ),
        *("/data/../models", "/models/../models/x"),
        *("/adapters", "/adapter-list", "/claims/x", "/images", "/chat-template/x", "/credentials", "/compile-cache/x"),
    ],
)
def test_a_mount_over_or_into_the_operators_is_refused(path: str) -> None:
    assert only(checks.misplaced_mounts, **mounts(volumes=["data"], paths={"data": path})).field.endswith("volumeMounts[0].mountPath")


@pytest.mark.parametrize("path", ["/data", "/home/vllm/.cache", "/tmp/compile", "/models2", "/dev/hugepages", "/models/../data"])
def test_a_mount_beside_the_operators_is_free(path: str) -> None:
    assert found(checks.misplaced_mounts, **mounts(volumes=["data"], paths={"data": path})) == []


def test_other_containers_mount_where_they_like() -> None:
    assert found(checks.misplaced_mounts, **mounts(volumes=["data"], paths={"data": "/models"}, container="sidecar")) == []


def test_every_path_that_the_operator_mounts_is_covered() -> None:
    paths = {value for key, value in vars(names).items() if key.endswith("_DIR")}
    assert paths == set(reserved.MOUNT_PATHS)


def test_the_number_of_accelerators_belongs_to_parallelism() -> None:
    resources = {"limits": {"nvidia.com/gpu": 2, "cpu": 4}, "requests": {"memory": "8Gi"}}
    violation = only(checks.accelerators_said_twice, **engine(resources=resources), accelerator={"profile": "cpu"})
    assert (violation.field, violation.value) == (f"{ROOT}.containers[0].resources.limits[nvidia.com/gpu]", "2")
    assert "parallelism" in violation.remedy
    assert found(checks.accelerators_said_twice, **engine(resources={"limits": {"memory": "1Gi"}})) == []


def test_a_sidecar_takes_no_accelerator_and_none_is_taken_away() -> None:
    sidecar = {"name": "sidecar", "resources": {"limits": {"nvidia.com/gpu": 1}}}
    assert len(found(checks.accelerators_said_twice, **pod(initContainers=[sidecar]))) == 1
    assert len(found(checks.accelerators_said_twice, **engine(resources={"limits": {"nvidia.com/gpu": None}}))) == 1


WORDS = st.sampled_from(
    [
        *(
            "containers",
            "initContainers",
            "volumes",
            "name",
            "engine",
            "ports",
            "containerPort",
            "volumeMounts",
            "mountPath",
            "resources",
            "limits",
            "requests",
        ),
        *("securityContext", "capabilities", "add", "drop", "sysctls", "seccompProfile", "seLinuxOptions", "type", "projected", "sources", "nvidia.com/gpu"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(spec=st.dictionaries(WORDS, VALUES, max_size=4))
def test_an_ill_typed_template_breaks_no_check(spec: dict[str, Any]) -> None:
    """The check of the shape tells what is ill-typed; the others must not fall over it."""
    for check in CHECKS:
        if "template" in check.fields:
            found(check, **pod(**spec))
