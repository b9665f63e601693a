"""spec.template as Kubernetes would read it."""

from typing import Any

import pytest

from llmfleet.api.pod_shape import pod_template
from llmfleet.planning.checks.template_shape import template_shape
from tests.unit.planning.checks.answers import fields_found, found, only

ROOT = "spec.template.spec"


def pod(**spec: Any) -> dict[str, Any]:
    return {"template": {"spec": spec}}


def engine(**container: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "engine", **container}])


def test_a_misspelt_field_is_named_with_the_nearest() -> None:
    violation = only(template_shape, **pod(nodeSelectors={}))
    assert violation.message == f"{ROOT}.nodeSelectors: is no field of a pod in Kubernetes 1.36; did you mean nodeSelector?"


def test_a_field_that_looks_like_none_is_named_with_where_to_look() -> None:
    assert "kubectl explain" in only(template_shape, **pod(xyzzy=1)).remedy


@pytest.mark.parametrize(
    ("spec", "path", "rule"),
    [
        ({"containers": {}}, "containers", "must be a list"),
        ({"containers": ["engine"]}, "containers[0]", "must be a map of fields"),
        ({"nodeSelector": "gpu"}, "nodeSelector", "must be a map"),
        ({"nodeSelector": {"gpu": True}}, "nodeSelector[gpu]", "must be a string: put it in quotes"),
        ({"nodeSelector": {"count": 8}}, "nodeSelector[count]", "must be a string: put it in quotes"),
        ({"priority": "high"}, "priority", "must be a whole number, without quotes"),
        ({"priority": True}, "priority", "must be a whole number, without quotes"),
        ({"setHostnameAsFQDN": "yes"}, "setHostnameAsFQDN", "must be true or false, without quotes"),
        ({"tolerations": [{"tolerationSeconds": "30"}]}, "tolerations[0].tolerationSeconds", "must be a whole number, without quotes"),
        ({"overhead": {"cpu": "abc"}}, "overhead[cpu]", "must be a Kubernetes quantity such as 500m, 2 or 16Gi"),
        (
            {"containers": [{"name": "x", "ports": [{"containerPort": 1}], "livenessProbe": {"httpGet": {"port": 1.5}}}]},
            "containers[0].livenessProbe.httpGet.port",
            "must be a whole number or a string",
        ),
    ],
)
def test_a_value_of_another_type_is_named_with_its_path(spec: dict[str, Any], path: str, rule: str) -> None:
    violation = only(template_shape, **pod(**spec))
    assert (violation.field, violation.rule) == (f"{ROOT}.{path}", rule)


@pytest.mark.parametrize("amount", ["abc", "1 Gi", "1GB", True, [1]])
def test_what_is_no_quantity_is_refused(amount: object) -> None:
    assert only(template_shape, **engine(resources={"limits": {"cpu": amount}})).field == f"{ROOT}.containers[0].resources.limits[cpu]"


@pytest.mark.parametrize("amount", ["500m", "16Gi", 2, 0.5, "1e3"])
def test_a_quantity_may_be_a_number(amount: object) -> None:
    assert found(template_shape, **engine(resources={"limits": {"cpu": amount}})) == []


def test_a_value_outside_a_closed_list_is_named_with_the_list() -> None:
    violation = only(template_shape, **pod(tolerations=[{"key": "a", "operator": "Exist"}]))
    assert (violation.field, violation.value) == (f"{ROOT}.tolerations[0].operator", "Exist")
    assert "Exists" in violation.remedy


def test_what_a_field_needs_is_asked_for() -> None:
    assert fields_found(template_shape, **pod(topologySpreadConstraints=[{"topologyKey": "zone"}])) == [
        f"{ROOT}.topologySpreadConstraints[0].maxSkew",
        f"{ROOT}.topologySpreadConstraints[0].whenUnsatisfiable",
    ]


def test_an_item_is_known_by_its_key() -> None:
    assert fields_found(template_shape, **pod(containers=[{"image": "x"}])) == [f"{ROOT}.containers[0].name"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"volumes": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "volumes[2]"),
        ({"containers": [{"name": "x", "env": [{"name": "A"}, {"name": "A"}]}]}, "containers[0].env[1]"),
        ({"containers": [{"name": "x", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]}]}, "containers[0].ports[1]"),
    ],
)
def test_two_items_of_the_same_key_are_refused(spec: dict[str, Any], path: str) -> None:
    """The API server answers such an apply with 500 and no reason."""
    assert fields_found(template_shape, **pod(**spec)) == [f"{ROOT}.{path}"]


@pytest.mark.parametrize("key", [[], {}, None, 1.5])
def test_a_key_that_is_none_is_ill_typed_and_no_more(key: object) -> None:
    assert fields_found(template_shape, **pod(volumes=[{"name": key}, {"name": key}]))[0] == f"{ROOT}.volumes[0].name"


def test_ports_of_two_protocols_are_two() -> None:
    assert found(template_shape, **pod(containers=[{"name": "x", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}]}])) == []


@pytest.mark.parametrize("directive", ["$patch", "$retainKeys", "$deleteFromPrimitiveList/finalizers", "$setElementOrder/containers"])
def test_a_directive_of_a_patch_is_refused(directive: str) -> None:
    violation = only(template_shape, **engine(**{directive: "replace"}))
    assert violation.field == f"{ROOT}.containers[0].{directive}"
    assert "null" in violation.remedy


def test_a_null_takes_away_and_is_well_typed_everywhere() -> None:
    assert found(template_shape, **pod(affinity=None, nodeSelector={"gpu": None}, dnsConfig={"options": None})) == []


def test_a_null_is_no_item() -> None:
    assert fields_found(template_shape, **pod(tolerations=[None])) == [f"{ROOT}.tolerations[0]"]


def test_a_pod_with_everything_in_it_is_taken() -> None:
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}
    }
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"a": "b"}}}
    sidecar = {
        "name": "sidecar",
        "image": "x",
        "env": [{"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}}],
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
        "readinessProbe": {"httpGet": {"port": "http", "httpHeaders": [{"name": "a", "value": "b"}]}},
    }
    volume = {"name": "all", "projected": {"sources": [{"configMap": {"name": "a", "items": [{"key": "a", "path": "b"}]}}]}}
    spec = {
        **{"affinity": affinity, "topologySpreadConstraints": [spread], "containers": [sidecar], "volumes": [volume]},
        **{"imagePullSecrets": [{"name": "a"}], "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}], "dnsConfig": {"nameservers": ["10.0.0.1"]}},
        **{"priorityClassName": "high", "schedulerName": "volcano", "runtimeClassName": "nvidia"},
    }
    assert found(template_shape, **pod(**spec)) == []


def test_the_table_knows_the_keys_of_the_lists_that_people_override() -> None:
    spec = pod_template().fields["spec"]
    inner = spec.fields["containers"].inner
    assert inner is not None
    keys = {name: dict(shape.keys) for name, shape in {**spec.fields, **inner.fields}.items() if shape.kind == "list"}
    assert keys["containers"] == keys["initContainers"] == keys["volumes"] == keys["env"] == keys["imagePullSecrets"] == {"name": ""}
    assert (keys["volumeMounts"], keys["ports"]) == ({"mountPath": ""}, {"containerPort": "", "protocol": "TCP"})
    assert keys["tolerations"] == keys["args"] == keys["envFrom"] == {}
