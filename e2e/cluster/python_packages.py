"""Python packages for the images: installed into a plain folder by uv, for the images' Python, whatever Python runs this."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import REPOSITORY, cache_folder
from e2e.cluster.prerequisites import MissingPrerequisiteError
from e2e.cluster.progress import step

PYTHON_VERSION = "3.11"  # of Debian 12, hence of the images
# Debian 12's C library. With an older one named, llguidance has no wheel, and a Rust compiler would be needed.
_C_LIBRARY = "manylinux_2_36"
# Where Debian's own interpreter looks without being told: PYTHONPATH stays free for the runtime's archive.
IMAGE_SITE_PACKAGES = f"usr/local/lib/python{PYTHON_VERSION}/dist-packages"


def content_key(*parts: object, files: Iterable[Path] = ()) -> str:
    """Return sixteen hex digits of the parts' representations and the files' names and contents.

    Names are relative to the repository, so that two checkouts of the same content share what was made from it.
    """
    digest = hashlib.sha256(repr(parts).encode())
    for path in sorted(files):
        name = path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path
        digest.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def source_files(folder: Path) -> list[Path]:
    """Return the files below a source folder, less what Python and tools leave there."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith((".pyc", ".pyz"))]


def folder_of(name: str, key: str, what: str, fill: Callable[[Path], None]) -> Path:
    """Return the cached folder of this key, filled once; older ones of the same name are deleted."""
    parent = cache_folder() / "packages"
    folder = parent / f"{name}-{key}"
    with exclusive(parent / f"{name}.lock", f"another making of {name}"):
        if not folder.is_dir():
            for left in (*parent.glob(f".{name}-*"), *parent.glob(f"{name}-" + "[0-9a-f]" * 16)):
                shutil.rmtree(left)
            temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
            with step(what):
                fill(temporary)
            temporary.chmod(0o755)
            temporary.rename(folder)
    return folder


def install(folder: Path, arguments: Sequence[str], *, cache: Path | None = None) -> None:
    """Install into `folder` with uv and compile to bytecode: a read-only image would compile again at every start."""
    environment = dict(os.environ) if cache is None else {**os.environ, "UV_CACHE_DIR": str(cache)}
    subprocess.run(
        [
            uv(), "pip", "install", "--quiet", "--target", str(folder), "--python-version", PYTHON_VERSION,
            "--python-platform", f"{os.uname().machine}-{_C_LIBRARY}", "--link-mode", "copy" if cache is None else "hardlink", *arguments,
        ],
        check=True,
        env=environment,
    )  # fmt: skip
    compile_to_bytecode(folder)


def compile_to_bytecode(folder: Path) -> None:
    """Compile without time stamps: in the image every file's time is dropped."""
    subprocess.run(
        [python311(), "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(folder)],
        check=False,  # some packages ship files for other versions of Python, which do not compile
        stdout=subprocess.DEVNULL,
    )


def uv() -> str:
    """Return a uv: the repository's environment has one, else an own one is installed from the pinned version."""
    for candidate in (str(REPOSITORY / ".venv" / "bin" / "uv"), shutil.which("uv")):
        if candidate and Path(candidate).is_file():
            return candidate
    environment = cache_folder() / "uv"
    if not (environment / "bin" / "uv").is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        subprocess.run([environment / "bin" / "python", "-m", "pip", "install", "-q", "-c", str(REPOSITORY / "constraints.txt"), "uv"], check=True)
    return str(environment / "bin" / "uv")


def python311() -> str:
    """Return a Python of this machine of the images' version.

    Raises:
        MissingPrerequisiteError: there is none.

    """
    for candidate in (sys.executable, shutil.which(f"python{PYTHON_VERSION}"), f"/usr/bin/python{PYTHON_VERSION}", "/usr/bin/python3"):
        if candidate and Path(candidate).exists():
            found = subprocess.run([candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=False)
            if found.stdout.strip() == PYTHON_VERSION:
                return candidate
    raise MissingPrerequisiteError(f"python{PYTHON_VERSION}", "apt-get install python3 python3-venv")
