import os
from pathlib import Path

import pytest

from tests.integration.model_sources import models
from tests.integration.model_sources.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, {})


def test_a_mounted_model_is_known_without_a_download(commands: Commands, tmp_path: Path) -> None:
    facts = commands.inspect(models.sharded(tmp_path / "claim/llama")).facts
    assert (facts["config"], facts["weights"]["files"], facts["source"]) == (models.LLAMA, 3, str(tmp_path / "claim/llama"))
    assert "download" not in facts
    assert "revision" not in facts


def test_the_links_of_a_hubs_own_cache_are_followed(commands: Commands, tmp_path: Path) -> None:
    blobs, snapshot = models.single_file(tmp_path / "blobs"), tmp_path / "snapshots/abc"
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert commands.inspect(snapshot).facts["weights"]["files"] == 1


def test_links_that_lead_back_are_followed_once(commands: Commands, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "model")
    for name in ("one", "other"):
        (folder / name).mkdir()
    for number in range(8):
        (folder / f"itself{number}").symlink_to(".")
        (folder / "one" / f"there{number}").symlink_to("../other")
        (folder / "other" / f"back{number}").symlink_to("../one")
    assert commands.inspect(folder).facts["weights"]["files"] == 1


def test_a_link_that_leads_nowhere_is_told_as_that(commands: Commands, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/elsewhere/model.safetensors")
    found = commands.inspect(folder)
    assert found.reason == "IncompleteModel"
    assert "there is only a link to a file that is not on this volume" in found.told["message"]


def test_a_directory_that_does_not_exist_is_told_with_what_is_there(commands: Commands, tmp_path: Path) -> None:
    models.single_file(tmp_path / "claim/llama")
    found = commands.inspect(tmp_path / "claim/lama/v2")
    assert found.reason == "ModelNotFound"
    assert f"there is no such directory ({tmp_path}/claim holds llama); correct the path in spec.model.source" in found.told["message"]


def test_an_empty_directory_is_told_as_that(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    found = commands.inspect(tmp_path / "claim")
    assert found.reason == "InvalidModel"
    assert "the directory is empty" in found.told["message"]


def test_a_model_one_level_deeper_is_pointed_at(commands: Commands, tmp_path: Path) -> None:
    models.single_file(tmp_path / "claim/llama")
    found = commands.inspect(tmp_path / "claim")
    assert found.reason == "InvalidModel"
    assert "there is one in llama: is that the model?" in found.told["message"]


def test_a_file_that_was_copied_by_half_is_named_with_its_sizes(commands: Commands, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "claim/llama")
    size = (folder / "model.safetensors").stat().st_size
    os.truncate(folder / "model.safetensors", 200_000)
    found = commands.inspect(folder)
    assert found.reason == "IncompleteModel"
    assert f"model.safetensors is only half there: 200000 bytes, its own header says at least {size}" in found.told["message"]


def test_pointers_of_git_lfs_are_told_with_the_remedy(commands: Commands, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "claim/llama")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    found = commands.inspect(folder)
    assert found.reason == "IncompleteModel"
    assert "git lfs pull" in found.told["message"]


def test_what_is_no_safetensors_is_told_as_that(commands: Commands, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "claim/llama")
    (folder / "model.safetensors").write_bytes(b"PK\x03\x04 a zip archive, and quite a long one")
    found = commands.inspect(folder)
    assert found.reason == "InvalidModel"
    assert "model.safetensors is no safetensors file" in found.told["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_that_this_user_may_not_read_are_told_with_the_remedy(commands: Commands, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "claim/llama")
    (folder / "config.json").chmod(0o600)
    for path in (tmp_path, *(parent for parent in tmp_path.parents if parent.name.startswith(("pytest-", "popen-")))):
        path.chmod(0o777)
    found = commands.inspect(folder, wrapper=("setpriv", "--reuid=65532", "--clear-groups"))
    assert found.reason == "ModelAccessDenied"
    assert "this pod's user 65532 may not read it" in found.told["message"]
