import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from llmfleet_runtime.archive import build


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("image") / "runtime.pyz"
    build(target)
    return target


def run(archive: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the standard library alone (-I -S): what the archive needs, it holds."""
    return subprocess.run([sys.executable, "-I", "-S", str(archive), *arguments], capture_output=True, text=True, check=False, timeout=30)


def test_the_archive_copies_itself_whole_and_readable_by_every_user(archive: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    previous = os.umask(0o077)
    try:
        result = run(archive, "install", str(volume))
    finally:
        os.umask(previous)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in volume.iterdir()] == ["runtime.pyz"]
    assert (volume / "runtime.pyz").read_bytes() == archive.read_bytes()
    assert (volume / "runtime.pyz").stat().st_mode & 0o777 == 0o755


def test_a_copy_replaces_the_former_one(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "runtime.pyz").write_text("older")
    assert run(archive, "install", str(tmp_path)).returncode == 0
    assert (tmp_path / "runtime.pyz").read_bytes() == archive.read_bytes()


def test_the_archive_launches_and_passes_the_exit_code_on(archive: Path) -> None:
    result = run(archive, "launch", "--port=0", "--engine-port=0", "--", sys.executable, "-c", "import sys; print('out'); sys.exit('no reason')")
    assert (result.returncode, result.stdout) == (1, "out\n")
    assert "no reason\n" in result.stderr


def test_nothing_of_the_package_that_needs_libraries_is_in_it(archive: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        names = content.namelist()
    assert "llmfleet_runtime/launcher.py" in names
    assert "llmfleet_runtime/failure_patterns/memory.py" in names
    assert [name for name in names if "/model" in name or "__pycache__" in name] == []


@pytest.mark.parametrize(
    "command",
    [("inspect", "hf://acme/tiny"), ("fetch", "hf://acme/tiny", "/cache/tiny"), ("fetch-adapters", "/list.json", "--fetcher=0", "--directory=/adapters")],
)
def test_what_it_cannot_do_it_says_and_where_it_can_be_done(archive: Path, command: tuple[str, ...]) -> None:
    result = run(archive, *command)
    assert result.returncode == 1
    assert f"llmfleet: {command[0]} runs in the runtime's image, as python3 -m llmfleet_runtime {command[0]}" in result.stderr


def test_a_launch_without_a_command_is_refused(archive: Path) -> None:
    result = run(archive, "launch", "--port=0")
    assert result.returncode == 2
    assert "after --" in result.stderr
