"""The engine's pod, where the golden files show that something is so and not that it always is."""

from dataclasses import replace
from typing import Any

import pytest

from llmfleet.resources.blueprint import Manifest
from llmfleet.resources.engine_pod import template
from tests.unit.resources.blueprints import blueprint
from tests.unit.resources.specifications import SPECS


def pod(spec: dict[str, Any], **fields: Any) -> Manifest:
    found: Manifest = template(blueprint({"model": {"source": "hf://a/b"}, **spec}, **fields))["spec"]
    return found


def engine(spec: dict[str, Any], **fields: Any) -> Manifest:
    found: Manifest = pod(spec, **fields)["containers"][0]
    return found


def environment(spec: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value") for variable in engine(spec)["env"]}


@pytest.mark.parametrize("name", SPECS)
def test_every_mount_has_a_volume_and_every_volume_a_mount(name: str) -> None:
    spec = template(blueprint(SPECS[name]))["spec"]
    mounted = {mount["name"] for part in ("initContainers", "containers") for container in spec[part] for mount in container.get("volumeMounts", ())}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("name", SPECS)
def test_nothing_of_a_pod_stands_there_twice(name: str) -> None:
    spec = template(blueprint(SPECS[name]))["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        for part, key in (("env", "name"), ("volumeMounts", "mountPath"), ("ports", "containerPort")):
            found = [item[key] for item in container.get(part, ())]
            assert len(found) == len(set(found))
    assert len({volume["name"] for volume in spec["volumes"]}) == len(spec["volumes"])


@pytest.mark.parametrize("name", SPECS)
def test_every_container_keeps_the_restricted_profile(name: str) -> None:
    spec = template(blueprint(SPECS[name]))["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_the_size_of_the_kv_cache_is_said_once_on_the_cpu() -> None:
    cpu = {"accelerator": {"profile": "cpu"}}
    assert environment(cpu)["VLLM_CPU_KVCACHE_SPACE"] == "4"
    with_field = {**cpu, "engine": {"kvCacheMemory": "1536Mi"}}
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment(with_field)
    assert "--kv-cache-memory-bytes" in engine(with_field)["args"]


def test_the_users_variable_wins_over_the_profiles_in_its_place() -> None:
    spec = {"accelerator": {"profile": "cpu"}, "engine": {"env": [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"}]}}
    assert environment(spec)["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert list(environment(spec)) == list(environment({"accelerator": {"profile": "cpu"}}))


@pytest.mark.parametrize(("parallelism", "size"), [({}, "1536Mi"), ({"tensor": 2}, "2048Mi"), ({"data": 4}, "3072Mi"), ({"tensor": 2, "data": 2}, "3072Mi")])
def test_shared_memory_grows_with_the_ranks_of_the_pod(parallelism: dict[str, int], size: str) -> None:
    (shared,) = [volume for volume in pod({"parallelism": parallelism})["volumes"] if volume["name"] == "llmfleet-shm"]
    assert shared["emptyDir"] == {"medium": "Memory", "sizeLimit": size}


def test_compiled_graphs_are_kept_by_image_device_and_arguments() -> None:
    def directory(**fields: Any) -> str:
        mounts = engine({"model": {"source": "hf://a/b", "cache": {"claimName": "models"}}, **fields})["volumeMounts"]
        (mount,) = [mount for mount in mounts if mount["mountPath"] == "/compile-cache"]
        assert mount["name"] == "llmfleet-model"
        assert not mount.get("readOnly")
        return str(mount["subPath"])

    changes: list[dict[str, Any]] = [{"engine": {"image": "mine:1"}}, {"engine": {"maxSequences": 4}}, {"accelerator": {"profile": "nvidia-t4"}}]
    assert len({directory(), *(directory(**change) for change in changes)}) == 4
    assert directory() == directory(replicas=3)
    assert directory().startswith("llmfleet/compile/")


@pytest.mark.parametrize(
    "update", [{"memory": "1Gi"}, {"per_node": 3}, {"compute_capability": "9.9"}, {"images": {"0.31.0": "another:1"}}], ids=lambda update: next(iter(update))
)
def test_what_only_a_plan_reads_of_a_profile_rolls_nothing_out(update: dict[str, Any]) -> None:
    before = blueprint({"model": {"source": "hf://a/b", "cache": {"claimName": "models"}}})
    assert template(replace(before, profile=before.profile.model_copy(update=update))) == template(before)


def options(spec: dict[str, Any], **fields: Any) -> list[str]:
    """What the launcher is told."""
    arguments = engine(spec, **fields)["args"]
    return [str(argument) for argument in arguments[1 : arguments.index("--")]]


def test_the_launcher_is_told_the_limits_of_the_specification() -> None:
    assert {"--start-timeout-seconds=3600", "--max-request-bytes=67108864", "--drain-timeout-seconds=300"} <= set(options({}))
    asked = {"engine": {"startTimeout": "1h30m", "maxRequestSize": "1G"}, "rollout": {"drainTimeout": "90s"}}
    assert {"--start-timeout-seconds=5400", "--max-request-bytes=1000000000", "--drain-timeout-seconds=90"} <= set(options(asked))


def test_the_launcher_looks_for_the_accelerators_that_the_pod_asks_for() -> None:
    assert "--accelerators=4" in options({"parallelism": {"tensor": 2, "data": 2}})


@pytest.mark.parametrize("profile", ["cpu", "amd-mi300x"])
def test_the_launcher_can_count_nvidias_accelerators_alone(profile: str) -> None:
    found = options({"accelerator": {"profile": profile}, "quantization": {"method": "fp8"}})
    assert not [option for option in found if option.startswith(("--accelerators", "--minimum-capability"))]


@pytest.mark.parametrize(
    ("quantization", "capability"),
    [({}, None), ({"method": "fp8_per_channel"}, "8.9"), ({"kvCache": "fp8"}, "8.0"), ({"kvCache": "nvfp4_4over6"}, "10.0"), ({"method": "gguf"}, None)],
)
def test_the_launcher_is_told_the_lowest_capability_that_the_numbers_need(quantization: dict[str, str], capability: str | None) -> None:
    found = [option for option in options({"quantization": quantization}) if option.startswith("--minimum-capability")]
    assert found == ([f"--minimum-capability={capability}"] if capability else [])


def test_the_launcher_loads_adapters_and_vllm_lets_it() -> None:
    adapters = {"adapters": {"maxRank": 8}}
    assert "--adapters=/adapter-list/adapters.json" in options(adapters)
    assert environment(adapters)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "true"
    assert not [option for option in options({}) if option.startswith("--adapters")]
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in environment({})


def test_without_a_cache_nothing_is_kept() -> None:
    assert "VLLM_CACHE_ROOT" not in environment({})
    assert "/compile-cache" not in {mount["mountPath"] for mount in engine({})["volumeMounts"]}


def test_tolerations_of_the_device_stay_and_are_not_repeated() -> None:
    device = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert pod({"template": {"spec": {"tolerations": [device, {"key": "a", "operator": "Exists"}]}}})["tolerations"] == [
        device,
        {"key": "a", "operator": "Exists"},
    ]


@pytest.mark.parametrize("part", ["containers", "initContainers"])
def test_a_capability_that_a_sidecar_adds_leaves_the_others_dropped(part: str) -> None:
    sidecar = {"name": "proxy", "image": "proxy:1", "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}, "runAsUser": 1000}}
    context = pod({"template": {"spec": {part: [sidecar]}}})[part][-1]["securityContext"]
    assert context == {"allowPrivilegeEscalation": False, "runAsUser": 1000, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}


def test_an_empty_list_of_tolerations_adds_none() -> None:
    device = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert pod({"template": {"spec": {"tolerations": []}}})["tolerations"] == [device]
    assert "tolerations" not in pod({"template": {"spec": {"tolerations": None}}})


def test_the_order_of_a_profiles_variables_is_that_of_their_names() -> None:
    # The API server sorts the keys of a map, a file does not: what is rendered from either must be the same.
    variables = {"B": "2", "A": "1"}
    rendered = []
    for given in (variables, dict(sorted(variables.items()))):
        found = blueprint({"model": {"source": "hf://a/b"}})
        rendered.append(template(replace(found, profile=found.profile.model_copy(update={"env": given}))))
    assert rendered[0] == rendered[1]


def test_labels_and_annotations_of_the_template_stand_beside_ours() -> None:
    wanted = blueprint(
        {"model": {"source": "hf://a/b"}, "template": {"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}}}, configuration={"settings": "1"}
    )
    metadata = template(wanted)["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["labels"]["llmfleet.dev/role"] == "engine"
    assert metadata["annotations"] == {"b": "c", "llmfleet.dev/config": "settings=1"}


def test_the_number_of_accelerators_counts_data_parallel_ranks() -> None:
    assert engine({"parallelism": {"tensor": 2, "pipeline": 2, "data": 2}})["resources"]["limits"] == {"nvidia.com/gpu": "8"}


def test_no_argument_holds_a_key() -> None:
    args = engine({"access": {"apiKeys": [{"secretKeyRef": {"name": "keys", "key": "one"}}]}})["args"]
    assert args[args.index("--api-key") + 1] == "$(LLMFLEET_API_KEY_0)"
