"""Which process is ours: told by pid and start time, found by the mark in its environment."""

import os
import subprocess
import sys
from pathlib import Path

from e2e.cluster import controlplane
from e2e.cluster.processes import Process, Program, Record, Records, marked, start_ticks


def _proc_entry(proc: Path, pid: int, name: str = "sleep", state: str = "S", ticks: int = 4242, environment: bytes = b"") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    fields = [state, *("0" for _ in range(18)), str(ticks), "0"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "environ").write_bytes(environment)


def test_start_time_is_field_22_whatever_the_name_holds(tmp_path: Path) -> None:
    _proc_entry(tmp_path, 7, name="a) S 1 (b", ticks=99)
    assert start_ticks(7, tmp_path) == 99


def test_absent_process_has_no_start_time(tmp_path: Path) -> None:
    assert start_ticks(7, tmp_path) is None


def test_zombie_counts_as_ended(tmp_path: Path) -> None:
    _proc_entry(tmp_path, 7, state="Z")
    assert start_ticks(7, tmp_path) is None


def test_reused_pid_is_not_our_process() -> None:
    present = start_ticks(1)
    assert present is not None
    assert Process(1, present).alive
    assert not Process(1, present + 1).alive


def test_record_survives_a_round_trip(tmp_path: Path) -> None:
    records = Records(tmp_path / "run")
    record = Record(Process(12, 34), ("etcd", "--flag"))
    records.write("etcd", record)
    assert records.read("etcd") == record
    assert records.all() == {"etcd": record}


def test_half_written_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "etcd.json").write_text('{"process": {"pid"')
    assert Records(tmp_path).read("etcd") is None
    assert Records(tmp_path).all() == {}


def test_removing_an_unknown_record_is_no_error(tmp_path: Path) -> None:
    Records(tmp_path).remove("etcd")


def test_marked_processes_are_found_with_their_value(tmp_path: Path) -> None:
    _proc_entry(tmp_path, 10, environment=b"A=1\0MARK=/state/one\0B=2\0", ticks=5)
    _proc_entry(tmp_path, 11, environment=b"NOMARK=/state/one\0")
    _proc_entry(tmp_path, 12, environment=b"MARK=/state/two\0", ticks=6)
    (tmp_path / "self").mkdir()
    assert sorted(marked("MARK", tmp_path), key=lambda found: found[0].pid) == [(Process(10, 5), "/state/one"), (Process(12, 6), "/state/two")]


def test_program_in_a_namespace_is_started_by_nsenter() -> None:
    program = Program("kubelet", ("kubelet", "--x"), "llmfleet-node0")
    assert program.full_command == ("nsenter", "--net=/run/netns/llmfleet-node0", "kubelet", "--x")


def test_what_a_killed_test_started_is_ended_and_a_living_ones_is_not() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(sleep, env={**os.environ, controlplane.OWNER_VARIABLE: "999999999:1"}) as orphan,
        subprocess.Popen(sleep, env={**os.environ, **controlplane.owner_mark()}) as child,
    ):
        try:
            controlplane.end_orphans()
            orphan.wait(10)
            assert child.poll() is None
        finally:
            orphan.kill()
            child.kill()
