"""The shipped table of pod templates is what the API server says."""

from e2e.cluster.controlplane import ControlPlane
from tests.integration.kube.pod_shape_table import FILE, fetched


def test_the_shipped_table_is_the_api_servers(control_plane: ControlPlane) -> None:
    assert FILE.read_text(encoding="utf-8") == fetched(control_plane), "stale: run python -m tests.integration.kube.pod_shape_table"
