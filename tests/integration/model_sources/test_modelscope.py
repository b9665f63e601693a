import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.model_sources import models, modelscope
from tests.integration.model_sources.commands import Commands
from tests.integration.model_sources.modelscope import ModelScopeHub


@pytest.fixture
def modelscope_hub(tmp_path: Path) -> Iterator[ModelScopeHub]:
    root = tmp_path / "modelscope"
    root.mkdir()
    with modelscope.serving(root) as running:
        yield running


@pytest.fixture
def commands(modelscope_hub: ModelScopeHub, tmp_path: Path) -> Commands:
    return Commands(tmp_path, {"MODELSCOPE_ENDPOINT": modelscope_hub.url})


def test_a_model_is_inspected_by_its_headers(modelscope_hub: ModelScopeHub, commands: Commands) -> None:
    big = {**models.llama_tensors(), "model.layers.1.mlp.extra.weight": ("BF16", (1024, 1024))}
    models.write_safetensors(models.single_file(modelscope_hub.root / "acme/tiny") / "model.safetensors", big)
    facts = commands.inspect("modelscope://acme/tiny").facts
    assert (facts["config"], facts["weights"]["files"]) == (models.LLAMA, 1)
    assert [asked for name, asked in modelscope_hub.ranges if name == "model.safetensors"] == ["bytes=0-131071"]


def test_a_model_is_fetched_and_checked(modelscope_hub: ModelScopeHub, commands: Commands, tmp_path: Path) -> None:
    folder = models.sharded(modelscope_hub.root / "acme/tiny")
    found = commands.fetch("modelscope://acme/tiny@master", tmp_path / "claim/tiny")
    assert found.code == 0, found.stderr
    assert found.told["revision"] == "master"
    for path in folder.glob("*.safetensors"):
        assert (tmp_path / "claim/tiny" / path.name).read_bytes() == path.read_bytes()


def test_a_file_that_is_shorter_than_it_was_listed_is_not_waited_for(modelscope_hub: ModelScopeHub, commands: Commands, tmp_path: Path) -> None:
    models.single_file(modelscope_hub.root / "acme/tiny")
    modelscope_hub.overstated_bytes = 10
    found = commands.fetch("modelscope://acme/tiny", tmp_path / "claim/tiny")
    assert (found.reason, found.code) == ("ChecksumMismatch", 1)
    assert "was changed while it was being read" in found.told["message"]


def test_a_revision_that_does_not_exist_is_told_with_those_that_do(modelscope_hub: ModelScopeHub, commands: Commands) -> None:
    models.single_file(modelscope_hub.root / "acme/tiny")
    found = commands.inspect("modelscope://acme/tiny@v9")
    assert (found.reason, found.code) == ("RevisionNotFound", 1)
    assert "no revision 'v9'; it has v1.0, master" in found.told["message"]


def test_a_repository_that_does_not_exist_is_named(commands: Commands) -> None:
    found = commands.inspect("modelscope://acme/tyni")
    assert found.reason == "ModelNotFound"
    assert "modelscope://acme/tyni: there is no such repository" in found.told["message"]


def test_a_private_model_asks_for_a_secret_and_takes_its_token(modelscope_hub: ModelScopeHub, commands: Commands) -> None:
    models.single_file(modelscope_hub.root / "acme/tiny")
    modelscope_hub.private, modelscope_hub.token = {"acme/tiny"}, "ms-token"
    found = commands.inspect("modelscope://acme/tiny")
    assert found.reason == "ModelAccessDenied"
    assert "let spec.model.credentials name a Secret with a token" in found.told["message"]
    refused = commands.inspect("modelscope://acme/tiny", MODELSCOPE_API_TOKEN="other", LLMFLEET_CREDENTIALS="secret ms key token")
    assert "the token of secret ms key token (spec.model.credentials) is refused" in refused.told["message"]
    assert commands.inspect("modelscope://acme/tiny", MODELSCOPE_API_TOKEN="ms-token").code == 0


@pytest.mark.parametrize(
    "page",
    ["[]", "null", "[" * 100_000, *(json.dumps({"Code": 200, "Data": {"Files": files}}) for files in ("abc", [{"Path": "a", "Size": "x"}], [{"Path": ["a"]}]))],
    ids=["list", "null", "depth", "files", "size", "name"],
)
def test_an_answer_that_is_not_the_hubs_is_told_as_that(modelscope_hub: ModelScopeHub, commands: Commands, page: str) -> None:
    modelscope_hub.page = page
    found = commands.inspect("modelscope://acme/tiny")
    assert (found.code, found.reason) == (75, "SourceUnreachable")
    assert f"{modelscope_hub.url} answers with something that is no list of a repository's files" in found.told["message"]


def test_a_hub_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    found = Commands(tmp_path, {"MODELSCOPE_ENDPOINT": "http://127.0.0.1:9", "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1"}).inspect("modelscope://acme/tiny")
    assert (found.reason, found.code) == ("SourceUnreachable", 75)
    assert "http://127.0.0.1:9 cannot be reached: nothing listens there" in found.told["message"]


def test_nothing_is_written_into_home(modelscope_hub: ModelScopeHub, commands: Commands, tmp_path: Path) -> None:
    models.single_file(modelscope_hub.root / "acme/tiny")
    home = tmp_path / "home"
    home.mkdir()
    assert commands.inspect("modelscope://acme/tiny", HOME=str(home)).code == 0
    assert list(home.rglob("*")) == []
