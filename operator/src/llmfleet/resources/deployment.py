"""Engine replicas of one pod each: a Deployment."""

from llmfleet.resources import engine_pod
from llmfleet.resources.blueprint import Blueprint, Manifest, Owner
from llmfleet.resources.workload import Progress

PROGRESS_DEADLINE_SECONDS = 3600
"""Loading a large model takes long; the default of 600 s would report a failure during a download."""


class DeploymentWorkload:
    """The workload of a replica that fits one node."""

    def build(self, blueprint: Blueprint) -> Manifest:
        """Return the Deployment `<name>-engine`.

        No `replicas`: an applied number would be ours, and dropping it later resets the Deployment to 1. One replica is
        replaced at a time and none is added: nobody promised a spare accelerator.
        """
        owner = blueprint.owner
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": owner.metadata(owner.engine_name),
            "spec": {
                "selector": {"matchLabels": owner.selector},
                "paused": False,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
                "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
                "revisionHistoryLimit": 3,
                "template": engine_pod.template(blueprint),
            },
        }

    def scale_target(self, owner: Owner) -> Manifest:
        """Return the reference by which an HPA finds the Deployment."""
        return {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.engine_name}

    def serving_pod_selector(self, owner: Owner) -> dict[str, str]:
        """Return the labels of the engine pods: each answers."""
        return owner.selector

    def progress(self, live: Manifest) -> Progress:
        """Read a live Deployment's status."""
        metadata, status = live["metadata"], live.get("status", {})
        conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
        refusal, progressing = conditions.get("ReplicaFailure", {}), conditions.get("Progressing", {})
        return Progress(
            # One that is being deleted says nothing of the one that takes its place.
            observed=status.get("observedGeneration", 0) >= metadata.get("generation", 1) and "deletionTimestamp" not in metadata,
            wanted=live.get("spec", {}).get("replicas", 1),
            existing=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            overdue=progressing.get("reason") == "ProgressDeadlineExceeded",
            refused=refusal.get("message", "") if refusal.get("status") == "True" else None,
        )
