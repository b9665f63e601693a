"""What is known of a model, and what is to be done to know more or to have it at hand: pure, from the status, the Jobs and their pods.

The status keeps what was found, and a Job is there until its result is in the status: nothing is remembered in between, so that a restart costs nothing.
An inspection that cannot say anything blocks nobody; only what certainly keeps the engine from starting does.
"""

from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1.status import MAX_UNKNOWN_CHARACTERS, CacheStatus, ModelStatus
from llmfleet.names import Reason
from llmfleet.reconcile.attempts import Attempt, State, Words
from llmfleet.resources import model_jobs
from llmfleet.resources.blueprint import Manifest
from llmfleet.scrape.download import Progress

DEFINITE: Final = frozenset({"ModelNotFound", "RevisionNotFound", "ModelAccessDenied", "InvalidModel", "IncompleteModel"})
"""Reasons of the runtime (docs/model-inspection.md) with which an engine would end just so."""

PASSING: Final = frozenset({"SourceUnreachable", "RateLimited", "Evicted", "Preempting", "Terminated"})
"""Reasons that may pass soon: of the runtime, and of the kubelet, which takes a pod off a node that is short of something or shuts down."""

QUICK_ATTEMPTS: Final = 3
"""At a source that may answer again soon; each attempt has a patience of half a minute itself."""

QUICK_SECONDS: Final = 15.0
"""Between those, doubled each time."""

DEFINITE_SECONDS: Final = (300.0, 900.0)
"""Between attempts at what a person has to mend (the first, doubled each time, up to the second): the content of a Secret is not seen to change."""

SILENT_SECONDS: Final = (300.0, model_jobs.KEPT_SECONDS * 5 / 6)
"""Between attempts that nobody waits for. The failed Job must still be there when its place is taken, or it would be forgotten how many there were."""

START_SECONDS: Final = 120.0
"""An inspection that has not begun by then (no node, no quota, a slow image) holds up no engine."""

RESULT_SECONDS: Final = 10.0
"""The Job may be seen complete before its pod is; after that the pod is gone, and with it what it said."""

READING: Final = "the model's configuration and the sizes of its weights are being read"
FILLING: Final = "the cache is being filled"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why new engines are held back."""

    reason: Reason
    message: str
    final: bool = False
    """Waiting alone will not mend it."""


@dataclass(frozen=True, slots=True)
class Start:
    """A Job to be made now."""

    manifest: Manifest
    replaces: Attempt | None = None
    """The failed attempt whose place it takes."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of one model; without any, as at a terminal, nothing is refused and nothing is waited for."""

    facts: ModelFacts | None = None
    """What inspection found."""
    unknown: str | None = None
    """Why nothing is known although it was looked at."""
    waiting: Waiting | None = None
    """Why an engine that is to run this model must not start yet."""
    cache: CacheStatus | None = None
    """The claim that is filled with the model."""
    model_ready: Waiting | None = None
    """Why the cache does not hold the model yet; None where it does, and without a cache."""
    starts: tuple[Start, ...] = ()
    again_seconds: float | None = None
    """When to look again although nothing may happen (seconds since the epoch)."""

    @property
    def inspected(self) -> bool:
        """The inspection has come to its end, whatever it found."""
        return self.facts is not None or self.unknown is not None


@dataclass(frozen=True, slots=True)
class Inspection:
    """The inspection of a model: its Job as it would be made, and as it is."""

    source: str
    """spec.model.source."""
    manifest: Manifest
    attempt: Attempt | None
    refusal: "Refusal | None" = None
    """Why the API server did not take the Job."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's refusal of an inspection: a quota or an admission policy."""

    message: str
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Download:
    """The download of a model into its cache: its Job as it would be made, and as it is."""

    claim: str
    """Name of the claim."""
    path: str
    """Directory on it."""
    manifest: Manifest
    attempt: Attempt | None
    progress: Progress | None = None
    """What its pod reported last."""
    claim_uid: str | None = None
    """Of a claim that the operator made, empty while it is not there: another one of the name holds nothing. None of somebody else's."""


@dataclass(slots=True)
class _Findings:
    """Knowledge under construction."""

    facts: ModelFacts | None = None
    unknown: str | None = None
    waiting: Waiting | None = None
    starts: list[Start] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


def learn(before: ModelStatus | None, inspection: Inspection, download: Download | None, now_seconds: float) -> Knowledge:
    """Put together what the status, the Jobs and their pods say of one model.

    The cache is filled once the inspection has come to its end, whatever it found: what does not fit need not be fetched.
    """
    found = _Findings()
    _inspect(found, before, inspection, now_seconds)
    cache, model_ready = None, None
    if download is not None:
        cache = _kept(before, download)
        if not cache.complete and found.waiting is None:
            cache = _download(found, cache, download, now_seconds)
        model_ready = found.waiting if not cache.complete else None
    return Knowledge(
        facts=found.facts,
        unknown=found.unknown[:MAX_UNKNOWN_CHARACTERS] if found.unknown is not None else None,
        waiting=found.waiting,
        cache=cache,
        model_ready=model_ready,
        starts=tuple(found.starts),
        again_seconds=min(found.times, default=None),
    )


def _inspect(found: _Findings, before: ModelStatus | None, inspection: Inspection, now: float) -> None:
    if before is not None and before.facts is not None and before.facts.source == inspection.source:
        found.facts = before.facts
        return
    attempt, refusal = inspection.attempt, inspection.refusal
    if attempt is None and refusal is not None:
        found.unknown = f"the model was not looked at: the API server refuses the Job for it: {refusal.message}"
        if now < (due := refusal.at_seconds + SILENT_SECONDS[0]):
            found.times.append(due)
        else:
            found.starts.append(Start(inspection.manifest))
    elif attempt is None:
        found.starts.append(Start(inspection.manifest))
        found.waiting = Waiting(Reason.INSPECTING, READING)
    elif attempt.state is State.RUNNING:
        _inspecting(found, attempt, now)
    elif attempt.state is State.COMPLETE and attempt.result is None and now - attempt.since_seconds < RESULT_SECONDS:
        found.waiting = Waiting(Reason.INSPECTING, READING)
        found.times.append(attempt.since_seconds + RESULT_SECONDS)
    else:
        failed = attempt.failed or _take(found, inspection.source, attempt)
        if failed is not None:
            _inspection_failed(found, failed, attempt.number)
            _again(found, inspection.manifest, attempt, _inspection_delay(failed, attempt.number), now)


def _take(found: _Findings, source: str, attempt: Attempt) -> Words | None:
    """Take the facts over; what is wrong with them, where they are none."""
    if attempt.result is None:
        return Words("Lost", "the inspection's pod was gone before its result was read")
    try:
        facts = ModelFacts.model_validate_json(attempt.result)
    except ValidationError as error:
        return Words("Unreadable", f"the inspection's result is not as the operator knows it: {error.errors()[0]['msg']}")
    # The Job names the place where the model is mounted; the specification's own words are what a change is told by.
    found.facts = facts.model_copy(update={"source": source, "config": _without_nulls(facts.config), "generation": _without_nulls(facts.generation)})
    return None


def _without_nulls(document: dict[str, object]) -> dict[str, object]:
    """What is null says nothing, and would not come back from the API server as it went."""
    return {key: _without_nulls(value) if isinstance(value, dict) else value for key, value in document.items() if value is not None}


def _inspecting(found: _Findings, attempt: Attempt, now: float) -> None:
    late = attempt.since_seconds + START_SECONDS
    trouble = attempt.trouble
    if attempt.before is not None:
        # It is tried again: what is shown holds still until something else is known.
        _inspection_failed(found, attempt.before, attempt.number - 1)
    elif trouble is not None and trouble.reason is Reason.IMAGE_PULL_FAILED:
        found.unknown = f"the model was not looked at: {trouble.message}"
    elif trouble is not None and trouble.reason is Reason.CONFIG_ERROR:
        found.waiting = Waiting(Reason.CONFIG_ERROR, trouble.message, final=True)
    elif attempt.started or now < late:
        found.waiting = Waiting(Reason.INSPECTING, READING)
        if not attempt.started:
            found.times.append(late)
    else:
        why = trouble.message if trouble is not None else "no pod was made for it, which a quota or an admission policy may be the cause of"
        found.unknown = f"the model was not looked at: the inspection has not begun after {START_SECONDS:.0f} s: {why}"


def _inspection_failed(found: _Findings, failed: Words, number: int) -> None:
    if failed.reason in DEFINITE:
        found.waiting = Waiting(Reason.MODEL_UNAVAILABLE, failed.text, final=True)
    elif failed.reason in PASSING and number < QUICK_ATTEMPTS:
        found.waiting = Waiting(Reason.INSPECTING, f"{failed.text}; trying again")
    else:
        found.unknown = failed.text


def _inspection_delay(failed: Words, number: int) -> float:
    if failed.reason in PASSING and number < QUICK_ATTEMPTS:
        return QUICK_SECONDS * float(2 ** (number - 1))
    return _delay(DEFINITE_SECONDS if failed.reason in DEFINITE else SILENT_SECONDS, number)


def _delay(bounds: tuple[float, float], number: int) -> float:
    first, longest = bounds
    return min(first * float(2 ** min(number - 1, 10)), longest)


def _again(found: _Findings, manifest: Manifest, attempt: Attempt, delay_seconds: float, now: float) -> None:
    """Have a failed attempt replaced when it is time."""
    due = attempt.since_seconds + delay_seconds
    if now >= due:
        found.starts.append(Start(manifest, replaces=attempt))
    else:
        found.times.append(due)


def _kept(before: ModelStatus | None, download: Download) -> CacheStatus:
    """The cache as the status has it, if it is the same one and still there."""
    known = before.cache if before is not None else None
    place = (download.claim, download.claim_uid, download.path)
    complete = known is not None and known.complete and (known.claim_name, known.claim_uid, known.path) == place
    return CacheStatus(claim_name=download.claim, claim_uid=download.claim_uid or None, path=download.path, complete=complete)


def _download(found: _Findings, cache: CacheStatus, download: Download, now: float) -> CacheStatus:
    attempt = download.attempt
    found.waiting = Waiting(Reason.DOWNLOADING, FILLING)
    if attempt is None:
        found.starts.append(Start(download.manifest))
        return cache
    if attempt.state is State.COMPLETE:
        found.waiting = None
        return cache.model_copy(update={"complete": True})
    progress = download.progress if attempt.state is State.RUNNING else None
    if attempt.failed is not None:
        found.waiting = _download_failed(attempt.failed)
        _again(found, download.manifest, attempt, _delay(DEFINITE_SECONDS, attempt.number), now)
    elif attempt.trouble is not None:
        # A missing claim or Secret, an image that cannot be pulled, no room on any node.
        found.waiting = Waiting(attempt.trouble.reason, attempt.trouble.message, attempt.trouble.final)
    elif progress is not None and progress.text is not None:
        found.waiting = Waiting(Reason.DOWNLOADING, f"{FILLING}: {progress.text}")
        return cache.model_copy(
            update={"bytes_done": progress.bytes_done, "bytes_total": progress.bytes_total, "seconds_left": progress.seconds_left, "progress": progress.text}
        )
    elif (failed := attempt.failing or attempt.before) is not None and progress is None:
        # It is tried again: what is shown holds still until it gets somewhere.
        found.waiting = _download_failed(failed)
    elif not attempt.started:
        late = attempt.since_seconds + START_SECONDS
        if now < late:
            found.times.append(late)
        else:
            found.waiting = Waiting(
                Reason.DOWNLOADING, f"{FILLING}: it has not begun yet; kubectl describe job {download.manifest['metadata']['name']} says why"
            )
    return cache


def _download_failed(failed: Words) -> Waiting:
    return Waiting(Reason.MODEL_UNAVAILABLE, f"{failed.text}; trying again", final=failed.reason not in PASSING)
