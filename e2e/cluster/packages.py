"""Debian packages of a node, installed when missing and without waking any service of theirs.

The machine may be somebody's workstation: Debian's containerd package would start and enable a daemon of its own, whose existence nobody asked for.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.progress import say, step

# Package and a file of it: looking for the file is a thousand times quicker than asking dpkg.
NEEDED: dict[str, str] = {
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "/usr/sbin/iptables",  # the CNI plugins masquerade with it, inside the node's namespace
    "nftables": "/usr/sbin/nft",
    "conntrack": "/usr/sbin/conntrack",
    "iproute2": "/sbin/ip",
    "util-linux": "/usr/bin/nsenter",
    "openssl": "/usr/bin/openssl",
    "debootstrap": "/usr/sbin/debootstrap",
}
_POLICY = Path("/usr/sbin/policy-rc.d")
_ENABLED = Path("/etc/systemd/system/multi-user.target.wants/containerd.service")


def ensure() -> None:
    """Install what is missing, announced by name; `down` leaves it installed and says so."""
    missing = [package for package, file in NEEDED.items() if not Path(file).exists()]
    if not missing:
        return
    say(f"- Debian packages to install: {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step("apt-get update"):
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment, stdout=subprocess.DEVNULL)
    was_enabled = _ENABLED.is_symlink()
    with step("apt-get install"), _services_stay_down():
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, env=environment, stdout=subprocess.DEVNULL)
    if not was_enabled and _ENABLED.is_symlink():
        _ENABLED.unlink()  # what `systemctl disable` does, also on a machine without systemd


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Forbid package scripts to start services, unless the machine already has a policy of its own."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")  # 101: action forbidden by policy
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
