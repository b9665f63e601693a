"""The runtime as one file: an init container lays it into a shared volume, so the engine's image stays stock."""

import os
import shutil
import sys
import tempfile
import zipapp
import zipfile
from pathlib import Path
from typing import Final

NAME: Final = "runtime.pyz"
"""File name of the archive in the image and in the shared volume."""

ENTRY: Final = "llmfleet_runtime.__main__:main"
"""Entry point of the archive."""

_PACKAGE: Final = "llmfleet_runtime"

_LEFT_OUT: Final = ("__pycache__", "model")
"""Of the package: what Python leaves there, and what needs more than the standard library."""


def build(target: Path) -> None:
    """Write the archive of this package to `target`; what the runtime's images are made with."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        shutil.copytree(Path(__file__).parent, root / _PACKAGE, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        zipapp.create_archive(root, target, interpreter="/usr/bin/env python3", main=ENTRY, compressed=True)


def install(directory: Path) -> Path:
    """Place the running archive at `directory/runtime.pyz`, whole or not at all, readable by every user of the pod."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / NAME
    descriptor, scratch = tempfile.mkstemp(prefix=f".{NAME}.", dir=directory)
    os.close(descriptor)
    try:
        running = Path(sys.argv[0])
        if running.is_file() and zipfile.is_zipfile(running):
            shutil.copyfile(running, scratch)
        else:
            build(Path(scratch))
        Path(scratch).chmod(0o755)
        Path(scratch).replace(target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return target
