"""What must be there before anything starts, named in the first second together with the command that installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

GO_VERSION = (1, 26)
FIRST_PYTHON = (3, 11)
LAST_PYTHON = (3, 13)
_OS_RELEASE = Path("/etc/os-release")


class MissingPrerequisiteError(RuntimeError):
    """Something that `up` cannot install by itself is absent."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"missing: {what}; {remedy}")


def check(*, root: bool) -> None:
    """Raise for all that is missing at once.

    Raises:
        MissingPrerequisiteError: with every absent prerequisite and the remedy of each.

    """
    absent: list[tuple[str, str]] = []
    if root and os.geteuid() != 0:
        absent.append(("root (namespaces, mounts, containerd)", "run it under sudo"))
    if root and shutil.which("apt-get") is None:
        absent.append(("apt-get", "the node's software is taken from Debian packages: use a Debian 12 machine or container"))
    for program in ("git", "make"):
        if shutil.which(program) is None:
            absent.append((program, f"apt-get install {program}"))
    if not FIRST_PYTHON <= sys.version_info[:2] <= LAST_PYTHON:
        wanted, seen = " to ".join(".".join(map(str, each)) for each in (FIRST_PYTHON, LAST_PYTHON)), ".".join(map(str, sys.version_info[:2]))
        absent.append((f"Python {wanted} as python3 (found {seen})", "put another python3 first on PATH"))
    if not image_python_possible():
        absent.append(("python3.11, the images' version", "put one on PATH, or use Debian 12, whose package python3 is installed when it is missing"))
    version = go_version()
    if version is None or version < GO_VERSION:
        wanted = ".".join(map(str, GO_VERSION))
        seen = "none found" if version is None else f"found {version[0]}.{version[1]}"
        absent.append(
            (f"Go >= {wanted} ({seen})", "unpack the Go project's archive and put its bin folder on PATH (the golang package of Debian 12 is too old)")
        )
    if absent:
        raise MissingPrerequisiteError(", ".join(what for what, _ in absent), "; ".join(remedy for _, remedy in absent))


def check_root() -> None:
    """Raise when this is not root.

    Raises:
        MissingPrerequisiteError: only root may end and unmount what root started.

    """
    if os.geteuid() != 0:
        raise MissingPrerequisiteError("root", "run it under sudo")


def go_version() -> tuple[int, int] | None:
    """Return the version of the Go on PATH, or None."""
    if shutil.which("go") is None:
        return None
    output = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    return parse_go_version(output)


def parse_go_version(output: str) -> tuple[int, int] | None:
    """Return the version in the output of `go env GOVERSION`: "go1.26.1", or "devel go1.27-..." of a Go built from its sources."""
    found = re.search(r"\bgo(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else None


def image_python_present() -> bool:
    """Whether a Python of the images' version is there."""
    return sys.version_info[:2] == (3, 11) or shutil.which("python3.11") is not None or Path("/usr/bin/python3.11").exists()


def image_python_possible() -> bool:
    """Whether a Python of the images' version is there, or is what this machine's own package would bring."""
    if image_python_present():
        return True
    text = _OS_RELEASE.read_text() if _OS_RELEASE.exists() else ""
    return "VERSION_CODENAME=bookworm" in text.splitlines()


def main() -> int:
    """`python -m e2e.cluster.prerequisites`: 2 and the remedy when something is missing."""
    try:
        check(root=True)
    except MissingPrerequisiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
