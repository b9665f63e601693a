import socket
from pathlib import Path

import pytest

from llmfleet_runtime.connections import count


def test_a_connection_counts_on_the_server_s_side_until_it_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert count(port) == 0
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        assert count(port) == 1
        client.shutdown(socket.SHUT_WR)
        assert count(port) == 1, "the client has sent all, and waits for the answer"
        accepted.close()
        client.close()
        assert count(port) == 0


@pytest.mark.parametrize(
    ("state", "open_ones"),
    [("01", 1), ("04", 1), ("08", 1), ("09", 1), ("0B", 1), ("05", 0), ("06", 0), ("07", 0), ("0A", 0)],
    ids=["ESTABLISHED", "FIN_WAIT1", "CLOSE_WAIT", "LAST_ACK", "CLOSING", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "LISTEN"],
)
def test_a_connection_is_open_until_its_last_byte_is_acknowledged(tmp_path: Path, state: str, open_ones: int) -> None:
    table = tmp_path / "tcp"
    table.write_text(f"  sl  local_address rem_address   st\n   0: 0100007F:1F40 0100007F:9C40 {state} 00000000:00000000\n")
    assert count(8000, tables=[table]) == open_ones


def test_ipv6_connections_count() -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert count(port) == 1


def test_without_the_kernel_s_tables_nothing_is_known(tmp_path: Path) -> None:
    assert count(8000, tables=[tmp_path / "tcp"]) is None
