"""Engine replicas of one pod each: a Deployment."""

import hashlib
import json

from llmfleet import names
from llmfleet.resources import engine_pod
from llmfleet.resources.blueprint import Blueprint, Manifest, Owner
from llmfleet.resources.rollout_plan import RolloutPlan, first_plan
from llmfleet.resources.workload import Progress


class DeploymentWorkload:
    """The workload of a replica that fits one node."""

    def build(self, blueprint: Blueprint) -> Manifest:
        """Return the Deployment `<name>-engine`.

        No `replicas`: an applied number would be ours, and dropping it later resets the Deployment to 1.
        """
        owner, plan = blueprint.owner, blueprint.rollout or first_plan(blueprint.spec)
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": owner.metadata(owner.engine_name),
            "spec": {
                "selector": {"matchLabels": owner.selector},
                "paused": plan.paused,
                "strategy": _strategy(plan),
                "progressDeadlineSeconds": plan.progress_deadline_seconds,
                "revisionHistoryLimit": 3,
                "template": _labelled(engine_pod.template(blueprint)),
            },
        }

    def revision(self, rendered: Manifest) -> str:
        """Return the revision of a Deployment as it was rendered."""
        return str(rendered["spec"]["template"]["metadata"]["labels"][names.LABEL_REVISION])

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


def _strategy(plan: RolloutPlan) -> Manifest:
    """The Deployment's own words for a plan.

    In place, one replica that answers may go at a time. Those that fit no node do not answer anyway: counted as available, they would keep every other one
    from being replaced, for the controller never goes below the number that is wanted less maxUnavailable.
    """
    if plan.strategy == "Recreate":
        return {"type": "Recreate"}
    surge, unavailable = (1, 0) if plan.strategy == "Surge" else (0, 1 + plan.without_room)
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _labelled(template: Manifest) -> Manifest:
    """The pod template with its own hash as a label; a label of that name that a user wrote is no part of the content."""
    labels = {name: value for name, value in template["metadata"]["labels"].items() if name != names.LABEL_REVISION}
    content = {**template, "metadata": {**template["metadata"], "labels": labels}}
    revision = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:10]
    return {**template, "metadata": {**template["metadata"], "labels": {**labels, names.LABEL_REVISION: revision}}}
