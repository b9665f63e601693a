"""Adapters in the pod: the list, who fetches what, and that the pod stays as it is while they come and go."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmfleet.resources import adapters
from llmfleet.resources.blueprint import Manifest
from llmfleet.resources.children import children
from llmfleet.resources.engine_pod import template
from tests.unit.resources.blueprints import blueprint

TOKEN = {"secretKeyRef": {"name": "hf", "key": "token"}}
OTHER_TOKEN = {"secretKeyRef": {"name": "other", "key": "token"}}
AWS = {"secretRef": {"name": "aws"}}
KEY_FILE = {"secretKeyRef": {"name": "google", "key": "k.json"}}


def service(*items: dict[str, Any], source: str = "hf://org/model", **model: Any) -> dict[str, Any]:
    return {"model": {"source": source, **model}, "adapters": {"items": list(items)}}


def item(source: str, name: str = "a", credentials: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "source": source, **({"credentials": credentials} if credentials else {})}


def listed(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """What the launcher and the sidecars read."""
    (config_map,) = [child for child in children(blueprint(spec)) if child["kind"] == "ConfigMap"]
    found: list[dict[str, Any]] = json.loads(config_map["data"]["adapters.json"])
    return found


def sidecars(spec: dict[str, Any]) -> dict[int, Manifest]:
    """By the number that each fetches."""
    containers, _ = adapters.sidecars(blueprint(spec))
    return {int(container["command"][container["command"].index("--fetcher") + 1]): container for container in containers}


def variables(container: Manifest) -> list[str]:
    return [variable["name"] for variable in container["env"]]


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_list_says_where_each_adapter_lies_and_who_fetches_it() -> None:
    spec = service(item("hf://org/lora@v1", "sql"), item("pvc://loras/fr", "fr"))
    sql, fr = listed(spec)
    assert sql == {"name": "sql", "path": sql["path"], "source": "hf://org/lora@v1", "fetcher": 0}
    assert fr == {"name": "fr", "path": "/claims/loras/fr"}


def test_the_list_is_there_before_the_first_adapter_and_goes_with_the_feature() -> None:
    assert listed({"model": {"source": "hf://org/model"}, "adapters": {"maxLoaded": 2}}) == []
    assert not [child for child in children(blueprint({"model": {"source": "hf://org/model"}})) if child["kind"] == "ConfigMap"]


def test_another_source_is_another_path_and_the_same_one_is_not() -> None:
    paths = {listed(service(item(source)))[0]["path"] for source in ("hf://org/lora", "hf://org/lora@v1", "hf://org/other", "s3://org/lora")}
    assert len(paths) == 4
    assert len({adapter["path"] for adapter in listed(service(item("hf://org/lora", "a"), item("hf://org/lora", "b")))}) == 1


def test_no_two_sidecars_write_to_one_directory() -> None:
    one, other = listed(service(item("hf://org/lora", "a"), item("hf://org/lora", "b", OTHER_TOKEN)))
    assert one["fetcher"] != other["fetcher"]
    assert one["path"] != other["path"]


# --- Who fetches ------------------------------------------------------------------------------------------------------


def test_the_first_sidecar_has_the_models_credentials_and_the_way_there_and_no_more() -> None:
    env = [{"name": "HF_ENDPOINT", "value": "https://mirror"}, {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}, {"name": "no_proxy", "value": "x"}]
    (container,) = sidecars({**service(item("hf://org/lora"), credentials=TOKEN), "engine": {"env": env}}).values()
    assert variables(container) == ["HOME", "HF_ENDPOINT", "no_proxy", "HF_TOKEN", "LLMFLEET_CREDENTIALS"]
    assert container["restartPolicy"] == "Always"
    assert container["command"][3:] == ["fetch-adapters", "/adapter-list/adapters.json", "--fetcher", "0", "--directory", "/adapters"]


def test_each_set_of_credentials_has_one_sidecar_which_has_no_other() -> None:
    spec = service(
        *(item("hf://org/lora", "a"), item("s3://bucket/one", "b", AWS), item("s3://bucket/two", "c", AWS), item("gs://bucket/x", "d", KEY_FILE)),
        credentials=TOKEN,
    )
    found = sidecars(spec)
    fetchers = [adapter["fetcher"] for adapter in listed(spec)]
    assert fetchers[1] == fetchers[2]
    assert set(found) == set(fetchers)
    assert len(found) == 3
    assert found[fetchers[1]]["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert variables(found[fetchers[1]]) == ["HOME", "LLMFLEET_CREDENTIALS"]
    assert variables(found[fetchers[3]]) == ["HOME", "GOOGLE_APPLICATION_CREDENTIALS", "LLMFLEET_CREDENTIALS"]
    _, volumes = adapters.sidecars(blueprint(spec))
    assert [volume["secret"]["secretName"] for volume in volumes] == ["google"]


def test_credentials_that_are_the_models_make_no_further_sidecar() -> None:
    assert set(sidecars(service(item("hf://org/lora", credentials=TOKEN), credentials=TOKEN))) == {0}


def test_the_same_secret_is_another_set_for_another_kind_of_source() -> None:
    """It becomes HF_TOKEN for one hub, and another variable for the other."""
    found = sidecars(service(item("modelscope://org/lora", credentials=TOKEN), credentials=TOKEN))
    assert len(found) == 2
    assert [variables(container)[1] for _, container in sorted(found.items())] == ["HF_TOKEN", "MODELSCOPE_API_TOKEN"]


def test_a_model_that_is_mounted_gives_its_credentials_to_nobody() -> None:
    (container,) = sidecars(service(item("hf://org/lora"), source="pvc://models/tiny", credentials=TOKEN)).values()
    assert variables(container) == ["HOME"]


def test_who_fetches_does_not_depend_on_who_else_does() -> None:
    """Pods of the template before read the new list: none of their sidecars may take another's work with the wrong credentials."""
    before = listed(service(item("s3://bucket/one", "b", AWS)))[0]
    after = listed(service(item("gs://bucket/x", "d", KEY_FILE), item("s3://bucket/one", "b", AWS)))[1]
    assert before == after


def test_what_fetches_finds_the_authority_that_it_is_told_to_trust() -> None:
    mount = {"name": "ca", "mountPath": "/etc/ca"}
    pod = {"volumes": [{"name": "ca", "configMap": {"name": "ca"}}], "containers": [{"name": "engine", "volumeMounts": [mount]}]}
    spec = {**service(item("hf://org/lora")), "engine": {"env": [{"name": "SSL_CERT_FILE", "value": "/etc/ca/ca.crt"}]}, "template": {"spec": pod}}
    assert mount in sidecars(spec)[0]["volumeMounts"]


# --- The pod stays as it is -------------------------------------------------------------------------------------------

NAMES = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), unique=True, max_size=8)
NEEDS = (
    # By what an item needs: nothing, a claim, an image, credentials. The first of each is in the specification anyway.
    [item("hf://org/lora"), item("hf://org/lora@v2"), item("s3://bucket/free"), item("modelscope://org/lora"), item("pvc://models/lora"), item("pvc://models")],
    [item("pvc://loras/one"), item("pvc://loras/two")],
    [item("oci://registry.example/lora:1")],
    [item("s3://bucket/one", credentials=AWS), item("s3://bucket/two", credentials=AWS)],
    [item("gs://bucket/one", credentials=KEY_FILE), item("gs://other/two", credentials=KEY_FILE)],
)


@st.composite
def revisions(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two lists of items that need the same: each an item of every need that is used, any others, in any order and under any names."""
    used = draw(st.lists(st.sampled_from(NEEDS[1:]), unique_by=id))
    possible = [one for need in (NEEDS[0], *used) for one in need]

    def items() -> list[dict[str, Any]]:
        chosen = [draw(st.sampled_from(need)) for need in used] + draw(st.lists(st.sampled_from(possible), max_size=6))
        return [{**one, "name": f"n{number}"} for number, one in enumerate(draw(st.permutations(chosen)))]

    return items(), items()


@settings(deadline=None, max_examples=200)
@given(pair=revisions(), cached=st.booleans())
def test_the_pod_is_the_same_to_the_byte_whatever_items_come_and_go(pair: tuple[list[dict[str, Any]], list[dict[str, Any]]], cached: bool) -> None:
    """As long as none needs a claim, an image or credentials that no other had."""
    model = {"source": "hf://org/model", "cache": {"claimName": "models"}} if cached else {"source": "pvc://models/base"}
    before, after = (template(blueprint({"model": model, "adapters": {"maxRank": 8, "items": items}})) for items in pair)
    assert json.dumps(before) == json.dumps(after)


def test_what_an_item_needs_that_no_other_had_is_rolled_out_and_so_is_its_end() -> None:
    plain = template(blueprint(service(item("hf://org/lora"))))
    for need in NEEDS[1:]:
        assert template(blueprint(service(item("hf://org/lora"), {**need[0], "name": "b"}))) != plain


def test_the_first_item_and_the_last_roll_out_unless_room_is_asked_for() -> None:
    without, one = {"model": {"source": "hf://org/model"}}, service(item("hf://org/lora"))
    assert template(blueprint(without)) != template(blueprint(one))
    room = {"maxLoaded": 4}
    assert template(blueprint({**without, "adapters": room})) == template(blueprint({**one, "adapters": {**room, **one["adapters"]}}))
