"""Root file systems for the images, made by debootstrap from the package mirror that the machine itself uses.

Two of them: a small one with Python, and one with what the engine needs besides. Both are the Debian whose Python the engine's packages are built for.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import mounts
from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import cache_folder
from e2e.cluster.prerequisites import MissingPrerequisiteError
from e2e.cluster.progress import step

SUITE = "bookworm"
_LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log", "debootstrap")


@dataclass(frozen=True, slots=True)
class BaseRoot:
    """A root file system by its packages, on top of debootstrap's smallest variant."""

    name: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        """Sixteen hex digits that change with the content wanted."""
        return hashlib.sha256(repr((SUITE, self.packages, _LEFT_OUT)).encode()).hexdigest()[:16]

    def ensure(self) -> Path:
        """Return the folder, making it when missing (about a minute)."""
        parent = cache_folder() / "roots"
        folder = parent / f"{self.name}-{self.key}"
        with exclusive(parent / "debootstrap.lock", "another debootstrap"):
            if not folder.is_dir():
                for left in parent.glob(".tmp-*"):
                    mounts.remove_tree(left)  # a killed debootstrap leaves /proc mounted inside
                temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
                with step(f"debootstrap {SUITE} with {', '.join(self.packages)}"):
                    self._make(temporary)
                temporary.chmod(0o755)
                temporary.rename(folder)
        return folder

    def _make(self, folder: Path) -> None:
        archives = cache_folder() / "debs"
        archives.mkdir(exist_ok=True)
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(self.packages)}", f"--cache-dir={archives}", SUITE, str(folder), mirror()],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"debootstrap failed: {(done.stdout + done.stderr)[-2000:]}")
        mounts.unmount_below(folder)
        for name in _LEFT_OUT:
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("var/log", "var/cache/apt", "var/lib/apt/lists"):
            (folder / name).mkdir(parents=True)


PYTHON = BaseRoot("python", ("python3", "ca-certificates"))
# libnuma, libgomp and libstdc++ are what vLLM's extension modules are linked to. With a compiler the engine may compile its graphs; without one it
# reports healthy and dies on its first request, unless it is told --enforce-eager.
ENGINE = BaseRoot("engine", ("python3", "ca-certificates", "libnuma1", "libgomp1", "libstdc++6", "g++", "python3-dev"))


def mirror() -> str:
    """Return the address of the Debian mirror in the machine's own apt configuration."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    for line in listed:
        site, _, codename = line.partition(" ")
        if codename == SUITE:
            return site
    raise MissingPrerequisiteError(f"a package source of Debian {SUITE}", "add one to /etc/apt/sources.list.d and run apt-get update")
