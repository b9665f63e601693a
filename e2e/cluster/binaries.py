"""The Go programs of the cluster, each built once from the modules named in our own go.mod files.

Building from modules instead of downloading releases: the module proxy and its checksums are the only source that is needed, and go.sum pins every byte.
A group is built as a whole into a temporary folder and renamed into place, so whoever finds a group's folder finds all of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import SOURCE, cache_folder
from e2e.cluster.progress import say, step

KUBERNETES_VERSION = "v1.36.4"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")

# Without the version the programs call themselves v0.0.0-master, and Helm and clients, which read it, refuse or misjudge them.
_KUBERNETES_FLAGS = (
    f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"
    f" -X k8s.io/component-base/version.gitMajor={_MAJOR} -X k8s.io/component-base/version.gitMinor={_MINOR}"
)
_PLAIN_FLAGS = "-s -w"


@dataclass(frozen=True, slots=True)
class Group:
    """Programs of one go.mod that are built together."""

    name: str
    module: Path
    ld_flags: str
    packages: dict[str, str]
    """Program name to Go package."""
    sources: tuple[Path, ...] = ()
    """Go files of our own."""

    @property
    def key(self) -> str:
        """Sixteen hex digits that change with anything that changes the result."""
        digest = hashlib.sha256(f"{self.ld_flags} {sorted(self.packages.items())}".encode())
        for name in ("go.mod", "go.sum"):
            digest.update((self.module / name).read_bytes())
        for source in self.sources:
            digest.update(source.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the finished programs lie."""
        return cache_folder() / "bin" / f"{self.name}-{self.key}"


# In the order of building: the control plane first, because most tests need only that.
GROUPS = (
    Group(
        "controlplane",
        SOURCE,
        _KUBERNETES_FLAGS,
        {
            "etcd": "go.etcd.io/etcd/server/v3",
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
    ),
    Group("helm", SOURCE / "go" / "helm", _PLAIN_FLAGS, {"helm": "helm.sh/helm/v4/cmd/helm"}),
    Group(
        "node",
        SOURCE,
        _KUBERNETES_FLAGS,
        {
            "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
            "kubelet": "k8s.io/kubernetes/cmd/kubelet",
            "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
        },
    ),
    Group("coredns", SOURCE / "go" / "coredns", _PLAIN_FLAGS, {"coredns": "github.com/coredns/coredns"}),
    Group("versitygw", SOURCE / "go" / "versitygw", _PLAIN_FLAGS, {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}),
    Group("fake-gcs-server", SOURCE / "go" / "fake-gcs-server", _PLAIN_FLAGS, {"fake-gcs-server": "github.com/fsouza/fake-gcs-server"}),
    Group("pause", SOURCE, _PLAIN_FLAGS, {"pause": "./go/pause"}, sources=(SOURCE / "go" / "pause" / "main.go",)),
)
ALL = tuple(name for group in GROUPS for name in group.packages)


def ensure(names: Iterable[str] = ALL) -> dict[str, Path]:
    """Return the path of each named program, building the groups that are missing.

    Raises:
        KeyError: no group builds a program of that name.
        subprocess.CalledProcessError: the Go compiler failed; its output is on stderr.

    """
    wanted = list(names)
    of_program = {name: group for group in GROUPS for name in group.packages}
    needed = {of_program[name].name for name in wanted}
    for group in GROUPS:
        if group.name in needed and not group.folder.is_dir():
            with exclusive(cache_folder() / f"build-{group.name}.lock", f"another build of {group.name}"):
                if not group.folder.is_dir():  # another run may have built it while we waited
                    _build(group)
    return {name: of_program[name].folder / name for name in wanted}


def _build(group: Group) -> None:
    packages.ensure(["ca-certificates"])
    root = group.folder.parent
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f".{group.name}-*"):  # of a killed build: we hold the lock, so nobody else is at work on it
        shutil.rmtree(left)
    temporary = Path(tempfile.mkdtemp(prefix=f".{group.name}-", dir=root))
    # No C compiler: the programs are static, so CoreDNS needs no libraries in its image.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOTOOLCHAIN": "local"}
    with step(f"compile {', '.join(group.packages)} (minutes the first time, then from the Go build cache)"):
        for number, (name, package) in enumerate(group.packages.items(), 1):
            say(f"    {number} of {len(group.packages)}: {name}")
            subprocess.run(
                ["go", "build", "-trimpath", "-ldflags", group.ld_flags, "-o", str(temporary / name), package], cwd=group.module, env=environment, check=True
            )
    temporary.chmod(0o755)
    temporary.rename(group.folder)
