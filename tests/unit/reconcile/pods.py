"""Engine pods as the store has them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from llmfleet import names

NOW = 1_800_000_000.0


def at(seconds: float) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    name: str,
    revision: str = "new",
    *,
    ready: bool = False,
    placed: bool = True,
    no_room: str | None = None,
    since: float = NOW,
    was_ready: bool = False,
    replica_set: str | None = None,
    leaves_until: float | None = None,
    restarts: int = 0,
    ended: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    phase: str = "Running",
) -> dict[str, Any]:
    """A pod, started at `since`; with `was_ready` it was ready until a minute later.

    With `ended` its engine ended with that message and waits to be started again.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "labels": {names.LABEL_REVISION: revision, names.LABEL_ROLE: names.ROLE_ENGINE, names.LABEL_SERVICE: "x"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": replica_set or f"x-engine-{revision}", "uid": f"uid-{revision}", "controller": True}],
        "creationTimestamp": at(since),
    }
    if leaves_until is not None:
        metadata["deletionTimestamp"] = at(leaves_until)
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(since)}
    if no_room is not None:
        scheduled |= {"status": "False", "reason": "Unschedulable", "message": no_room}
        return {"metadata": metadata, "spec": {}, "status": {"phase": "Pending", "conditions": [scheduled]}}
    if not placed:
        return {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}}
    conditions = [scheduled, {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": at(since + 60 * was_ready)}]
    engine: dict[str, Any] = {"name": names.ENGINE_CONTAINER, "image": "r", "ready": ready, "restartCount": restarts, "state": {"running": {}}}
    if ended is not None:
        engine |= {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "message": json.dumps(ended)}}}
    if state is not None:
        engine["state"] = state
    return {
        "metadata": metadata,
        "spec": {"nodeName": "a"},
        "status": {"phase": phase, "startTime": at(since), "conditions": conditions, "containerStatuses": [engine]},
    }
