"""spec.template stays within the restricted pod security profile."""

from typing import Any

import pytest

from llmfleet.planning.checks.template_security import unrestricted_security, unrestricted_volumes
from tests.unit.planning.checks.answers import fields_found, found, only

ROOT = "spec.template.spec"

POD: list[tuple[dict[str, Any], str]] = [
    ({"runAsNonRoot": False}, "runAsNonRoot"),
    ({"runAsNonRoot": None}, "runAsNonRoot"),
    ({"runAsUser": 0}, "runAsUser"),
    ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile"),
    ({"seccompProfile": None}, "seccompProfile"),
    ({"appArmorProfile": {"type": "Unconfined"}}, "appArmorProfile"),
    ({"seLinuxOptions": {"user": "system_u"}}, "seLinuxOptions.user"),
    ({"seLinuxOptions": {"type": "spc_t"}}, "seLinuxOptions.type"),
    ({"windowsOptions": {"hostProcess": True}}, "windowsOptions"),
    ({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, "sysctls[0]"),
]
CONTAINER: list[tuple[dict[str, Any], str]] = [
    *POD[:-1],
    ({"privileged": True}, "privileged"),
    ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
    ({"allowPrivilegeEscalation": None}, "allowPrivilegeEscalation"),
    ({"procMount": "Unmasked"}, "procMount"),
    ({"capabilities": {"add": ["SYS_ADMIN"]}}, "capabilities.add"),
    ({"capabilities": {"add": ["IPC_LOCK", "NET_BIND_SERVICE"]}}, "capabilities.add"),
    ({"capabilities": {"drop": ["KILL"]}}, "capabilities.drop"),
    ({"capabilities": {"drop": None}}, "capabilities.drop"),
    ({"capabilities": None}, "capabilities"),
]


def pod(**spec: Any) -> dict[str, Any]:
    return {"template": {"spec": spec}}


@pytest.mark.parametrize(("context", "field"), POD)
def test_a_pod_that_leaves_the_profile_is_refused(context: dict[str, Any], field: str) -> None:
    violation = only(unrestricted_security, **pod(securityContext=context))
    assert violation.field == f"{ROOT}.securityContext.{field}"
    assert violation.rule == "is not allowed by the restricted pod security profile"
    assert violation.remedy


@pytest.mark.parametrize(("context", "field"), CONTAINER)
@pytest.mark.parametrize(("part", "name"), [("containers", "engine"), ("containers", "sidecar"), ("initContainers", "warm")])
def test_a_container_that_leaves_the_profile_is_refused(part: str, name: str, context: dict[str, Any], field: str) -> None:
    assert fields_found(unrestricted_security, **pod(**{part: [{"name": name, "securityContext": context}]})) == [f"{ROOT}.{part}[0].securityContext.{field}"]


@pytest.mark.parametrize(
    "context",
    [
        {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "supplementalGroups": [1], "fsGroupChangePolicy": "OnRootMismatch"},
        {"runAsUser": None, "fsGroup": None},
        {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}, "appArmorProfile": {"type": "RuntimeDefault"}},
        {"seLinuxOptions": {"type": "container_t", "level": "s0"}, "sysctls": [{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}]},
    ],
)
def test_a_pod_within_the_profile_is_taken(context: dict[str, Any]) -> None:
    assert found(unrestricted_security, **pod(securityContext=context)) == []


@pytest.mark.parametrize(
    "context",
    [
        {"readOnlyRootFilesystem": False},
        {"runAsUser": 1000},
        {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        {"allowPrivilegeEscalation": False},
        {},
    ],
)
def test_a_container_within_the_profile_is_taken(context: dict[str, Any]) -> None:
    assert found(unrestricted_security, **pod(containers=[{"name": "engine", "securityContext": context}])) == []


def test_a_port_of_the_node_is_refused() -> None:
    ports = [{"containerPort": 1}, {"containerPort": 2, "hostPort": 80}]
    assert fields_found(unrestricted_security, **pod(containers=[{"name": "sidecar", "ports": ports}])) == [f"{ROOT}.containers[0].ports[1].hostPort"]


@pytest.mark.parametrize(
    "context", [[], "x", {"capabilities": "x"}, {"capabilities": {"add": 7}}, {"seccompProfile": "x"}, {"seLinuxOptions": 1, "sysctls": "x"}]
)
def test_an_ill_typed_context_breaks_nothing(context: object) -> None:
    found(unrestricted_security, **pod(securityContext=context, containers=[{"name": "engine", "securityContext": context}]))


@pytest.mark.parametrize("kind", ["hostPath", "nfs", "iscsi", "flexVolume", "azureFile", "gitRepo", "portworxVolume"])
def test_a_volume_that_the_profile_does_not_know_is_refused(kind: str) -> None:
    violation = only(unrestricted_volumes, **pod(volumes=[{"name": "free", "emptyDir": {}}, {"name": "data", kind: {"path": "/"}}]))
    assert (violation.field, violation.value) == (f"{ROOT}.volumes[1].{kind}", "data")
    assert "persistentVolumeClaim" in violation.remedy


@pytest.mark.parametrize("kind", ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "image"])
def test_other_volumes_are_taken(kind: str) -> None:
    assert found(unrestricted_volumes, **pod(volumes=[{"name": "data", kind: {}}])) == []


@pytest.mark.parametrize("source", ["serviceAccountToken", "podCertificate"])
def test_a_projected_identity_is_refused(source: str) -> None:
    projected = {"sources": [{"configMap": {"name": "x"}}, {source: {"path": "token"}}]}
    assert fields_found(unrestricted_volumes, **pod(volumes=[{"name": "data", "projected": projected}])) == [f"{ROOT}.volumes[0].projected.sources[1].{source}"]


@pytest.mark.parametrize("projected", [None, [], "x", {"sources": None}, {"sources": "x"}, {"sources": [None, "serviceAccountToken"]}])
def test_an_ill_typed_projection_breaks_nothing(projected: object) -> None:
    assert found(unrestricted_volumes, **pod(volumes=[{"name": "data", "projected": projected}])) == []
