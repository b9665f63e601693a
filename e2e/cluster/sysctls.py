"""Kernel settings that the kubelet changes for the whole machine, remembered before and put back after."""

from __future__ import annotations

import json
from pathlib import Path

_PROC_SYS = Path("/proc/sys")

# What the kubelet sets when protectKernelDefaults is off (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables).
CHANGED_BY_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def remember(record: Path, names: tuple[str, ...] = CHANGED_BY_KUBELET, root: Path = _PROC_SYS) -> None:
    """Write the present values into `record`, unless an earlier run did: its values are the machine's own, ours are not."""
    if record.exists():
        return
    record.parent.mkdir(parents=True, exist_ok=True)
    values = {name: (root / name).read_text().strip() for name in names if (root / name).exists()}
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(values))
    temporary.rename(record)


def restore(record: Path, root: Path = _PROC_SYS) -> list[str]:
    """Put the remembered values back; return the names that had changed. The record is removed last, so an interrupted restore is repeated."""
    if not record.exists():
        return []
    changed = []
    for name, value in json.loads(record.read_text()).items():
        if (root / name).read_text().strip() != value:
            (root / name).write_text(value)
            changed.append(name)
    record.unlink()
    return changed
