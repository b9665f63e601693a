"""What the kernel killed for want of memory: the cgroup of the container counts it, and nobody else says so where only a worker was killed."""

from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")
"""Where a container sees its own cgroup (cgroup namespace, the default of container runtimes with version 2)."""

_COUNTERS: Final = (("memory.events", "oom_kill"), ("memory/memory.oom_control", "oom_kill"))
"""File and key of cgroup version 2 (kernel, Documentation/admin-guide/cgroup-v2.rst) and 1 (cgroup-v1/memory.rst)."""


def kills(cgroup: Path = CGROUP) -> int:
    """How many processes of this container the kernel has killed for want of memory since the container was made; 0 also where it does not say."""
    for name, key in _COUNTERS:
        try:
            lines = (cgroup / name).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            found, _, number = line.partition(" ")
            if found == key and number.isdecimal():
                return int(number)
    return 0
