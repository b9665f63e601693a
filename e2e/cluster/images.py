"""The images of the cluster and of the project, made without a container engine and imported as a stream.

An image is remade only when the hash of its inputs differs from the one that the node's containerd has noted for it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from e2e.cluster import archive, base_root, binaries, vllm_environment
from e2e.cluster.archive import ImageConfiguration
from e2e.cluster.containerd import Containerd
from e2e.cluster.layer import Directory, File, Layer, Owner, Text, Tree
from e2e.cluster.locations import REPOSITORY, SOURCE
from e2e.cluster.node_configuration import PAUSE_IMAGE
from e2e.cluster.progress import say, step
from e2e.cluster.python_packages import IMAGE_SITE_PACKAGES, content_key, folder_of, install, python311, source_files

OPERATOR = "localhost/llmfleet-operator:dev"
RUNTIME = "localhost/llmfleet-runtime:dev"
VLLM_CPU = f"localhost/vllm-cpu:{vllm_environment.VLLM_VERSION}"
COREDNS = "localhost/coredns:1.14.7"

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INTERPRETER = "/usr/bin/python3"
# In every key: when the way of writing images changes, all are made anew.
_FORMAT = ("1", *(content_key(files=[SOURCE / name]) for name in ("layer.py", "archive.py")))


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its reference, what it depends on, and how to make it."""

    reference: str
    inputs: Callable[[], str]
    """Return a hash of everything that the content depends on, quickly: it is asked at every `up`."""
    configuration: ImageConfiguration
    layers: Callable[[], Sequence[Layer]]
    sources: tuple[Path, ...] = ()
    """Without these the image cannot be made yet."""

    @property
    def possible(self) -> bool:
        """Whether the sources are there."""
        return all(path.exists() for path in self.sources)

    def key(self) -> str:
        """Return the hash of inputs and configuration."""
        return content_key(_FORMAT, self.inputs(), self.configuration)

    def write(self, stream: IO[bytes]) -> None:
        """Write the image as an archive."""
        archive.write(stream, self.reference, self.configuration, self.layers())


def ensure(names: Sequence[str], containerd: Containerd) -> None:
    """Make and import the named images that the node does not have in this state.

    Raises:
        KeyError: there is no image of that name.
        FileNotFoundError: its sources are not there.

    """
    for name in names:
        image = IMAGES[name]
        if not image.possible:
            raise FileNotFoundError(f"image {name} needs {', '.join(str(path.relative_to(REPOSITORY)) for path in image.sources if not path.exists())}")
        key = image.key()
        if containerd.inputs_of(image.reference) == key:
            continue
        layers = image.layers()  # before the step: what has to be built announces itself
        size_bytes = sum(layer.size_bytes() for layer in layers)
        with step(f"import {image.reference} ({size_bytes / 1e6:.0f} MB)"):
            containerd.import_archive(image.write)
            containerd.mark(image.reference, key)
        say(f"  {name}: {image.reference}")


def _accounts(name: str, owner: Owner, home: str) -> tuple[Text, Text]:
    """Return /etc/passwd and /etc/group: getpass and ssh fail for a user without a name."""
    users = ("root:x:0:0:root:/root:/bin/sh", f"{name}:x:{owner.uid}:{owner.gid}:{name}:{home}:/bin/sh", "nobody:x:65534:65534::/:/bin/false")
    groups = ("root:x:0:", "nogroup:x:65534:", *(() if owner.gid == 0 else (f"{name}:x:{owner.gid}:",)))
    return Text("etc/passwd", _lines(users)), Text("etc/group", _lines(groups))


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


# -- the cluster's own -------------------------------------------------------------------------------------------------------------------------------


def _one_program(reference: str, program: str) -> Image:
    return Image(
        reference,
        lambda: str(binaries.ensure([program])[program].parent.name),
        ImageConfiguration((f"/{program}",), user="65535:65535"),
        lambda: [Layer((File(program, binaries.ensure([program])[program]),))],
    )


# -- the operator ------------------------------------------------------------------------------------------------------------------------------------

_OPERATOR_USER = Owner(65532, 65532)
_PROJECT = REPOSITORY / "operator" / "pyproject.toml"
_CONSTRAINTS = REPOSITORY / "constraints.txt"
_BUILD = ("--build-constraint", str(_CONSTRAINTS))
_OPERATOR_SOURCE = REPOSITORY / "operator" / "src"
_OPERATOR_COMMAND = f'#!{_INTERPRETER}\nimport runpy\n\nrunpy.run_module("llmfleet", run_name="__main__", alter_sys=True)\n'


def _operator_dependencies_key() -> str:
    return content_key(base_root.PYTHON.key, files=[_PROJECT, _CONSTRAINTS])


def _operator_code_key() -> str:
    return content_key(files=[_PROJECT, _CONSTRAINTS, *source_files(_OPERATOR_SOURCE)])


def _operator_layers() -> list[Layer]:
    """Return base, dependencies and code apart: a change of the code rewrites only the last, small one."""
    dependencies = folder_of(
        "operator-dependencies",
        _operator_dependencies_key(),
        "install the operator's dependencies",
        lambda folder: install(folder, ["--constraint", str(_CONSTRAINTS), *_BUILD, "--requirement", str(_PROJECT)]),
    )
    code = folder_of(
        "operator-code",
        _operator_code_key(),
        "build the operator's package",
        lambda folder: install(folder, ["--no-deps", *_BUILD, str(_PROJECT.parent)]),
    )
    without_scripts = frozenset({"bin", ".lock"})  # their first line names this machine's Python
    return [
        Layer((Tree(base_root.PYTHON.ensure()), *_accounts("llmfleet", _OPERATOR_USER, "/"))),
        Layer((Tree(dependencies, IMAGE_SITE_PACKAGES, excluded_paths=without_scripts),)),
        Layer((Tree(code, IMAGE_SITE_PACKAGES, excluded_paths=without_scripts), Text("usr/local/bin/llmfleet", _OPERATOR_COMMAND.encode(), 0o755))),
    ]


# -- the runtime -------------------------------------------------------------------------------------------------------------------------------------

_RUNTIME_PROJECT = REPOSITORY / "runtime" / "pyproject.toml"
_RUNTIME_SOURCE = REPOSITORY / "runtime" / "src"
_RUNTIME_ARCHIVE = "llmfleet-runtime/runtime.pyz"


def build_runtime_archive(target: Path) -> None:
    """Write the runtime's archive, by its own builder: this program may run where the package is not installed."""
    subprocess.run(
        [python311(), "-c", "import pathlib, sys; from llmfleet_runtime.archive import build; build(pathlib.Path(sys.argv[1]))", str(target)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(_RUNTIME_SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    target.chmod(0o755)


def _runtime_layers() -> list[Layer]:
    """Return base, what `inspect` and `fetch` need, and the code apart: as an init container of engines the image needs the archive alone."""
    dependencies = folder_of(
        "runtime-dependencies",
        _runtime_dependencies_key(),
        "install what the runtime reads models with",
        lambda folder: install(folder, ["--constraint", str(_CONSTRAINTS), *_BUILD, "--extra", "inspect", "--requirement", str(_RUNTIME_PROJECT)]),
    )
    code = folder_of(
        "runtime-code",
        _runtime_code_key(),
        "build the runtime's package and archive",
        _fill_runtime_code,
    )
    without_scripts = frozenset({"bin", ".lock", "runtime.pyz"})
    return [
        Layer((Tree(base_root.PYTHON.ensure()), *_accounts("llmfleet", _OPERATOR_USER, "/"))),
        Layer((Tree(dependencies, IMAGE_SITE_PACKAGES, excluded_paths=without_scripts),)),
        Layer((Tree(code, IMAGE_SITE_PACKAGES, excluded_paths=without_scripts), File(_RUNTIME_ARCHIVE, code / "runtime.pyz"))),
    ]


def _fill_runtime_code(folder: Path) -> None:
    install(folder, ["--no-deps", *_BUILD, str(_RUNTIME_PROJECT.parent)])
    build_runtime_archive(folder / "runtime.pyz")


def _runtime_dependencies_key() -> str:
    return content_key(base_root.PYTHON.key, files=[_RUNTIME_PROJECT, _CONSTRAINTS])


def _runtime_code_key() -> str:
    return content_key(files=[_RUNTIME_PROJECT, _CONSTRAINTS, *source_files(_RUNTIME_SOURCE)])


# -- the engine --------------------------------------------------------------------------------------------------------------------------------------

_VLLM_USER = Owner(2000, 0)  # as in the stock vLLM image; group 0 for platforms that choose the user


def _vllm_layers() -> list[Layer]:
    """Return a base with compiler and libraries, and vLLM where that base's Python looks."""
    return [
        Layer((Tree(base_root.ENGINE.ensure()), *_accounts("vllm", _VLLM_USER, "/home/vllm"), Directory("home/vllm", 0o775, _VLLM_USER))),
        Layer(
            (
                Tree(vllm_environment.site_packages(), IMAGE_SITE_PACKAGES, excluded_paths=frozenset({"bin", ".lock"})),
                Text("usr/local/bin/vllm", vllm_environment.script(_INTERPRETER).encode(), 0o755),
            )
        ),
    ]


IMAGES: dict[str, Image] = {
    "pause": _one_program(PAUSE_IMAGE, "pause"),
    "coredns": _one_program(COREDNS, "coredns"),
    "operator": Image(
        OPERATOR,
        lambda: content_key(_operator_dependencies_key(), _operator_code_key(), _OPERATOR_COMMAND),
        ImageConfiguration(("python3", "-m", "llmfleet"), user="65532:65532", environment=(_PATH, "PYTHONUNBUFFERED=1")),
        _operator_layers,
        sources=(_PROJECT, _CONSTRAINTS, _OPERATOR_SOURCE / "llmfleet" / "__init__.py"),
    ),
    "runtime": Image(
        RUNTIME,
        lambda: content_key(_runtime_dependencies_key(), _runtime_code_key()),
        ImageConfiguration(("python3", f"/{_RUNTIME_ARCHIVE}"), user="65532:65532", environment=(_PATH, "PYTHONUNBUFFERED=1")),
        _runtime_layers,
        sources=(_RUNTIME_PROJECT, _CONSTRAINTS, _RUNTIME_SOURCE / "llmfleet_runtime" / "__main__.py"),
    ),
    "vllm-cpu": Image(
        VLLM_CPU,
        lambda: content_key(base_root.ENGINE.key, vllm_environment.key()),
        ImageConfiguration(
            ("vllm", "serve"),
            user="2000:0",
            environment=(_PATH, "HOME=/home/vllm", "USER=vllm", *(f"{name}={value}" for name, value in vllm_environment.IN_ONE_PROCESS.items())),
            working_directory="/home/vllm",
        ),
        _vllm_layers,
    ),
}
