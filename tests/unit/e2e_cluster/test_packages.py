"""Debian packages: what a killed installation left is completed, and a service that the machine did not have is not left enabled."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.cluster import packages


class Killed(BaseException):
    """Stands for SIGKILL; what runs in a `finally` all the same is put back by the test."""


@dataclass
class Machine:
    """A machine without containerd, whose apt unpacks it and enables its service."""

    root: Path
    commands: list[str] = field(default_factory=list)
    policy_seen: list[bool] = field(default_factory=list)
    during_install: Callable[[], None] = lambda: None

    @property
    def policy(self) -> Path:
        return self.root / "policy-rc.d"

    @property
    def enabled(self) -> Path:
        return self.root / "containerd.service"

    @property
    def installed(self) -> Path:
        return self.root / "usr-bin-containerd-of-the-test"

    def run(self, *command: str, check: bool) -> None:
        self.commands.append(" ".join(command))
        if "install" in command:
            self.policy_seen.append(self.policy.exists())
            self.installed.touch()
            if not self.enabled.is_symlink():
                self.enabled.symlink_to("somewhere")
            self.during_install()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.setattr(packages, "_NOTE", tmp_path / "note.json")
    monkeypatch.setattr(packages, "_LOCK", tmp_path / "lock")
    monkeypatch.setattr(packages, "NEEDED", {"containerd": str(found.installed)})
    monkeypatch.setattr(packages, "_POLICY", found.policy)
    monkeypatch.setattr(packages, "_ENABLED", found.enabled)
    monkeypatch.setattr(packages, "_run", found.run)
    return found


def kill_during_the_installation(machine: Machine) -> None:
    def killed() -> None:
        raise Killed

    machine.during_install = killed
    with pytest.raises(Killed):
        packages.ensure(["containerd"])
    machine.policy.write_text(packages._POLICY_TEXT)
    machine.during_install = lambda: None
    machine.commands.clear()
    assert machine.enabled.is_symlink()


def test_an_installation_starts_and_enables_no_service(machine: Machine) -> None:
    packages.ensure(["containerd"])
    assert machine.policy_seen == [True]
    assert not machine.policy.exists()
    assert not machine.enabled.is_symlink()
    assert any("DPkg::Lock::Timeout=300 install" in command for command in machine.commands)


def test_what_is_there_needs_no_command(machine: Machine) -> None:
    packages.ensure(["containerd"])
    machine.commands.clear()
    packages.ensure(["containerd"])
    assert machine.commands == []


def test_a_killed_installation_is_completed_though_its_files_are_there(machine: Machine) -> None:
    kill_during_the_installation(machine)
    packages.ensure([])
    assert machine.commands[0] == "dpkg --configure -a"
    assert machine.commands[-1].endswith(" containerd")
    assert not machine.policy.exists(), "our own policy is not taken for the machine's"
    assert not machine.enabled.is_symlink(), "it was not enabled before the killed run"
    machine.commands.clear()
    packages.ensure(["containerd"])
    assert machine.commands == []


def test_a_service_that_the_machine_had_enabled_stays_so_after_a_kill(machine: Machine) -> None:
    machine.enabled.symlink_to("somewhere")
    kill_during_the_installation(machine)
    assert json.loads(packages._NOTE.read_text())["was_enabled"] is True
    packages.ensure(["containerd"])
    assert machine.enabled.is_symlink()


def test_the_machines_own_policy_is_left_alone(machine: Machine) -> None:
    machine.policy.write_text("#!/bin/sh\nexit 0\n")
    packages.ensure(["containerd"])
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n"
