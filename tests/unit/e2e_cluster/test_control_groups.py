"""Control groups are removed although the kernel takes its time."""

import errno
from pathlib import Path

import pytest

from e2e.cluster.node_processes import remove_group


class Group(type(Path())):  # type: ignore[misc]
    """A control group that is busy for the first looks, as the kernel's are after a kill."""

    busy: list[int]

    def rmdir(self) -> None:
        if self.busy:
            raise OSError(self.busy.pop(), "refused")
        super().rmdir()


def test_a_busy_group_is_tried_again(tmp_path: Path) -> None:
    group = Group(tmp_path / "group")
    group.busy = [errno.EBUSY, errno.EBUSY]
    group.mkdir()
    remove_group(group)
    assert not group.exists()


def test_a_group_that_is_gone_is_no_error(tmp_path: Path) -> None:
    remove_group(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_any_other_refusal_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "group" / "child").mkdir(parents=True)
    with pytest.raises(OSError, match="not empty"):
        remove_group(tmp_path / "group")
