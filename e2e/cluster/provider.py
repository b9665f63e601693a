"""What the end-to-end tests need of a cluster, whoever provides it: this machine's processes today, another tool's nodes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from e2e.cluster.processes import Process

ACCELERATOR = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Component:
    """One line of `status`."""

    name: str
    ready: bool
    detail: str


class ClusterProvider(Protocol):
    """A cluster that can be made, filled and removed. Every method may be repeated, also after it was killed half-way."""

    def up(self) -> None:
        """Make the cluster, complete it, or take away nodes that it has too many; return when nodes and DNS are ready."""

    def down(self, *, purge: bool = False) -> None:
        """Remove the cluster and every trace of it on the machine; with `purge` also what would make the next `up` quick."""

    def status(self) -> Sequence[Component]:
        """Return what runs and what is ready; empty when there is no cluster."""

    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig, at the same path for every cluster of this provider."""

    def audit_log(self) -> Path:
        """Return the API server's audit log: a JSON object per line, requests at the level Metadata."""

    def load_image(self, name: str) -> None:
        """Make the image of that name (see images.IMAGES) from the present sources if it changed, and put it on every node."""

    def add_accelerators(self, resource: str = ACCELERATOR, count: int = 4) -> None:
        """Let every node say that it has `count` of an extended resource, for the scheduler only: no device is there."""

    def ensure_model(self, namespace: str, claim: str) -> None:
        """Make the claim, in an existing namespace, whose volume holds the tiny model in the folder `tiny`."""

    def processes_of(self, container_id: str) -> Sequence[Process]:
        """Return the processes of a running container, by the id that its pod's status gives, for those who kill one."""

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command so that it runs on this machine, but where the addresses of Services and pods are routed."""
