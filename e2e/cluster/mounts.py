"""Mounts below a folder: a folder with a live mount in it must be unmounted before it is deleted, or what is mounted there is deleted too."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from pathlib import Path

_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def below(folder: Path, mountinfo: str) -> list[str]:
    """Return the mount points at or below `folder`, the deepest and latest first.

    Args:
        folder: an absolute path.
        mountinfo: the text of /proc/self/mountinfo, whose fifth field is the mount point with blanks as octal escapes.

    """
    points = [re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), line.split()[4]) for line in mountinfo.splitlines()]
    prefix = str(folder)
    return [point for point in reversed(points) if point == prefix or point.startswith(f"{prefix}/")]


def unmount_below(folder: Path) -> int:
    """Unmount everything at or below `folder`, lazily where it is busy; return how many mounts there were."""
    points = below(folder.resolve(), Path("/proc/self/mountinfo").read_text())
    for point in points:
        if _libc.umount2(os.fsencode(point), _MNT_DETACH) != 0 and Path(point).is_mount():
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), point)
    return len(points)


def remove_tree(folder: Path) -> None:
    """Unmount what is mounted below and delete the folder; refuses to delete while a mount remains."""
    unmount_below(folder)
    left = below(folder.resolve(), Path("/proc/self/mountinfo").read_text())
    if left:
        raise OSError(f"still mounted below {folder}: {', '.join(left)}")
    shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None
