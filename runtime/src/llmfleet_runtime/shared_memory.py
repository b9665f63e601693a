"""Shared memory that a dead engine left behind.

A killed engine does not unlink its segments (24 were left after a dozen kills, measured), and the pod's emptyDir at /dev/shm outlives its containers: without
this, a container that restarts often ends in "Insufficient space in /dev/shm".
"""

import logging
import os
import re
import stat
from pathlib import Path
from typing import Final

LEFTOVERS: Final = (
    "psm_*",  # Python's multiprocessing.shared_memory: vLLM's message queues between processes.
    "sem.mp-*",  # Python's multiprocessing locks.
    "torch_*",  # PyTorch's file_system sharing of tensors.
    "nccl-*",  # NCCL's transport between the GPUs of a node.
)
"""Names of segments that an engine makes."""

_MAPPED: Final = re.compile(r"\s(/\S+)$", re.MULTILINE)
_log = logging.getLogger(__name__)


def clean(directory: Path) -> list[str]:
    """Remove our own leftovers that no living process has mapped; return their names."""
    candidates = [path for pattern in LEFTOVERS for path in directory.glob(pattern) if _ours(path)]
    mapped = _mapped_files() if candidates else frozenset()
    removed = []
    for path in candidates:
        if str(path) in mapped:
            continue
        try:
            path.unlink()
        except OSError as error:
            _log.warning("%s, left by an earlier engine, cannot be removed: %s", path, error)
        else:
            removed.append(path.name)
    return sorted(removed)


def _ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _mapped_files() -> frozenset[str]:
    """Files that living processes have mapped, as far as they let us see."""
    mapped: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            mapped.update(_MAPPED.findall(maps.read_text(errors="replace")))
        except OSError:
            continue
    return frozenset(mapped)
