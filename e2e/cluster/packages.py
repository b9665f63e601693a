"""Debian packages of a node, installed when missing and without waking any service of theirs.

The machine may be somebody's workstation: Debian's containerd package would start and enable a daemon of its own, whose existence nobody asked for.
A run may be killed anywhere in between: a note says what was begun, and the next run completes it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.cluster.filelock import exclusive
from e2e.cluster.prerequisites import image_python_present
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
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",  # Go fetches modules over TLS
    "debootstrap": "/usr/sbin/debootstrap",
    "python3": "/usr/bin/python3.11",  # of the images' version, whatever Python runs this
}
# The packages are the machine's, whichever cache a run uses.
_LOCK = Path("/run/lock/llmfleet-packages.lock")
_NOTE = Path("/var/lib/llmfleet-packages-begun.json")
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# Of llmfleet's test cluster, for the time of an installation; left behind by a killed one, it may be deleted.\nexit 101\n"
_ENABLED = Path("/etc/systemd/system/multi-user.target.wants/containerd.service")


@dataclass(frozen=True, slots=True)
class _Begun:
    """What an installation set out to do."""

    packages: tuple[str, ...]
    was_enabled: bool
    """Whether the machine itself starts containerd at boot, before we touched anything."""


def ensure(packages: Iterable[str] = tuple(NEEDED)) -> None:
    """Install which of these are missing, announced by name; `down` leaves them installed and says so.

    What a killed run began is completed in any case.
    """
    wanted = list(packages)
    if not _missing(wanted) and not _interrupted():
        return
    with exclusive(_LOCK, "another installation of Debian packages"):
        missing = _missing(wanted)
        if missing or _interrupted():
            _install(_begin(missing))


def _missing(packages: Iterable[str]) -> list[str]:
    return [package for package in packages if not Path(NEEDED[package]).exists() and not (package == "python3" and image_python_present())]


def _interrupted() -> bool:
    return _NOTE.exists() or _policy_is_ours()


def _begin(missing: Iterable[str]) -> _Begun:
    """Write down what is to be done, added to what a killed run left undone: only that one saw the machine as it was."""
    packages, was_enabled = set(missing), _ENABLED.is_symlink()
    if _NOTE.exists():
        earlier = json.loads(_NOTE.read_text())
        packages, was_enabled = packages | set(earlier["packages"]), earlier["was_enabled"]
    begun = _Begun(tuple(sorted(packages)), was_enabled)
    temporary = _NOTE.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(begun)))
    temporary.rename(_NOTE)
    return begun


def _install(begun: _Begun) -> None:
    """Do what was begun, from the start; the note goes when all is done."""
    with _services_stay_down():
        # After a kill in the middle of dpkg, apt refuses everything until this is done. Where it fails, apt says why, or waits for whoever holds the lock.
        _run("dpkg", "--configure", "-a", check=False)
        if begun.packages:
            say(f"- Debian packages to install: {', '.join(begun.packages)}")
            with step("apt-get update"):
                _apt("update")
            with step("apt-get install"):
                _apt("install", "-y", "--no-install-recommends", *begun.packages)
    if not begun.was_enabled and _ENABLED.is_symlink():
        _ENABLED.unlink()  # what `systemctl disable` does, also on a machine without systemd
    _NOTE.unlink()


def _apt(verb: str, *arguments: str) -> None:
    _run("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", verb, *arguments, check=True)


def _run(*command: str, check: bool) -> None:
    subprocess.run(command, check=check, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Forbid package scripts to start services, unless the machine already has a policy of its own."""
    if _POLICY.exists() and not _policy_is_ours():
        yield
        return
    _POLICY.write_text(_POLICY_TEXT)  # 101: action forbidden by policy
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _policy_is_ours() -> bool:
    return _POLICY.is_file() and _POLICY.read_text(errors="replace") == _POLICY_TEXT
