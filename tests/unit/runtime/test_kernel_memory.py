from pathlib import Path

from llmfleet_runtime.kernel_memory import kills


def test_a_container_of_cgroup_version_2_counts_what_the_kernel_killed(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n")
    assert kills(tmp_path) == 2


def test_a_container_of_cgroup_version_1_counts_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert kills(tmp_path) == 1


def test_where_nobody_counts_nothing_was_killed(tmp_path: Path) -> None:
    assert kills(tmp_path) == 0
    (tmp_path / "memory.events").write_text("oom_kill many\n")
    assert kills(tmp_path) == 0
