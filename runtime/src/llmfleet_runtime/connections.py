"""Open connections to the engine's port, from the kernel's own table.

vLLM's gauges miss a request that is being tokenised and a last chunk that is being sent; the connection that carries it is open as long.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""Connections of the pod's network namespace (proc_net_tcp in the kernel's documentation)."""

OPEN_STATES: Final = frozenset({"01", "04", "08", "09", "0B"})
"""ESTABLISHED, CLOSE_WAIT (the client has sent all it will), and the last bytes not acknowledged yet: FIN_WAIT1, LAST_ACK (the client had closed its side),
CLOSING (both closed at once); include/net/tcp_states.h."""


def count(port: int, tables: Iterable[Path] = TABLES) -> int | None:
    """Open connections whose own end is this port; None where the kernel shows no table."""
    known, found = False, 0
    for table in tables:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        known = True
        for line in lines:
            _, local, _, state, *_ = line.split()
            found += state in OPEN_STATES and int(local.rpartition(":")[2], 16) == port
    return found if known else None
