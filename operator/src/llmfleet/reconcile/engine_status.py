"""What runs, as status shows it: what was applied, and what the replicas say of it. Pure.

Everything here holds still while nothing happens: replicas that differ by noise, that are silent for a moment or that crash again and again in the same way
cause no write.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from llmfleet import names
from llmfleet.api.v1alpha1 import EngineStatus, LastFailure, Phase
from llmfleet.api.v1alpha1.status import MAX_ARGUMENT_CHARACTERS
from llmfleet.reconcile.failures import Ended, alike, ended, how_ended, memory_limit
from llmfleet.reconcile.replicas import Replica
from llmfleet.resources.blueprint import Manifest
from llmfleet.scrape.report import Report

NOISE_SECONDS: Final = 5
NOISE_PERCENT: Final = 20
"""A phase that took longer or shorter by no more than either is as it was: equal starts on equal nodes differ by as much as their disks and neighbours do."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """An engine that ended."""

    answering: bool
    """Its replica answers again: what keeps one from answering is told before that."""
    finished_at: str
    """RFC 3339 in UTC; empty where only the launcher remembers it."""
    shown: LastFailure


def engine_status(
    version: str, image: str, arguments: Sequence[str], replicas: Sequence[Replica], *, revision: str | None, before: Manifest, same_revision: bool
) -> EngineStatus:
    """Return what to show of the engines.

    `version`, `image` and `arguments` are as applied; `revision` is that of the pods of the present specification, and `same_revision` says that the status
    `before` was about it, too.
    """
    shown = EngineStatus.from_wire(before)
    answering = [replica.report for replica in replicas if replica.ready and replica.revision == revision]
    current = [report for report in answering if report is not None]
    comparable = shown is not None and shown.image == image and shown.arguments[:1] == list(arguments[:1])
    fields = {
        "arguments": _arguments(current, shown if same_revision else None) or [argument[:MAX_ARGUMENT_CHARACTERS] for argument in arguments],
        "reported_version": _version(current, shown),
        "startup": _startup(current, shown.startup if shown is not None and comparable else (), complete=len(current) == len(answering)),
        "last_failure": _last_failure(replicas, shown.last_failure if shown is not None and same_revision else None),
    }
    return EngineStatus(version=version, image=image, **{name: value for name, value in fields.items() if value})


def _arguments(reports: Iterable[Report], shown: EngineStatus | None) -> list[str]:
    """The arguments by which the engines were started; those that are shown while no engine says others."""
    said = [list(report.arguments) for report in reports if report.arguments is not None]
    known = shown.arguments if shown is not None else []
    return known if known in said or not said else min(said)


def _version(reports: Iterable[Report], shown: EngineStatus | None) -> str | None:
    said = {report.version for report in reports if report.version is not None}
    known = shown.reported_version if shown is not None else None
    return known if known in said or not said else min(said)


def _startup(reports: Iterable[Report], shown: Iterable[Phase], *, complete: bool) -> list[Phase]:
    """The phases of the slowest start; those that are shown while they are nearly the same, and until a replica of the present specification has started.

    Of another image or another model nothing is `shown`: its start says nothing of this one. While the reports are not `complete`, as after a restart of the
    operator, the slowest may be among those that have not been heard.
    """
    known = [(phase.name, phase.seconds) for phase in shown]
    slowest = max((report.startup for report in reports if report.startup), key=_total, default=())
    if slowest and (complete or _total(slowest) > _total(known)) and not _nearly(slowest, known):
        known = list(slowest)
    return [Phase(name=name, seconds=seconds) for name, seconds in known]


def _total(phases: Iterable[tuple[str, int]]) -> int:
    return sum(seconds for _, seconds in phases)


def _nearly(new: Sequence[tuple[str, int]], old: Sequence[tuple[str, int]]) -> bool:
    return [name for name, _ in new] == [name for name, _ in old] and all(
        abs(after - before) <= NOISE_SECONDS or abs(after - before) * 100 <= NOISE_PERCENT * before for (_, after), (_, before) in zip(new, old, strict=True)
    )


def _last_failure(replicas: Iterable[Replica], shown: LastFailure | None) -> LastFailure | None:
    """How an engine ended last. What is shown stays while it is still true, but for the numbers in the words, and after its pod is gone."""
    known = [found for replica in replicas if (found := _ended(replica)) is not None]
    failing = [found for found in known if not found.answering]
    if shown is not None and any(_alike(found.shown, shown) for found in failing):
        return shown  # Of several that crash in turn one is shown, and not each in its turn.
    last = max(failing or known, key=lambda found: (found.finished_at, found.shown.pod), default=None)
    return shown if last is None or (shown is not None and _alike(last.shown, shown)) else last.shown


def _ended(replica: Replica) -> _Ended | None:
    """How the engine of a replica ended last: by the kubelet, or else by the launcher, which remembers it after the kubelet has forgotten."""
    statuses = replica.pod.get("status", {}).get("containerStatuses", ())
    container = next((status for status in statuses if status["name"] == names.ENGINE_CONTAINER), None)
    if container is not None and (last := ended(container)) is not None:
        return _Ended(
            replica.ready,
            str(last.get("finishedAt") or ""),
            LastFailure(pod=replica.name, **how_ended(last, memory_limit(replica.pod, names.ENGINE_CONTAINER)).in_status),
        )
    if replica.report is not None and (told := replica.report.previous_failure) is not None:
        told_end = Ended(told.reason, told.message, told.remedy, told.state or "")
        return _Ended(replica.ready, "", LastFailure(pod=replica.name, **told_end.in_status))
    return None


def _alike(one: LastFailure, other: LastFailure) -> bool:
    """Whether both tell the same but for numbers: free memory is another at every attempt."""
    return (one.pod, one.reason, one.state) == (other.pod, other.reason, other.state) and alike(one.message, other.message)
