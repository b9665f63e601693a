import json
import socket
from pathlib import Path

import pytest

from llmfleet.api.facts import MAX_BYTES, ModelFacts
from tests.integration.model_sources import models
from tests.integration.model_sources.commands import Commands
from tests.integration.model_sources.hub import Hub

TOKEN = "hf_reader"
SECRET = "secret hf-token key token"


def test_a_model_in_one_file_is_known_without_its_weights(hub: Hub, commands: Commands) -> None:
    folder = models.single_file(hub.root / "acme/tiny")
    found = commands.inspect("hf://acme/tiny")
    facts = found.facts
    assert facts["config"] == models.LLAMA
    assert facts["generation"] == {"temperature": 0.6, "do_sample": True}
    assert facts["revision"] == hub.commit(folder)
    assert facts["weights"]["bytes"] == (folder / "model.safetensors").stat().st_size
    assert {(group["part"], group["dtype"], group["bytes"]) for group in facts["weights"]["tensors"]} == {
        ("embedding", "BF16", 512 * 64 * 2),
        ("lmHead", "BF16", 512 * 64 * 2),
        ("linear", "BF16", 2 * 2 * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 128 * 64)),
        ("other", "BF16", 5 * 64 * 2),
    }
    kept = [path for path in hub.files(folder) if path.name != ".gitattributes"]
    assert facts["download"] == {"files": len(kept), "bytes": sum(path.stat().st_size for path in kept)}
    assert found.told == facts
    assert ModelFacts.model_validate(facts, by_alias=True, by_name=False).to_wire()["weights"] == facts["weights"]


def test_only_headers_of_weights_are_read(hub: Hub, commands: Commands) -> None:
    big = {**models.llama_tensors(), "model.layers.1.mlp.extra.weight": ("BF16", (4096, 4096))}
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / "model.safetensors", big)
    commands.inspect("hf://acme/tiny")
    (read,) = hub.read_of("model.safetensors")
    assert read.range == "bytes=0-131071"


def test_a_header_longer_than_the_first_read_is_read_to_its_end(hub: Hub, commands: Commands) -> None:
    many = {f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight": ("F8_E4M3", (8, 8)) for layer in range(40) for expert in range(64)}
    models.write_safetensors(models.single_file(hub.root / "acme/moe") / "model.safetensors", many)
    (group,) = commands.inspect("hf://acme/moe").facts["weights"]["tensors"]
    assert group == {"part": "experts", "dtype": "F8_E4M3", "bytes": 40 * 64 * 64, "count": 40 * 64}
    assert len(hub.read_of("model.safetensors")) == 2


def test_a_sharded_checkpoint_is_added_up(hub: Hub, commands: Commands) -> None:
    models.sharded(hub.root / "acme/sharded")
    models.single_file(hub.root / "acme/single")
    sharded, single = commands.inspect("hf://acme/sharded").facts, commands.inspect("hf://acme/single").facts
    assert sharded["weights"]["files"] == 3
    assert sharded["weights"]["tensors"] == single["weights"]["tensors"]


def test_shards_without_an_index_are_all_taken(hub: Hub, commands: Commands) -> None:
    models.sharded(hub.root / "acme/sharded", index=False)
    found = commands.inspect("hf://acme/sharded")
    assert found.facts["weights"]["files"] == 3
    assert "no index of the 3 files of weights" in found.stderr


def test_a_shard_that_the_index_names_and_nobody_uploaded_is_named(hub: Hub, commands: Commands) -> None:
    (models.sharded(hub.root / "acme/sharded") / "model-00002-of-00003.safetensors").unlink()
    found = commands.inspect("hf://acme/sharded")
    assert found.reason == "IncompleteModel"
    assert "model.safetensors.index.json names 3 files of weights, of which 1 is missing: model-00002-of-00003.safetensors" in found.told["message"]


def test_a_missing_shard_is_seen_without_an_index_too(hub: Hub, commands: Commands) -> None:
    (models.sharded(hub.root / "acme/sharded", index=False) / "model-00003-of-00003.safetensors").unlink()
    found = commands.inspect("hf://acme/sharded")
    assert found.reason == "IncompleteModel"
    assert "the files of weights count to 3, of which 1 is missing: model-00003-of-00003.safetensors" in found.told["message"]


def test_a_named_revision_is_inspected(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    older = models.single_file(hub.root / "acme/tiny@v1", {**models.LLAMA, "num_hidden_layers": 1})
    by_name = commands.inspect("hf://acme/tiny@v1").facts
    assert (by_name["config"]["num_hidden_layers"], by_name["revision"]) == (1, hub.commit(older))
    assert commands.inspect(f"hf://acme/tiny@{hub.commit(older)}").facts["revision"] == hub.commit(older)


def test_a_revision_that_does_not_exist_is_named(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    found = commands.inspect("hf://acme/tiny@v9")
    assert (found.reason, found.code) == ("RevisionNotFound", 1)
    assert "no revision 'v9'" in found.told["message"]


def test_a_repository_that_does_not_exist_is_told_with_what_else_it_may_be(commands: Commands) -> None:
    found = commands.inspect("hf://acme/tyni")
    assert found.reason == "ModelNotFound"
    assert (
        "correct spec.model.source; a private one looks the same to who shows no token: for that let spec.model.credentials name a Secret"
        in found.told["message"]
    )


def test_a_gated_model_without_a_token_asks_for_a_secret(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/gated")
    hub.rules.gated = {"acme/gated"}
    found = commands.inspect("hf://acme/gated")
    assert (found.reason, found.code) == ("ModelAccessDenied", 1)
    assert "is gated, and no credentials were shown" in found.told["message"]
    assert "let spec.model.credentials name a Secret with a token" in found.told["message"]
    assert f"{hub.url}/acme/gated" in found.told["message"]


@pytest.mark.parametrize(("token", "why"), [("hf_unknown", "the hub answers 401"), ("hf_powerless", "the repository is gated")])
def test_a_token_that_is_refused_is_named_by_its_secret(hub: Hub, commands: Commands, token: str, why: str) -> None:
    models.single_file(hub.root / "acme/gated")
    hub.rules.gated, hub.rules.powerless_tokens = {"acme/gated"}, {"hf_powerless"}
    found = commands.inspect("hf://acme/gated", HF_TOKEN=token, LLMFLEET_CREDENTIALS=SECRET)
    assert found.reason == "ModelAccessDenied"
    assert f"{why}, and the token of {SECRET} (spec.model.credentials) is refused" in found.told["message"]
    assert token not in found.stderr + found.stdout + found.message.decode()


@pytest.mark.parametrize("kind", ["gated", "private"])
def test_a_token_with_access_opens_gated_and_private_models(hub: Hub, commands: Commands, kind: str) -> None:
    models.single_file(hub.root / "acme/closed")
    setattr(hub.rules, kind, {"acme/closed"})
    hub.rules.tokens = {TOKEN}
    assert commands.inspect("hf://acme/closed", HF_TOKEN=f"{TOKEN}\n").facts["config"] == models.LLAMA


def test_the_token_goes_to_the_hub_alone_not_to_where_it_sends_us(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/closed")
    hub.rules.private, hub.rules.tokens, hub.rules.content_elsewhere = {"acme/closed"}, {TOKEN}, True
    assert commands.inspect("hf://acme/closed", HF_TOKEN=TOKEN).code == 0
    assert {seen.authorization for seen in hub.seen if seen.path.startswith("/content/")} == {None}
    assert {seen.authorization for seen in hub.seen if seen.path.startswith("/api/")} == {f"Bearer {TOKEN}"}


def test_a_limit_of_requests_is_waited_for_as_long_as_the_hub_asks(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.rate_limited, hub.rules.retry_after = 1, "2"
    found = commands.inspect("hf://acme/tiny")
    assert found.code == 0
    assert "RateLimited" in found.stderr
    assert "again in 2 s (1 of 2)" in found.stderr


def test_a_limit_for_longer_than_is_worth_waiting_is_left_to_the_next_attempt(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.rate_limited, hub.rules.retry_after = 1, "3600"
    found = commands.inspect("hf://acme/tiny")
    assert (found.reason, found.code) == ("RateLimited", 75)
    assert "again in 3600 s" in found.told["message"]


def test_a_hub_that_fails_once_is_asked_again(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.broken = 1
    found = commands.inspect("hf://acme/tiny")
    assert found.code == 0
    assert f"SourceUnreachable: {hub.url} answers 503" in found.stderr


def test_a_mirror_without_sizes_is_asked_for_each_file(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    plain = commands.inspect("hf://acme/tiny").facts
    hub.rules.without_sizes = True
    assert commands.inspect("hf://acme/tiny").facts == plain


SIBLING = {"rfilename": "config.json", "size": 2}


@pytest.mark.parametrize(
    "page",
    [
        "<html>Please log in</html>",
        "[" * 100_000,
        *(
            json.dumps({"id": "acme/tiny", "sha": "a" * 40, "siblings": [SIBLING], **wrong})
            for wrong in ({"sha": 7}, {"siblings": [{**SIBLING, "size": "2"}]}, {"siblings": [{**SIBLING, "rfilename": ["a"]}]}, {"siblings": [{"size": 2}]})
        ),
    ],
    ids=["login", "depth", "commit", "size", "name", "nameless"],
)
def test_an_answer_that_is_not_the_hubs_is_told_as_that(hub: Hub, commands: Commands, page: str) -> None:
    # Proxies and captive portals answer everything with 200 and a page of their own.
    hub.rules.page = page
    found = commands.inspect("hf://acme/tiny")
    assert (found.code, found.reason) == (75, "SourceUnreachable")
    assert f"{hub.url} answers with something that is no list of a repository's files" in found.told["message"]


def test_what_a_mirror_does_not_know_is_told_with_the_path(hub: Hub, commands: Commands) -> None:
    hub.rules.page, hub.rules.page_status = "{}", 404
    found = commands.inspect("hf://acme/tiny")
    assert found.reason == "ModelNotFound"
    assert f"{hub.url} answers 404 for /api/models/acme/tiny" in found.told["message"]


def test_text_that_no_encoding_takes_is_told_all_the_same(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    (hub.root / "acme/tiny/config.json").write_text('{"architectures": ["Llama\\ud800"], "model_type": "llama"}')
    found = commands.inspect("hf://acme/tiny")
    assert found.facts["config"]["architectures"] == ["Llama?"] == found.told["config"]["architectures"]


def test_a_server_without_ranges_serves_too(hub: Hub, commands: Commands) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.without_ranges = True
    assert commands.inspect("hf://acme/tiny").facts["weights"]["tensors"][0]["part"] == "linear"


def test_a_configuration_that_is_no_json_is_shown(hub: Hub, commands: Commands) -> None:
    (models.single_file(hub.root / "acme/tiny") / "config.json").write_text("<!DOCTYPE html><html>")
    found = commands.inspect("hf://acme/tiny")
    assert found.reason == "InvalidModel"
    assert "config.json is not JSON" in found.told["message"]
    assert "it begins with '<!DOCTYPE html><html>'" in found.told["message"]


def test_a_repository_without_a_configuration_says_what_is_there(hub: Hub, commands: Commands) -> None:
    (models.single_file(hub.root / "acme/tiny") / "config.json").unlink()
    found = commands.inspect("hf://acme/tiny")
    assert found.reason == "InvalidModel"
    assert "no config.json among 5 files (.gitattributes, README.md, generation_config.json" in found.told["message"]


def test_an_adapter_is_known_by_its_own_configuration(hub: Hub, commands: Commands) -> None:
    folder = hub.root / "acme/sql-lora"
    models.write_json(folder / "adapter_config.json", {"r": 16, "base_model_name_or_path": "acme/tiny", "target_modules": ["q_proj", "v_proj"]})
    models.write_safetensors(folder / "adapter_model.safetensors", {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": ("F32", (16, 64))})
    facts = commands.inspect("hf://acme/sql-lora").facts
    assert facts["adapter"] == {"rank": 16, "baseModel": "acme/tiny", "targetModules": ["q_proj", "v_proj"]}
    assert facts["weights"]["tensors"] == [{"part": "linear", "dtype": "F32", "bytes": 4096, "count": 1}]


def test_weights_in_other_formats_are_counted_as_files(hub: Hub, commands: Commands) -> None:
    folder = models.single_file(hub.root / "acme/old")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "training_args.bin").write_bytes(b"x" * 5000)
    weights = commands.inspect("hf://acme/old").facts["weights"]
    assert weights == {"format": "pytorch", "files": 1, "bytes": (folder / "pytorch_model.bin").stat().st_size, "tensors": []}


def test_nothing_listening_is_told_as_that_and_may_be_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = Commands(tmp_path, {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}).inspect("hf://acme/tiny")
    assert (found.reason, found.code) == ("SourceUnreachable", 75)
    assert f"http://127.0.0.1:{port} cannot be reached: nothing listens there" in found.told["message"]


def test_a_name_that_is_not_known_is_told_as_that(tmp_path: Path) -> None:
    found = Commands(tmp_path, {"HF_ENDPOINT": "http://hub.invalid"}).inspect("hf://acme/tiny")
    assert found.reason == "SourceUnreachable"
    assert "its name is not known here" in found.told["message"]
    assert "DNS" in found.told["message"]


def test_a_server_that_speaks_no_tls_is_told_as_that(hub: Hub, tmp_path: Path) -> None:
    found = Commands(tmp_path, {"HF_ENDPOINT": hub.url.replace("http:", "https:")}).inspect("hf://acme/tiny")
    assert found.reason == "SourceUnreachable"
    assert "TLS" in found.told["message"]


def test_offline_mode_is_told_as_that(commands: Commands) -> None:
    found = commands.inspect("hf://acme/tiny", HF_HUB_OFFLINE="1")
    assert found.reason == "SourceUnreachable"
    assert "HF_HUB_OFFLINE" in found.told["message"]


def test_a_source_of_no_kind_is_a_wrong_argument(commands: Commands) -> None:
    found = commands.inspect("ftp://acme/tiny")
    assert found.code == 2
    assert "is none of hf://owner/repository[@revision]" in found.stderr


def test_nothing_is_written_but_the_termination_message(hub: Hub, commands: Commands, tmp_path: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    home = tmp_path / "home"
    home.mkdir()
    assert commands.inspect("hf://acme/tiny", HOME=str(home)).code == 0
    assert [*home.rglob("*"), *(tmp_path / "tmp").rglob("*")] == []


def test_long_facts_are_printed_whole_and_told_short(hub: Hub, commands: Commands) -> None:
    config = {**models.LLAMA, "id2label": {str(number): f"LABEL_{number}" for number in range(1000)}}
    models.single_file(hub.root / "acme/long", config)
    found = commands.inspect("hf://acme/long")
    assert found.facts["config"] == config
    assert len(found.message) <= MAX_BYTES
    assert found.told["config"] == models.LLAMA
    assert json.loads(found.message)["weights"] == found.facts["weights"]
