"""Which mounts lie below a folder, and in which order they can be taken away."""

from pathlib import Path

import pytest

from e2e.cluster import mounts

MOUNTINFO = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:5 / /state/pods rw - tmpfs tmpfs rw
31 30 0:6 / /state/pods/one\\040two/shm rw - tmpfs shm rw
32 22 0:7 / /state-of-another rw - tmpfs tmpfs rw
33 22 0:8 / /state rw - tmpfs tmpfs rw
"""


def test_latest_mount_comes_first() -> None:
    assert mounts.below(Path("/state"), MOUNTINFO) == ["/state", "/state/pods/one two/shm", "/state/pods"]


def test_folder_with_the_same_beginning_is_another_folder() -> None:
    assert "/state-of-another" not in mounts.below(Path("/state"), MOUNTINFO)


@pytest.mark.parametrize("folder", ["/state/pods/one two", "/state/pods/one two/shm"])
def test_blank_in_a_mount_point(folder: str) -> None:
    assert mounts.below(Path(folder), MOUNTINFO) == ["/state/pods/one two/shm"]


def test_tree_without_mounts_is_removed(tmp_path: Path) -> None:
    (tmp_path / "state" / "etcd").mkdir(parents=True)
    mounts.remove_tree(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_absent_tree_is_no_error(tmp_path: Path) -> None:
    mounts.remove_tree(tmp_path / "absent")
