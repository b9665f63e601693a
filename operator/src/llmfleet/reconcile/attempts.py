"""One attempt of a Job at the model, as the cluster shows it: under way, done or failed, and in whose words."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from llmfleet import names
from llmfleet.reconcile.failures import Failure, ended, how_ended, reason_and_message, worst
from llmfleet.resources.blueprint import Manifest

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,5}")

MAX_WORDS: Final = 1000
"""Characters of a failure that are kept: what fits status.model.unknown, with what is put around it."""


class State(StrEnum):
    """How far a Job is, by its own conditions."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Words:
    """What an attempt ended with."""

    reason: str
    """One of the runtime's reasons (docs/model-inspection.md), or what the kubelet or the Job's controller calls it."""
    message: str

    @property
    def text(self) -> str:
        """For people."""
        return (f"{self.reason}: {self.message}" if self.message else self.reason)[:MAX_WORDS]

    def to_annotation(self) -> str:
        """For ANNOTATION_LAST_FAILURE of the attempt that follows."""
        return json.dumps({"reason": self.reason[:MAX_WORDS], "message": self.message[:MAX_WORDS]})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A Job and its pods."""

    uid: str
    """Of the Job."""
    number: int
    """1 for the first."""
    state: State
    since_seconds: float
    """When it was made, or when it ended (seconds since the epoch)."""
    started: bool = False
    """Its container has run, or runs."""
    trouble: Failure | None = None
    """What is wrong with its pods that have not ended."""
    result: str | None = None
    """The termination message of the container that ended well."""
    failed: Words | None = None
    """What it ended with; only of one that failed."""
    failing: Words | None = None
    """What its last pod to end ended with, while the Job's controller makes another or has made it."""
    before: Words | None = None
    """What the attempt before ended with; None of the first."""


def attempt(job: Manifest, pods: Iterable[Manifest]) -> Attempt:
    """Read a Job of ours and the pods that it controls."""
    known = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    conditions = {condition["type"]: condition for condition in job.get("status", {}).get("conditions", ()) if condition["status"] == "True"}
    annotations = job["metadata"].get("annotations", {})
    state, at = State.RUNNING, job["metadata"].get("creationTimestamp")
    for kind, reached in (("Failed", State.FAILED), ("Complete", State.COMPLETE)):
        if kind in conditions:
            state, at = reached, conditions[kind].get("lastTransitionTime") or at
    number = annotations.get(names.ANNOTATION_ATTEMPT, "")
    alive = [pod for pod in known if pod.get("status", {}).get("phase") != "Failed"]
    return Attempt(
        uid=job["metadata"].get("uid", ""),
        number=int(number) if _NUMBER.fullmatch(number) else 1,
        state=state,
        since_seconds=_seconds(at),
        started=any(_has_started(container) for pod in known for container in _containers(pod)),
        trouble=worst(alive),
        result=_result(known),
        failed=(_last_words(known) or _of_controller(conditions["Failed"])) if state is State.FAILED else None,
        failing=_last_words(known) if state is State.RUNNING else None,
        before=_words(annotations.get(names.ANNOTATION_LAST_FAILURE, "")),
    )


def _containers(pod: Manifest) -> Iterable[Mapping[str, Any]]:
    containers: Iterable[Mapping[str, Any]] = pod.get("status", {}).get("containerStatuses", ())
    return containers


def _has_started(container: Mapping[str, Any]) -> bool:
    return bool({"running", "terminated"} & container.get("state", {}).keys() or "terminated" in container.get("lastState", {}))


def _result(pods: Iterable[Manifest]) -> str | None:
    for pod in pods:
        for container in _containers(pod):
            done = container.get("state", {}).get("terminated", {})
            if done.get("exitCode") == 0:
                return str(done.get("message", ""))
    return None


def _last_words(pods: list[Manifest]) -> Words | None:
    """Of the last pod that says something."""
    for pod in reversed(pods):
        for container in _containers(pod):
            if (last := ended(container)) is not None:
                told = how_ended(last)
                return Words(told.reason, told.message)
        if (status := pod.get("status", {})).get("phase") == "Failed" and "reason" in status:
            return Words(str(status["reason"]), str(status.get("message", "")))
    return None


def _of_controller(condition: Mapping[str, Any]) -> Words:
    return Words(str(condition.get("reason", "Failed")), str(condition.get("message", "")))


def _words(text: str) -> Words | None:
    found = reason_and_message(text)
    return Words(found.reason, found.message) if found is not None else None


def _seconds(time: str | None) -> float:
    return datetime.fromisoformat(time).timestamp() if time else 0.0
