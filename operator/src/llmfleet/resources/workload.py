"""What the loop asks of a workload. A Deployment is the first answer; groups of pods over several nodes follow without touching the loop."""

from dataclasses import dataclass
from typing import Protocol

from llmfleet.resources.blueprint import Blueprint, Manifest, Owner


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the cluster is with a workload; all counts are replicas."""

    observed: bool
    """The workload's controller has seen the newest specification: the counts speak of it."""
    wanted: int
    existing: int
    """Replicas that exist, old and new, without those that are being terminated."""
    updated: int
    """Replicas of the newest specification."""
    ready: int
    """Replicas that answer, old and new."""
    overdue: bool
    """Nothing has moved for as long as the workload's deadline for progress."""
    refused: str | None
    """The controller's words when it cannot create pods (quota, pod security), else None."""

    @property
    def complete(self) -> bool:
        """Every wanted replica is of the newest specification and answers, and no other is left."""
        return self.observed and self.wanted == self.existing == self.updated == self.ready


class Workload(Protocol):
    """A way to run engine replicas."""

    def build(self, blueprint: Blueprint) -> Manifest:
        """Return the workload, without a number of replicas: that is written through the scale subresource alone."""

    def revision(self, rendered: Manifest) -> str:
        """Return the revision of a workload as it was rendered; its pods carry it as LABEL_REVISION."""

    def scale_target(self, owner: Owner) -> Manifest:
        """Return the reference by which an HPA finds the workload."""

    def serving_pod_selector(self, owner: Owner) -> dict[str, str]:
        """Return the labels of the pods that answer requests (of a group, only its leader)."""

    def progress(self, live: Manifest) -> Progress:
        """Read how far a live workload is."""
