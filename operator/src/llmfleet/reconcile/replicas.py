"""The replicas of a service: each engine pod that is there to stay, with what its launcher says. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llmfleet import names
from llmfleet.kube.objects import is_ready, stays
from llmfleet.resources.blueprint import Manifest
from llmfleet.scrape.report import Report


@dataclass(frozen=True, slots=True)
class Replica:
    """One engine pod."""

    pod: Manifest
    report: Report | None
    """What its launcher said in the pod's present state; None while it has not been heard."""

    @property
    def name(self) -> str:
        """Name of the pod."""
        return str(self.pod["metadata"]["name"])

    @property
    def revision(self) -> str | None:
        """Revision of the pod template that it was made from."""
        revision: str | None = self.pod["metadata"].get("labels", {}).get(names.LABEL_REVISION)
        return revision

    @property
    def ready(self) -> bool:
        """Whether requests are sent to it."""
        return is_ready(self.pod)


def replicas(pods: Iterable[Manifest], reports: Mapping[str, Report]) -> tuple[Replica, ...]:
    """Return the replicas by name; neither pods that are going nor those that have ended and stay behind as records."""
    staying = (Replica(pod, reports.get(pod["metadata"]["name"])) for pod in pods if stays(pod))
    return tuple(sorted(staying, key=lambda replica: replica.name))
