import socket
from pathlib import Path

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


def test_ipv6_connections_count() -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert count(port) == 1


def test_without_the_kernel_s_tables_nothing_is_known(tmp_path: Path) -> None:
    assert count(8000, tables=[tmp_path / "tcp"]) is None
