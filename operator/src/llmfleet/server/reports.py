"""What is read of the pods themselves, as the reconciler asks for it."""

from collections.abc import Mapping

from llmfleet import names
from llmfleet.autoscaling.demand import Demand, NoData
from llmfleet.kube.kinds import JOB, POD
from llmfleet.kube.objects import Key, controller_uid, labels_of, uid_of
from llmfleet.kube.store import LABEL_JOB, Store
from llmfleet.scrape.download import Progress
from llmfleet.scrape.downloads import Downloads
from llmfleet.scrape.engine import Target
from llmfleet.scrape.fleet import Fleet, Measured
from llmfleet.scrape.report import Report
from llmfleet.server.scaling import Scaling


class Reports:
    """Demand, engines and downloads, as last reported; see reconcile.inputs.Reports."""

    def __init__(self, scaling: Scaling, fleet: Fleet, downloads: Downloads) -> None:
        self._scaling = scaling
        self._fleet = fleet
        self._downloads = downloads

    def demand(self, key: Key) -> Demand | NoData | None:
        """What a service asks for; None without autoscaling."""
        return self._scaling.demand(key)

    def measured(self, key: Key) -> Measured | None:
        """What a service's engines report of their memory; None while none does."""
        return self._fleet.measured_of(key)

    def reports(self, key: Key) -> Mapping[str, Report]:
        """What the launchers of a service say, by pod, each as of the present state of its pod."""
        return self._fleet.reports_of(key, self._scaling.targets_of(key))

    def progress(self, pod_uid: str) -> Progress | None:
        """How far the download is that runs in a pod; None where it has not said yet."""
        return self._downloads.progress(pod_uid)


def download_targets(store: Store) -> Mapping[str, Target]:
    """Return the pods that are downloading, by uid."""
    return {
        uid_of(pod): Target(pod=pod["metadata"]["name"], address=pod["status"]["podIP"])
        for job in store.objects(JOB)
        if labels_of(job).get(names.LABEL_ROLE) == names.ROLE_DOWNLOAD
        for pod in store.select(POD, job["metadata"]["namespace"], LABEL_JOB, job["metadata"]["name"])
        if controller_uid(pod) == uid_of(job) and pod["status"].get("podIP") and pod["status"].get("phase") == "Running"
    }
