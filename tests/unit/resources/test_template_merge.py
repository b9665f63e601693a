"""spec.template over the rendered pod: each rule of a strategic merge."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmfleet.api.pod_shape import pod_template
from llmfleet.resources.template_merge import merged

SPEC = pod_template().fields["spec"]
BASE: dict[str, Any] = {
    "nodeSelector": {"disk": "fast", "gpu": "t4"},
    "tolerations": [{"key": "a"}],
    "securityContext": {"runAsUser": 2000, "fsGroup": 0},
    "volumes": [{"name": "one", "emptyDir": {}}],
    "containers": [
        {
            "name": "engine",
            "args": ["a", "b"],
            "env": [{"name": "HOME", "value": "/home"}, {"name": "USER", "value": "vllm"}],
            "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
            "volumeMounts": [{"name": "one", "mountPath": "/one", "readOnly": True}],
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
        }
    ],
}


def over(patch: dict[str, Any]) -> dict[str, Any]:
    before = deepcopy((BASE, patch))
    result: dict[str, Any] = merged(BASE, patch, SPEC)
    assert before == (BASE, patch), "an argument was changed"
    return result


def engine(patch: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = over({"containers": [{"name": "engine", **patch}]})["containers"][0]
    return result


def test_maps_and_objects_are_merged_field_by_field() -> None:
    assert over({"nodeSelector": {"zone": "a", "gpu": "h100"}})["nodeSelector"] == {"disk": "fast", "gpu": "h100", "zone": "a"}
    assert over({"securityContext": {"fsGroup": 7}})["securityContext"] == {"runAsUser": 2000, "fsGroup": 7}
    assert engine({"resources": {"limits": {"memory": "1Gi"}}})["resources"] == {"limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}


def test_a_null_takes_away() -> None:
    assert over({"nodeSelector": {"gpu": None}})["nodeSelector"] == {"disk": "fast"}
    assert "tolerations" not in over({"tolerations": None})


def test_a_null_of_something_that_is_not_there_leaves_no_trace() -> None:
    assert over({"affinity": None, "dnsConfig": {"options": None}}) == {**BASE, "dnsConfig": {}}


def test_items_are_merged_by_name_in_their_place_and_new_ones_follow() -> None:
    containers = over({"containers": [{"name": "sidecar", "image": "x"}, {"name": "engine", "image": "y"}]})["containers"]
    assert [(container["name"], container["image"]) for container in containers] == [("engine", "y"), ("sidecar", "x")]
    assert containers[0]["args"] == ["a", "b"]


def test_variables_are_merged_by_name() -> None:
    assert engine({"env": [{"name": "USER", "value": "me"}, {"name": "A", "value": "1"}]})["env"] == [
        {"name": "HOME", "value": "/home"},
        {"name": "USER", "value": "me"},
        {"name": "A", "value": "1"},
    ]


def test_mounts_are_merged_by_path() -> None:
    assert engine({"volumeMounts": [{"name": "two", "mountPath": "/one"}]})["volumeMounts"] == [{"name": "two", "mountPath": "/one", "readOnly": True}]


def test_ports_are_merged_by_number_and_protocol_which_is_tcp_where_it_is_not_said() -> None:
    assert engine({"ports": [{"containerPort": 8000, "name": "web"}]})["ports"] == [{"name": "web", "containerPort": 8000, "protocol": "TCP"}]
    assert len(engine({"ports": [{"containerPort": 8000, "protocol": "UDP"}]})["ports"]) == 2


def test_lists_without_keys_are_replaced() -> None:
    assert engine({"args": ["c"]})["args"] == ["c"]
    assert over({"tolerations": [{"key": "b"}]})["tolerations"] == [{"key": "b"}]


def test_spread_constraints_are_known_by_two_keys() -> None:
    one = {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1}
    other = {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 2}
    twice = merged({"topologySpreadConstraints": [one]}, {"topologySpreadConstraints": [other, {**one, "maxSkew": 3}]}, SPEC)
    assert twice["topologySpreadConstraints"] == [{**one, "maxSkew": 3}, other]


PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": st.dictionaries(st.sampled_from("ab"), st.one_of(st.none(), st.just("x"))),
        "tolerations": st.lists(st.fixed_dictionaries({"key": st.sampled_from("ab")}), max_size=2),
        "volumes": st.lists(st.sampled_from(["one", "two"]), unique=True).map(
            lambda names: [{"name": name, "emptyDir": {"medium": "Memory"}} for name in names]
        ),
        "priorityClassName": st.one_of(st.none(), st.just("high")),
    },
)


@given(patch=PATCHES)
def test_merging_twice_is_merging_once(patch: dict[str, Any]) -> None:
    assert merged(over(patch), patch, SPEC) == over(patch)


@given(patch=PATCHES)
def test_what_the_patch_does_not_name_stays(patch: dict[str, Any]) -> None:
    result = over(patch)
    assert {name: result[name] for name in BASE if name not in patch} == {name: BASE[name] for name in BASE if name not in patch}
