import json
from pathlib import Path

import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.preflight_model import INDEX, model_is_whole
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.settings import Settings

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A whole model of two shards."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / INDEX).write_text(json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[1]}}))
    for shard in SHARDS:
        (path / shard).write_text("weights")
    return path


def looked(model: Path | str, *arguments: str) -> Refusal | None:
    return model_is_whole(Settings(command=("vllm", "serve", str(model), *arguments)))


def test_a_whole_model_passes(model: Path) -> None:
    assert looked(model) is None


def test_a_name_at_a_hub_is_not_looked_for_here() -> None:
    assert looked("acme/tiny") is None


def test_a_command_without_a_model_passes() -> None:
    assert model_is_whole(Settings(command=("vllm", "serve", "--port=8000"))) is None


def test_a_path_that_does_not_exist_is_told(tmp_path: Path) -> None:
    assert looked(tmp_path / "no") == Refusal(Reason.MODEL_NOT_FOUND, f"there is no {tmp_path / 'no'} in the engine's container")


def test_a_model_without_configuration_is_not_whole(model: Path) -> None:
    (model / "config.json").unlink()
    assert looked(model) == Refusal(Reason.MODEL_INCOMPLETE, f"{model} has no config.json")
    assert looked(model, "--hf-config-path", "/elsewhere") is None


@pytest.mark.parametrize("name", ["params.json", "tiny-Q4_K_M.gguf"])
def test_other_kinds_of_configuration_will_do(model: Path, name: str) -> None:
    (model / "config.json").rename(model / name)
    assert looked(model) is None


def test_a_missing_shard_is_named(model: Path) -> None:
    (model / SHARDS[1]).unlink()
    assert looked(model) == Refusal(Reason.MODEL_INCOMPLETE, f"{SHARDS[1]} of 2 files of {model} is missing or empty")


def test_empty_shards_are_named_and_counted(model: Path) -> None:
    for shard in SHARDS:
        (model / shard).write_bytes(b"")
    assert looked(model) == Refusal(Reason.MODEL_INCOMPLETE, f"{SHARDS[0]} and 1 more of 2 files of {model} are missing or empty")


def test_a_shard_that_is_a_link_to_nowhere_is_missing(model: Path) -> None:
    (model / SHARDS[0]).unlink()
    (model / SHARDS[0]).symlink_to("../blobs/gone")
    assert looked(model) is not None


@pytest.mark.parametrize("text", ["", '{"weight_map": {', "[]", '{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none_is_told(model: Path, text: str) -> None:
    (model / INDEX).write_text(text)
    assert looked(model) == Refusal(Reason.MODEL_INCOMPLETE, f"{model / INDEX} is cut short or no index")


def test_a_model_in_one_file_needs_no_index(model: Path) -> None:
    (model / INDEX).unlink()
    assert looked(model) is None
    (model / SHARDS[0]).write_bytes(b"")
    assert looked(model) is not None


def test_a_model_without_weights_is_not_whole(model: Path) -> None:
    for shard in SHARDS:
        (model / shard).unlink()
    refusal = looked(model)
    assert refusal is not None
    assert (refusal.reason, "has no weights" in refusal.message) == (Reason.MODEL_INCOMPLETE, True)


def test_an_index_of_a_kind_that_is_not_there_is_passed_over(model: Path) -> None:
    for shard in SHARDS:
        (model / shard).unlink()
    (model / "pytorch_model.bin").write_text("weights")
    assert looked(model) is None


def test_mistral_s_own_format_is_looked_at_alone_as_vllm_does(model: Path) -> None:
    """A repository may have the same weights twice; its fetched copy has Mistral's and the index of both."""
    for shard in SHARDS:
        (model / shard).unlink()
    (model / "consolidated.safetensors").write_text("weights")
    assert looked(model) is None
    assert looked(model, "--load-format=hf") is not None
    (model / "consolidated.safetensors").write_bytes(b"")
    assert looked(model) == Refusal(Reason.MODEL_INCOMPLETE, f"consolidated.safetensors of 1 files of {model} is missing or empty")


def test_a_missing_shard_of_mistral_s_own_format_is_named(model: Path) -> None:
    (model / "consolidated-00001-of-00002.safetensors").write_text("weights")
    (model / "consolidated.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "consolidated-00001-of-00002.safetensors", "b": "consolidated-00002-of-00002.safetensors"}})
    )
    refusal = looked(model)
    assert refusal is not None
    assert "consolidated-00002-of-00002.safetensors of 2 files" in refusal.message


@pytest.mark.parametrize("load_format", ["dummy", "sharded_state", "runai_streamer", "tensorizer"])
def test_formats_with_files_of_their_own_are_left_to_vllm(model: Path, load_format: str) -> None:
    for shard in SHARDS:
        (model / shard).unlink()
    assert looked(model, f"--load-format={load_format}") is None


def test_a_model_that_is_one_file_is_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.touch()
    assert looked(path) == Refusal(Reason.MODEL_INCOMPLETE, f"{path} is empty")
    path.write_text("weights")
    assert looked(path) is None
