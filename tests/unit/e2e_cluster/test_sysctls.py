"""What the kubelet changes is put back."""

from pathlib import Path

import pytest

from e2e.cluster import sysctls

NAMES = ("vm/overcommit_memory", "kernel/panic")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, value in zip(NAMES, ("0\n", "5\n"), strict=True):
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(value)
    return tmp_path / "sys"


def test_changed_setting_is_put_back_and_named(tmp_path: Path, root: Path) -> None:
    record = tmp_path / "state" / "sysctls.json"
    sysctls.remember(record, NAMES, root)
    (root / "vm/overcommit_memory").write_text("1\n")
    assert sysctls.restore(record, root) == ["vm/overcommit_memory"]
    assert (root / "vm/overcommit_memory").read_text().strip() == "0"
    assert (root / "kernel/panic").read_text().strip() == "5"


def test_second_start_keeps_the_values_of_before_the_first(tmp_path: Path, root: Path) -> None:
    record = tmp_path / "sysctls.json"
    sysctls.remember(record, NAMES, root)
    (root / "kernel/panic").write_text("10\n")
    sysctls.remember(record, NAMES, root)
    sysctls.restore(record, root)
    assert (root / "kernel/panic").read_text().strip() == "5"


def test_setting_that_this_kernel_lacks_is_left_out(tmp_path: Path, root: Path) -> None:
    record = tmp_path / "sysctls.json"
    sysctls.remember(record, (*NAMES, "kernel/absent"), root)
    assert sysctls.restore(record, root) == []


def test_nothing_remembered_means_nothing_to_restore(tmp_path: Path) -> None:
    assert sysctls.restore(tmp_path / "none.json") == []


def test_restore_forgets_the_values(tmp_path: Path, root: Path) -> None:
    record = tmp_path / "sysctls.json"
    sysctls.remember(record, NAMES, root)
    sysctls.restore(record, root)
    assert not record.exists()
