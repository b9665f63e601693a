"""The Jobs before an engine, and the claim that one of them fills."""

from typing import Any

import pytest

from llmfleet.api import source
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.resources.engine_pod import template
from llmfleet.resources.location import locate
from llmfleet.resources.model_jobs import claim, download, inspection
from tests.unit.resources.blueprints import blueprint
from tests.unit.resources.specifications import SPECS

TOKEN = {"secretKeyRef": {"name": "hf", "key": "token"}}


def cached(*, name: str = "qwen", runtime: str = "runtime:1", model: dict[str, Any] | None = None, **fields: Any) -> Blueprint:
    spec = {"model": {"source": "hf://org/model@v1", "cache": {"claimName": "models"}, **(model or {})}, **fields}
    return blueprint(spec, name=name, runtime=runtime)


def job(wanted: Blueprint) -> Manifest:
    manifest = download(wanted)
    assert manifest is not None
    return manifest


def jobs(wanted: Blueprint) -> list[Manifest]:
    return [manifest for manifest in (inspection(wanted), download(wanted)) if manifest is not None]


def pod(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("name", SPECS)
def test_pods_of_jobs_are_restricted_and_small(name: str) -> None:
    for manifest in jobs(blueprint(SPECS[name])):
        (container,) = pod(manifest)["containers"]
        assert pod(manifest)["securityContext"]["runAsNonRoot"] is True
        assert pod(manifest)["automountServiceAccountToken"] is False
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}
        assert {"name": "llmfleet-tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        assert "nodeSelector" not in pod(manifest)


@pytest.mark.parametrize("name", SPECS)
def test_the_same_specification_has_the_same_jobs(name: str) -> None:
    assert jobs(blueprint(SPECS[name])) == jobs(blueprint(SPECS[name]))


@pytest.mark.parametrize(
    ("model_source", "argument"),
    [
        ("hf://org/model@v1", "hf://org/model@v1"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("pvc://claim/a/b", "/models/a/b"),
        ("pvc://claim", "/models"),
        ("oci://r/a:1", "/models"),
    ],
)
def test_an_inspection_is_told_what_to_read(model_source: str, argument: str) -> None:
    container = pod(inspection(blueprint({"model": {"source": model_source}})))["containers"][0]
    assert container["command"] == ["python3", "-m", "llmfleet_runtime", "inspect", argument]


@pytest.mark.parametrize("model_source", ["pvc://claim/a/b", "pvc://claim", "oci://r/a:1"])
def test_an_inspection_finds_what_is_mounted_where_the_engine_will(model_source: str) -> None:
    wanted = blueprint({"model": {"source": model_source}})
    assert pod(inspection(wanted))["containers"][0]["command"][-1] == locate(wanted).places.model.argument
    assert [volume for volume in pod(inspection(wanted))["volumes"] if volume["name"] == "llmfleet-model"] == list(locate(wanted).volumes)


def test_an_inspection_belongs_to_its_service_and_is_tried_once() -> None:
    manifest = inspection(cached())
    assert manifest["metadata"]["ownerReferences"][0]["name"] == "qwen"
    assert manifest["metadata"]["labels"]["llmfleet.dev/role"] == "inspect"
    assert manifest["spec"]["template"]["metadata"]["labels"]["llmfleet.dev/service"] == "qwen"
    assert (manifest["spec"]["backoffLimit"], pod(manifest)["restartPolicy"]) == (0, "Never")


def test_an_inspection_of_something_else_has_another_name() -> None:
    first, second = inspection(cached()), inspection(cached(model={"source": "hf://org/model@v2"}))
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["metadata"]["name"].startswith("llmfleet-inspect-")


def test_what_the_engine_alone_needs_looks_at_the_model_no_second_time() -> None:
    assert inspection(cached(engine={"maxSequences": 4})) == inspection(cached())
    assert inspection(cached(parallelism={"tensor": 2})) == inspection(cached())


def test_the_words_for_a_refusal_name_the_secret_and_never_hold_it() -> None:
    (container,) = pod(inspection(cached(model={"credentials": TOKEN})))["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["LLMFLEET_CREDENTIALS"]["value"] == "secret hf key token"
    assert variables["HF_TOKEN"] == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}


@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "AWS_ENDPOINT_URL", "MODELSCOPE_DOMAIN"])
def test_the_way_to_a_source_is_the_engines(variable: str) -> None:
    env = [{"name": variable, "value": "x"}]
    for manifest in jobs(cached(engine={"env": env})):
        assert {"name": variable, "value": "x"} in pod(manifest)["containers"][0]["env"]


@pytest.mark.parametrize("variable", ["VLLM_LOGGING_LEVEL", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "HF_HOME", "LD_PRELOAD"])
def test_other_variables_of_the_engine_stay_there(variable: str) -> None:
    for manifest in jobs(cached(engine={"env": [{"name": variable, "value": "x"}]})):
        assert variable not in {given["name"] for given in pod(manifest)["containers"][0]["env"]}


@pytest.mark.parametrize(("mount_path", "needed"), [("/etc/ca", True), ("/etc/ca/", True), ("/etc/ca/one.crt", True), ("/etc/c", False), ("/data", False)])
def test_a_file_that_the_way_to_a_source_names_is_there(mount_path: str, needed: bool) -> None:
    mount = {"name": "files", "mountPath": mount_path}
    overrides = {"spec": {"volumes": [{"name": "files", "configMap": {"name": "ca"}}], "containers": [{"name": "engine", "volumeMounts": [mount]}]}}
    engine = {"env": [{"name": "SSL_CERT_FILE", "value": "/etc/ca/one.crt"}, {"name": "LD_PRELOAD", "value": "/data/x.so"}]}
    for manifest in jobs(cached(engine=engine, template=overrides)):
        assert (mount in pod(manifest)["containers"][0]["volumeMounts"]) is needed
        assert ({"name": "files", "configMap": {"name": "ca"}} in pod(manifest)["volumes"]) is needed


def test_a_download_fills_the_directory_that_the_engine_reads() -> None:
    container = pod(job(cached()))["containers"][0]
    directory = locate(cached()).places.model.argument
    assert container["command"][3:] == ["fetch", "hf://org/model@v1", directory, "--progress-port", "8001"]
    assert {"name": "llmfleet-model", "mountPath": "/models"} in container["volumeMounts"]


def test_two_services_share_a_download_to_the_last_byte() -> None:
    assert job(cached(name="one")) == job(cached(name="two", engine={"maxSequences": 4}))
    assert "ownerReferences" not in job(cached())["metadata"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"source": "hf://org/model@v2"}},
        {"model": {"cache": {"claimName": "other"}}},
        {"model": {"credentials": TOKEN}},
        {"engine": {"env": [{"name": "HF_ENDPOINT", "value": "x"}]}},
    ],
)
def test_a_download_of_something_else_has_another_name(change: dict[str, Any]) -> None:
    assert job(cached(**change))["metadata"]["name"] != job(cached())["metadata"]["name"]


def test_an_upgrade_of_the_operator_does_not_race_a_download_that_is_at_work() -> None:
    assert job(cached(runtime="runtime:2"))["metadata"]["name"] == job(cached(runtime="runtime:1"))["metadata"]["name"]


def test_only_what_may_pass_is_tried_again() -> None:
    spec = job(cached())["spec"]
    ignored, failed = spec["podFailurePolicy"]["rules"]
    assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (failed["action"], failed["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert spec["backoffLimit"] > 1


def test_the_services_tolerations_and_pull_secrets_go_with_its_jobs_and_its_choice_of_nodes_does_not() -> None:
    overrides = {"spec": {"tolerations": [{"key": "a"}], "imagePullSecrets": [{"name": "p"}], "nodeSelector": {"a": "b"}, "priorityClassName": "high"}}
    for manifest in jobs(cached(template=overrides)):
        assert (pod(manifest)["tolerations"], pod(manifest)["imagePullSecrets"]) == ([{"key": "a"}], [{"name": "p"}])
        assert not {"nodeSelector", "priorityClassName"} & pod(manifest).keys()


def test_a_job_runs_as_the_user_that_the_engine_runs_as() -> None:
    for context in ({"runAsUser": 1000, "fsGroup": 1000}, {"runAsUser": None, "fsGroup": None}):
        wanted = cached(template={"spec": {"securityContext": context}})
        engine = template(wanted)["spec"]["securityContext"]
        assert [pod(manifest)["securityContext"] for manifest in jobs(wanted)] == [engine, engine]


@pytest.mark.parametrize("name", SPECS)
def test_there_is_a_download_where_there_is_a_cache_and_a_claim_where_one_is_to_be_made(name: str) -> None:
    model = SPECS[name]["model"]
    remote = isinstance(source.parse(model["source"]), source.Repository | source.Bucket)
    assert (download(blueprint(SPECS[name])) is not None) == ("cache" in model and remote)
    assert (claim(blueprint(SPECS[name])) is not None) == ("storage" in model.get("cache", {}))


def test_a_claim_outlives_its_service_and_is_mounted_by_many() -> None:
    made = claim(blueprint({"model": {"source": "hf://a/b", "cache": {"storage": "10Gi"}}}))
    assert made is not None
    assert "ownerReferences" not in made["metadata"]
    assert made["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
