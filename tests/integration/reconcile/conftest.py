"""One operator for all tests of the loop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from tests.integration.kubelet import Kubelet
from tests.integration.operator_process import Operator


@pytest.fixture(scope="session")
def process(installed: Path, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all tests: each has a namespace of its own, and counts the writes there."""
    running = Operator(installed, control_plane.audit_log, tmp_path_factory.mktemp("operator") / "log", "first")
    running.start()
    yield running
    running.end_cleanly()


@pytest.fixture
async def operator(process: Operator, kubelet: Kubelet) -> Operator:
    """The operator, leading, in a cluster where models can be looked at."""
    await process.leading()
    return process
