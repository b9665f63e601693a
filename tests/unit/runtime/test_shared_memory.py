import mmap
from pathlib import Path

from llmfleet_runtime.shared_memory import clean


def test_what_a_dead_engine_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("psm_1a2b", "sem.mp-x", "torch_1_2", "nccl-abc", "other", "psmish"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "psm_directory").mkdir()
    assert clean(tmp_path) == ["nccl-abc", "psm_1a2b", "sem.mp-x", "torch_1_2"]
    assert {path.name for path in tmp_path.iterdir()} == {"other", "psmish", "psm_directory"}


def test_what_a_living_process_has_mapped_stays(tmp_path: Path) -> None:
    segment = tmp_path / "psm_in_use"
    segment.write_bytes(b"x" * 4096)
    with segment.open("r+b") as file, mmap.mmap(file.fileno(), 4096):
        assert clean(tmp_path) == []
    assert clean(tmp_path) == ["psm_in_use"]


def test_no_directory_is_no_leftovers(tmp_path: Path) -> None:
    assert clean(tmp_path / "absent") == []
