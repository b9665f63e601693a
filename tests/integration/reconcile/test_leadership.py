"""Two operators, one writer: who it is may change at any time, and that alone changes nothing.

Both run under one account, each with a token of its own, by which the audit log tells them apart.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from tests.integration.operator_process import Operator, Write, kubeconfig_of_the_account, quiet, service

LEASE_SECONDS = 15
"""How long the others wait for a leader that says nothing any more."""


@pytest.fixture
def standby(operator: Operator, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Operator]:
    """A second operator beside the one that leads."""
    running = Operator(kubeconfig_of_the_account(control_plane, tmp_path / "kubeconfig"), control_plane.audit_log, tmp_path / "log", "standby")
    running.start()
    yield running
    running.end_cleanly()


def _by(operator: Operator, all_writes: list[Write]) -> list[str]:
    return [str(write) for write in all_writes if write.credential == operator.credential]


async def _changes(leader: Operator, kubectl: Kubectl, namespace: str, before: list[Write], length: int) -> list[Write]:
    """Change a field; the leader carries it out as always, and nobody else writes anything."""
    kubectl.must("apply", "-f", "-", given=service("one", namespace, model={"source": "pvc://models/tiny", "maxLength": length}))
    await eventually(lambda: len(leader.writes(namespace)) > len(before), what="the new leader goes on")
    after = await quiet(leader, namespace)
    new = after[len(before) :]
    workload, status = "patch deployments one-engine 200", "patch llmservices/status one 200"
    # How many statuses follow a rollout step by step depends on the cluster's pace; test_writes bounds them.
    assert [write for write in _by(leader, new) if write != status] == [workload]
    assert len(_by(leader, new)) == len(new), "only the leader writes"
    return after


async def test_one_of_two_writes_and_the_other_takes_over(operator: Operator, standby: Operator, kubectl: Kubectl, namespace: str) -> None:
    await eventually(standby.is_ready, what="the second operator is ready")
    kubectl.must("apply", "-f", "-", given=service("one", namespace))
    writes = await quiet(operator, namespace)
    assert len(_by(operator, writes)) == len(writes) > 0
    assert await operator.is_ready()
    assert not await standby.is_leader()

    # Stopped: the Lease is given back, the next one leads at once.
    since = time.monotonic()
    assert operator.end(signal.SIGTERM) == 0
    stopped = time.monotonic()
    await standby.leading(within_seconds=5)
    print(f"stopped in {stopped - since:.1f} s, the other leads after {time.monotonic() - since:.1f} s")
    assert await quiet(operator, namespace) == writes, "a change of leaders is no reason to write"
    writes = await _changes(standby, kubectl, namespace, writes, 1024)

    operator.identity = "first-again"
    operator.start()
    await eventually(operator.is_ready, what="the first operator is ready again")
    assert not await operator.is_leader(), "who comes back waits"

    # Killed: nobody knows, until the Lease runs out.
    since = time.monotonic()
    standby.end(signal.SIGKILL)
    await operator.leading(within_seconds=LEASE_SECONDS + 5)
    print(f"killed; the other leads after {time.monotonic() - since:.1f} s")
    assert time.monotonic() - since > LEASE_SECONDS - 3, "before the Lease ran out, the dead one might have been alive"
    assert await quiet(operator, namespace) == writes
    await _changes(operator, kubectl, namespace, writes, 2048)
