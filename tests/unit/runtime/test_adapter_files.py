from pathlib import Path
from typing import Any

import pytest

from llmfleet_runtime.adapter_files import size_bytes, trouble
from tests.unit.runtime.adapter_engine import write_adapter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "sql")


def test_an_adapter_as_peft_writes_it_is_fine(path: Path) -> None:
    assert trouble(path, 16) is None


def test_a_rank_that_is_the_limit_is_fine(tmp_path: Path) -> None:
    assert trouble(write_adapter(tmp_path / "sql", rank=16), 16) is None


def test_a_rank_above_the_limit_says_what_to_raise(tmp_path: Path) -> None:
    assert trouble(write_adapter(tmp_path / "sql", rank=17), 16) == "rank 17 exceeds adapters.maxRank 16: raise it"


def test_a_rank_of_a_single_module_counts(tmp_path: Path) -> None:
    assert trouble(write_adapter(tmp_path / "sql", rank_pattern={"v_proj": 32}), 16) == "rank 32 exceeds adapters.maxRank 16: raise it"


def test_a_rank_that_no_engine_takes_is_not_to_be_raised(tmp_path: Path) -> None:
    assert "train it again" in str(trouble(write_adapter(tmp_path / "sql", rank=1024), 512))


@pytest.mark.parametrize("rank", [0, -1, None, "8", True, 1.5])
def test_what_is_no_rank_is_told(tmp_path: Path, rank: Any) -> None:
    assert "says no rank (r)" in str(trouble(write_adapter(tmp_path / "sql", rank=rank), 16))


@pytest.mark.parametrize("content", ["[]", "null", "7"])
def test_a_configuration_that_is_no_object_has_no_rank(path: Path, content: str) -> None:
    (path / "adapter_config.json").write_text(content)
    assert "says no rank" in str(trouble(path, 16))


def test_a_configuration_that_is_not_json_is_told(path: Path) -> None:
    (path / "adapter_config.json").write_text("{")
    assert "is not JSON" in str(trouble(path, 16))


def test_a_directory_without_configuration_is_no_adapter(path: Path) -> None:
    (path / "adapter_config.json").unlink()
    assert "has no adapter_config.json" in str(trouble(path, 16))


def test_a_configuration_that_may_not_be_read_is_told(path: Path) -> None:
    (path / "adapter_config.json").unlink()
    (path / "adapter_config.json").mkdir()
    assert "cannot be read: Is a directory" in str(trouble(path, 16))


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt"])
def test_weights_have_one_of_three_names(path: Path, name: str) -> None:
    (path / "adapter_model.safetensors").rename(path / "model.safetensors")
    assert "has no weights" in str(trouble(path, 16))
    (path / "model.safetensors").rename(path / name)
    assert trouble(path, 16) is None


def test_the_size_of_a_directory_is_that_of_its_files(path: Path, tmp_path: Path) -> None:
    before = size_bytes(path)
    (path / "more").write_bytes(b"1234")
    assert size_bytes(path) == before + 4
    assert size_bytes(tmp_path / "nowhere") == 0
