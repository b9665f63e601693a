import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.preflight_volumes import FULL_BYTES, directories_are_writable, shared_memory_suffices
from llmfleet_runtime.settings import Settings

MIB = 1024**2


def writable(model: str = "/m", **environment: str) -> Refusal | None:
    return directories_are_writable(Settings(command=("vllm", "serve", model), environment=environment))


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "VLLM_CACHE_ROOT"])
def test_a_directory_that_can_be_written_passes_and_nothing_is_left_in_it(tmp_path: Path, name: str) -> None:
    assert writable(**{name: str(tmp_path)}) is None
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_yet_is_made_by_vllm(tmp_path: Path) -> None:
    assert writable(HOME=str(tmp_path / "a/b")) is None


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "VLLM_CACHE_ROOT"])
def test_what_is_no_directory_is_told_with_its_variable(tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.touch()
    assert writable(**{name: str(file)}) == Refusal(Reason.NOT_WRITABLE, f"the engine cannot write to {file} ({name}): Not a directory")


def test_a_read_only_file_system_is_told() -> None:
    assert writable(HOME="/proc/self") is not None


def test_a_hub_s_cache_is_written_only_where_the_hub_is_asked() -> None:
    assert writable("/m", HF_HOME="/proc/self") is None
    assert writable("acme/tiny", HF_HOME="/proc/self", HF_HUB_OFFLINE="1") is None
    assert writable("acme/tiny", HF_HOME="/proc/self") is not None


def test_a_hub_s_cache_that_has_the_model_may_be_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    (tmp_path / "hub/models--acme--tiny").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(tempfile, "gettempdir", str)
    assert writable("acme/tiny", HF_HOME=str(tmp_path)) is None
    assert writable("acme/other", HF_HOME=str(tmp_path)) is not None


def _statvfs(free_bytes: int, blocks: int = 1000) -> Callable[[object], Any]:
    values = os.statvfs("/")
    return lambda _: os.statvfs_result((1, 1, blocks, free_bytes, free_bytes, *tuple(values)[5:]))


@pytest.mark.parametrize(("free_bytes", "blocks", "passes"), [(FULL_BYTES, 1000, True), (FULL_BYTES - 1, 1000, False), (0, 0, True)])
def test_a_volume_with_next_to_nothing_free_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, blocks: int, passes: bool) -> None:
    monkeypatch.setattr(os, "statvfs", _statvfs(free_bytes, blocks))
    refusal = writable(HOME=str(tmp_path))
    assert refusal == (None if passes else Refusal(Reason.DISK_FULL, f"the volume of {tmp_path} (HOME) has 15 MiB free"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_volume_that_takes_nothing_more_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    assert writable(HOME=str(tmp_path)) == Refusal(Reason.DISK_FULL, f"the volume of {tmp_path} (HOME) is full")


# --- Shared memory -----------------------------------------------------------------------------------------------------


@pytest.fixture
def free_mib(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def give(mib: int) -> None:
        usage = shutil.disk_usage("/")._replace(free=mib * MIB)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    return give


def shared_memory(directory: Path | None, *arguments: str, accelerators: int | None = None) -> Refusal | None:
    return shared_memory_suffices(Settings(command=("vllm", "serve", "/m", *arguments), shared_memory=directory, accelerators=accelerators))


@pytest.mark.parametrize(
    ("arguments", "accelerators", "need_mib"),
    [
        ((), None, 400),
        ((), 2, 640),
        (("--tensor-parallel-size=2",), None, 640),
        (("-tp", "2", "--pipeline_parallel_size", "2"), None, 1120),
        (("-dp", "2"), None, 640),
    ],
)
def test_every_rank_needs_its_queue(tmp_path: Path, free_mib: Callable[[int], None], arguments: tuple[str, ...], accelerators: int, need_mib: int) -> None:
    free_mib(need_mib)
    assert shared_memory(tmp_path, *arguments, accelerators=accelerators) is None
    free_mib(need_mib - 1)
    refusal = shared_memory(tmp_path, *arguments, accelerators=accelerators)
    assert refusal is not None
    assert refusal.reason is Reason.SHARED_MEMORY_TOO_SMALL
    assert f"has {need_mib - 1} MiB free" in refusal.message
    assert refusal.message.endswith(f"{need_mib} MiB")


def test_one_nvidia_device_alone_needs_none(tmp_path: Path, free_mib: Callable[[int], None]) -> None:
    free_mib(1)
    assert shared_memory(tmp_path, accelerators=1) is None


def test_nobody_looks_where_there_is_no_shared_memory(tmp_path: Path) -> None:
    assert shared_memory(None) is None
    assert shared_memory(tmp_path / "no") is None
