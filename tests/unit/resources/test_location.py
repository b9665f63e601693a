"""Where a specification's sources lie, and what the pod needs for that."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.resources.location import Location, cache_claim, cache_directory, locate
from llmfleet.vllm.arguments import Place
from tests.unit.resources.blueprints import blueprint

TOKEN = {"secretKeyRef": {"name": "hf", "key": "token"}}
AWS = {"secretRef": {"name": "aws"}}


def located(source: str, *, cache: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **fields: Any) -> Location:
    return locate(blueprint({"model": {"source": source, **({"cache": cache} if cache else {}), **(model or {})}, **fields}))


def paths(location: Location) -> dict[str, str]:
    return {adapter.name: adapter.path for adapter in location.adapters}


def variables(location: Location) -> dict[str, Any]:
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in location.environment}


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("hf://org/model", Place("org/model")),
        ("hf://org/model@v1", Place("org/model", "v1")),
        ("modelscope://org/model@v1", Place("org/model", "v1")),
        ("s3://bucket/a/b/", Place("s3://bucket/a/b")),
        ("gs://bucket/a", Place("gs://bucket/a")),
        ("oci://registry/model:1", Place("/models")),
        ("pvc://claim", Place("/models")),
        ("pvc://claim/a/b/", Place("/models/a/b")),
    ],
)
def test_a_model_lies_where_its_source_says(source: str, place: Place) -> None:
    assert located(source).places.model == place


@pytest.mark.parametrize(
    ("source", "directory"),
    [
        ("hf://org/model", "llmfleet/hf/org--model"),
        ("hf://org/model@main", "llmfleet/hf/org--model@main"),
        ("hf://gpt2", "llmfleet/hf/gpt2"),
        ("modelscope://org/model@v1", "llmfleet/modelscope/org--model@v1"),
        ("s3://bucket/llama/", "llmfleet/s3/bucket--llama"),
        ("gs://bucket", "llmfleet/gs/bucket"),
    ],
)
def test_a_cached_model_lies_in_a_directory_that_a_person_can_read(source: str, directory: str) -> None:
    assert cache_directory(source) == directory
    assert located(source, cache={"claimName": "models"}).places.model == Place(f"/models/{directory}")


@pytest.mark.parametrize("source", ["pvc://claim/a", "oci://registry/model:1"])
def test_what_is_mounted_is_never_cached(source: str) -> None:
    with pytest.raises(ValueError, match="never cached"):
        cache_directory(source)
    assert cache_claim(blueprint({"model": {"source": source, "cache": {"claimName": "models"}}})) is None


SEGMENT = st.from_regex(r"[a-z0-9][a-z0-9-]{1,8}[a-z0-9]", fullmatch=True)
BUCKETS = st.builds(lambda scheme, parts: f"{scheme}://{'/'.join(parts)}", st.sampled_from(["s3", "gs"]), st.lists(SEGMENT, min_size=1, max_size=4))
REVISIONS = st.one_of(st.just(""), st.lists(SEGMENT, min_size=1, max_size=2).map(lambda parts: "@" + "/".join(parts)))
REPOSITORIES = st.builds(
    lambda scheme, parts, revision: f"{scheme}://{'/'.join(parts)}{revision}", st.sampled_from(["hf"]), st.lists(SEGMENT, min_size=1, max_size=2), REVISIONS
)
SOURCES = st.one_of(BUCKETS, REPOSITORIES)


@given(one=SOURCES, other=SOURCES)
def test_no_two_sources_share_a_directory_and_none_lies_in_another(one: str, other: str) -> None:
    if one != other:
        first, second = cache_directory(one) + "/", cache_directory(other) + "/"
        assert not first.startswith(second)
        assert not second.startswith(first)


def test_a_long_name_stays_within_what_file_systems_take() -> None:
    directory = cache_directory("s3://bucket/" + "/".join(["segment"] * 60))
    assert len(directory.rsplit("/", 1)[1]) < 240


@pytest.mark.parametrize(
    ("source", "offline"),
    [("hf://org/model", False), ("modelscope://org/model", False), ("s3://bucket/a", True), ("pvc://claim/a", True), ("oci://r/a:1", True)],
)
def test_an_engine_that_needs_no_hub_asks_none(source: str, offline: bool) -> None:
    assert (variables(located(source)).get("HF_HUB_OFFLINE") == "1") is offline


def test_a_cached_model_runs_offline_and_without_credentials() -> None:
    location = located("hf://org/model", cache={"claimName": "models"}, model={"credentials": TOKEN})
    assert variables(location) == {"HF_HUB_OFFLINE": "1"}
    assert located("s3://bucket/a", cache={"claimName": "models"}, model={"credentials": AWS}).environment_from == ()


def test_a_tokenizer_from_a_hub_keeps_a_cached_model_online() -> None:
    location = located("hf://org/model", cache={"claimName": "models"}, model={"credentials": TOKEN, "tokenizer": "hf://org/tokenizer@v2"})
    assert location.places.tokenizer == Place("org/tokenizer", "v2")
    assert set(variables(location)) == {"HF_TOKEN"}


def test_modelscope_is_asked_instead_of_hugging_face() -> None:
    location = located("modelscope://org/model", model={"credentials": {"secretKeyRef": {"name": "ms", "key": "token"}}})
    assert variables(location) == {"VLLM_USE_MODELSCOPE": "True", "MODELSCOPE_API_TOKEN": {"secretKeyRef": {"name": "ms", "key": "token"}}}


def test_a_secret_whole_becomes_variables() -> None:
    assert located("s3://bucket/a", model={"credentials": AWS}).environment_from == ({"secretRef": {"name": "aws"}},)


def test_a_key_file_is_mounted_for_the_container_alone() -> None:
    location = located("gs://bucket/a", model={"credentials": {"secretKeyRef": {"name": "google", "key": "k.json"}}})
    assert variables(location)["GOOGLE_APPLICATION_CREDENTIALS"] == "/credentials/key.json"
    (volume,) = location.volumes
    assert volume["secret"] == {"secretName": "google", "items": [{"key": "k.json", "path": "key.json"}], "defaultMode": 0o440}
    assert location.mounts == ({"name": volume["name"], "mountPath": "/credentials", "readOnly": True},)


def test_a_claim_that_is_used_twice_is_one_volume() -> None:
    adapters = {"items": [{"name": "a", "source": "pvc://models/lora"}, {"name": "b", "source": "pvc://other/x"}, {"name": "c", "source": "pvc://other"}]}
    location = located("pvc://models/base", adapters=adapters)
    assert paths(location) == {"a": "/models/lora", "b": "/claims/other/x", "c": "/claims/other"}
    assert [volume["persistentVolumeClaim"]["claimName"] for volume in location.volumes if "persistentVolumeClaim" in volume] == ["models", "other"]


def test_an_adapter_on_the_claim_of_the_cache_is_found_there() -> None:
    location = located("hf://org/model", cache={"claimName": "models"}, adapters={"items": [{"name": "a", "source": "pvc://models/lora"}]})
    assert paths(location) == {"a": "/models/lora"}
    assert [volume["name"] for volume in location.volumes] == ["llmfleet-model", "llmfleet-adapter-list", "llmfleet-adapters"]


def test_an_image_that_is_used_twice_is_one_volume() -> None:
    adapters = {"items": [{"name": "a", "source": "oci://r/lora:1"}, {"name": "b", "source": "oci://r/lora:1"}, {"name": "c", "source": "oci://r/base:1"}]}
    location = located("oci://r/base:1", adapters=adapters)
    found = paths(location)
    assert re.fullmatch("/images/[0-9a-f]{12}", found["a"])
    assert (found["b"], found["c"]) == (found["a"], "/models")
    assert [volume["image"]["reference"] for volume in location.volumes if "image" in volume] == ["r/base:1", "r/lora:1"]


def test_an_image_lies_where_it_lay_before_another_one_came() -> None:
    """The pods of the template before read the new list: a number would show them another adapter under the old name."""
    one, other = ({"name": name, "source": f"oci://r/{name}:1"} for name in ("m", "a"))
    assert paths(located("hf://org/model", adapters={"items": [one]}))["m"] == paths(located("hf://org/model", adapters={"items": [other, one]}))["m"]


@pytest.mark.parametrize("adapters", [{"items": [{"name": "a", "source": "pvc://c/x"}]}, {"maxLoaded": 2}, {"maxRank": 8}])
def test_with_adapters_there_is_a_list_and_a_place_for_what_is_fetched(adapters: dict[str, Any]) -> None:
    location = located("hf://org/model", adapters=adapters)
    assert {"name": "llmfleet-adapter-list", "configMap": {"name": "qwen-adapters"}} in location.volumes
    assert {"name": "llmfleet-adapter-list", "mountPath": "/adapter-list", "readOnly": True} in location.mounts, "as a directory: a subPath is not renewed"
    assert {"name": "llmfleet-adapters", "mountPath": "/adapters", "readOnly": True} in location.mounts


def test_without_adapters_there_is_nothing_for_them() -> None:
    assert not [volume for volume in located("hf://org/model").volumes if "adapter" in volume["name"]]


def test_the_key_of_a_chat_template_is_named_so_that_the_kubelet_misses_it() -> None:
    location = located("hf://org/model", model={"chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "chat.jinja"}}})
    assert location.places.chat_template == "/chat-template/chat.jinja"
    assert location.volumes[0]["configMap"] == {"name": "templates", "items": [{"key": "chat.jinja", "path": "chat.jinja"}]}
    assert "subPath" not in location.mounts[0]


def test_keys_stand_in_the_environment_and_their_names_in_the_arguments() -> None:
    keys = [{"secretKeyRef": {"name": "keys", "key": name}} for name in ("old", "new")]
    location = located("hf://org/model", access={"apiKeys": keys})
    assert location.places.api_keys == ("$(LLMFLEET_API_KEY_0)", "$(LLMFLEET_API_KEY_1)")
    assert variables(location)["LLMFLEET_API_KEY_1"] == {"secretKeyRef": {"name": "keys", "key": "new"}}


def test_a_draft_model_from_a_claim_of_its_own_is_mounted() -> None:
    location = located("hf://org/model", engine={"speculative": {"method": "eagle3", "model": "pvc://drafts/one", "tokens": 2}})
    assert location.places.draft == Place("/claims/drafts/one")
    assert location.mounts == ({"name": "llmfleet-claim-0", "mountPath": "/claims/drafts", "readOnly": True},)


@pytest.mark.parametrize(("cache", "name"), [({"claimName": "shared"}, "shared"), ({"storage": "10Gi"}, "qwen-models")])
def test_the_claim_of_a_cache(cache: dict[str, str], name: str) -> None:
    assert cache_claim(blueprint({"model": {"source": "hf://a/b", "cache": cache}})) == name
    assert cache_claim(blueprint({"model": {"source": "hf://a/b"}})) is None
