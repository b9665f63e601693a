"""One operator for the tests of the command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.waiting import eventually
from tests.integration.operator_process import Operator


@pytest.fixture(scope="module")
def beside(installed: Path, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    running = Operator(installed, control_plane.audit_log, tmp_path_factory.mktemp("cli") / "log", "cli")
    running.start()
    yield running
    running.end_cleanly()


@pytest.fixture
async def operator(beside: Operator) -> Operator:
    """An operator that is ready; in a session where another test's leads, that one writes, with the same settings."""
    await eventually(beside.is_ready, within_seconds=40, what="the operator is ready")
    return beside
