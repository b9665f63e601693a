"""llmfleet render: what the operator would apply."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.cli.main import RUNTIME_IMAGE
from llmfleet.cli.render import as_yaml
from llmfleet.cli.yaml_tree import documents
from llmfleet.kube.ownership import rendered_hash, stamped
from llmfleet.reconcile.desired import Accepted, Installation, desired
from llmfleet.resources.blueprint import Platform
from tests.unit.cli.invoke import llmfleet

REPOSITORY = Path(__file__).parents[3]

SERVICE: dict[str, Any] = {
    "apiVersion": "llmfleet.dev/v1alpha1",
    "kind": "LLMService",
    "metadata": {"name": "qwen", "namespace": "chat"},
    "spec": {"model": {"source": "pvc://models/tiny"}, "accelerator": {"profile": "cpu"}, "autoscaling": {"maxReplicas": 3}},
}


def rendered(*arguments: str, given: object) -> list[dict[str, Any]]:
    documents = given if isinstance(given, list) else [given]
    done = llmfleet("render", "-f", "-", *arguments, given=yaml.safe_dump_all(documents))
    assert done.status == 0, done.err
    return list(yaml.safe_load_all(done.out))


def named(name: str = "qwen", **spec: Any) -> dict[str, Any]:
    return {**SERVICE, "metadata": {"name": name, "namespace": "chat"}, "spec": {**SERVICE["spec"], **spec}}


def test_a_stored_object_is_rendered_as_it_is_applied_to_the_hash() -> None:
    stored = {**SERVICE, "metadata": {**SERVICE["metadata"], "uid": "5f", "generation": 3, "resourceVersion": "9"}}
    decision = desired(stored, Installation(Platform(RUNTIME_IMAGE, 3), built_in_profiles(), "nvidia"), {})
    assert isinstance(decision, Accepted)
    assert rendered(given=stored) == [stamped(manifest) for manifest in decision.children]


def test_of_a_file_everything_but_what_the_cluster_assigns() -> None:
    stored = {**SERVICE, "metadata": {**SERVICE["metadata"], "uid": "5f"}}
    for live, offline in zip(rendered(given=stored), rendered(given=SERVICE), strict=True):
        owners, hashed = live["metadata"].pop("ownerReferences"), live["metadata"].pop("annotations")
        assert [owner["uid"] for owner in owners] == ["5f"]
        assert list(hashed) == ["llmfleet.dev/applied"]
        assert live == offline


def test_settings_of_the_installation_are_options() -> None:
    deployment = rendered("--runtime-image=registry.example/r:1", "--minimum-drain-seconds=9", given=SERVICE)[0]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["image"] == "registry.example/r:1"
    assert "--minimum-drain-seconds=9" in pod["containers"][0]["args"]
    spec = {field: value for field, value in SERVICE["spec"].items() if field != "accelerator"}
    assert (
        rendered("--default-profile=cpu", given={**SERVICE, "spec": spec})[0]["spec"]["template"]["spec"]
        == rendered(given=SERVICE)[0]["spec"]["template"]["spec"]
    )


def test_the_default_runtime_image_is_the_charts() -> None:
    values = yaml.safe_load((REPOSITORY / "charts/llmfleet/values.yaml").read_text())
    chart = yaml.safe_load((REPOSITORY / "charts/llmfleet/Chart.yaml").read_text())
    assert f"{values['runtimeImage']['repository']}:{values['runtimeImage']['tag'] or chart['appVersion']}" == RUNTIME_IMAGE


def test_profiles_among_the_input_take_the_place_of_built_in_ones() -> None:
    profile = {
        "apiVersion": "llmfleet.dev/v1alpha1",
        "kind": "AcceleratorProfile",
        "metadata": {"name": "cpu"},
        "spec": {"images": {"*": "registry.example/v:{version}"}},
    }
    deployment = rendered(given=[SERVICE, profile])[0]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].startswith("registry.example/v:0.")


def test_a_profile_that_cannot_be_read_is_named() -> None:
    profile = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": "cpu"}, "spec": {"image": {}}}
    done = llmfleet("render", "-f", "-", given=yaml.safe_dump_all([SERVICE, profile]))
    assert (done.status, done.out) == (1, "")
    assert "acceleratorprofile cpu: spec.image: is no field" in done.err


def test_config_maps_among_the_input_are_hashed_and_missing_ones_are_told() -> None:
    wanted = named(engine={"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]})
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "chat"}, "data": {"a": "1"}}

    def annotation(*documents: dict[str, Any]) -> str | None:
        annotations: dict[str, str] = rendered(given=list(documents))[0]["spec"]["template"]["metadata"].get("annotations", {})
        return annotations.get("llmfleet.dev/config")

    first = annotation(wanted, config_map)
    assert first is not None
    assert first.startswith("settings=")
    assert annotation(wanted, {**config_map, "data": {"a": "2"}}) != first
    assert annotation(wanted, {**config_map, "metadata": {"name": "settings", "namespace": "other"}}) is None
    done = llmfleet("render", "-f", "-", given=yaml.safe_dump(wanted))
    assert done.status == 0
    assert "ConfigMap settings is not among the input" in done.err


CACHED = named(model={"source": "hf://a/b", "cache": {"storage": "10Gi"}})


def test_the_claim_is_rendered_and_jobs_on_demand() -> None:
    assert [manifest["kind"] for manifest in rendered(given=CACHED)][:2] == ["PersistentVolumeClaim", "Deployment"]
    kinds = [manifest["kind"] for manifest in rendered("--all", given=CACHED)]
    assert kinds[:4] == ["Job", "PersistentVolumeClaim", "Job", "Deployment"]
    for manifest in rendered("--all", given=CACHED):
        assert "ownerReferences" not in manifest["metadata"], "no cluster has given a uid"


@given(st.dictionaries(st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1), st.text(st.characters(codec="utf-8")), min_size=1))
@example({"y": "n", "on": "1e3", "0o7": "2026-01-01", "~": "", "<": "1_0", "k": " a\nb\u2028"})
def test_texts_are_texts_to_kubectl_too(texts: dict[str, str]) -> None:
    assert [node.plain() for node in documents(as_yaml([texts]))] == [texts]


def test_nothing_is_printed_where_anything_is_refused() -> None:
    done = llmfleet("render", "-f", "-", given=yaml.safe_dump_all([named("one"), named("two", accelerator={"profile": "abacus"})]))
    assert (done.status, done.out) == (1, "")
    assert "llmservice chat/two: spec.accelerator.profile 'abacus'" in done.err


def test_nothing_to_render_is_wrong_usage() -> None:
    done = llmfleet("render", "-f", "-", given="kind: ConfigMap\n")
    assert (done.status, done.out, done.err) == (2, "", "error: there is no LLMService in what was read\n")


def test_the_hash_is_over_what_is_printed() -> None:
    for manifest in rendered(given={**SERVICE, "metadata": {**SERVICE["metadata"], "uid": "5f"}}):
        assert manifest["metadata"]["annotations"]["llmfleet.dev/applied"] == rendered_hash(manifest)
