"""What a launcher says of its engine: the JSON of `/report`, described in docs/engine-pod.md.

Reader and writer are two programs of two versions, and a pod may say anything: every field may be absent, an unknown one is no error, and one of another type
or size than documented counts as absent. Texts are cut and made legible: they end up in a status and on a terminal.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PATH: Final = "/report"

MAX_BYTES: Final = 256 * 1024
"""Most that is read of a report: arguments and phases take a few kilobytes."""

MAX_WORD: Final = 64
"""Characters of a name, a reason, a state or a version."""

MAX_ADAPTER_NAME: Final = 253
"""Characters of an adapter's name."""

MAX_ADAPTER_WORDS: Final = 1024
"""Characters of why an adapter is not loaded, and of its path."""

MAX_FAILURE_WORDS: Final = 4096
"""Characters of an engine's last words, and of their remedy: a termination message holds no more of both."""

MAX_ARGUMENTS: Final = 512
MAX_ARGUMENT: Final = 32768
"""Characters of one argument: JSON may be long."""

MAX_PHASES: Final = 16
MAX_ADAPTERS: Final = 256
MAX_SECONDS: Final = 10**7
"""Of a phase: 115 days; whoever reports more reports nothing."""

LARGEST: Final = 2**53 - 1
"""Of every other number: 8 PiB, and exact in every reader of JSON. The API server stores no whole number of more than 64 bits."""

STARTED: Final = ("Serving", "Draining")
"""States in which the start is over and its phases grow no more."""


class MalformedReportError(ValueError):
    """The answer is not a JSON object."""


class AdapterState(StrEnum):
    """How far a replica is with an adapter."""

    LOADING = "Loading"
    LOADED = "Loaded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """One adapter on one replica."""

    name: str
    state: AdapterState
    message: str = ""
    """Why it is not loaded."""
    path: str | None = None
    """Directory that the state is about, and so which version; None where the launcher does not say."""


@dataclass(frozen=True, slots=True)
class FailureReport:
    """How an engine ended that nobody had told to end."""

    reason: str
    message: str = ""
    remedy: str = ""
    state: str | None = None
    """Where it was in its life."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the operator needs of it; None is what the launcher does not know or its version does not say."""

    max_sequences: int | None = None
    """Requests that the replica runs at once."""
    kv_tokens: int | None = None
    """Tokens that the KV cache of the replica holds."""
    weights_bytes: int | None = None
    """Weights on one accelerator."""
    kv_cache_bytes: int | None = None
    """KV cache on one accelerator."""
    version: str | None = None
    """vLLM's version, by itself."""
    arguments: tuple[str, ...] | None = None
    """What followed `vllm serve` when it was started; secrets are ***."""
    startup: tuple[tuple[str, int], ...] | None = None
    """Phases of the start that the replica has behind it, with whole seconds; None until it serves."""
    adapters: tuple[AdapterReport, ...] | None = None
    """Every adapter that it was told of."""
    previous_failure: FailureReport | None = None
    """How the container before this one ended, in the same pod."""


def document_of(content: bytes) -> Mapping[str, object]:
    """The JSON object of an answer; MalformedReportError where it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedReportError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedReportError("not a JSON object")
    return document


def parse(content: bytes) -> Report:
    """The report in an answer; a field of another type than documented counts as absent."""
    document = document_of(content)
    return Report(
        max_sequences=_count(document, "limits", "maxSequences"),
        kv_tokens=_count(document, "kvCache", "tokens"),
        weights_bytes=_count(document, "memory", "weightsBytes"),
        kv_cache_bytes=_count(document, "memory", "kvCacheBytes"),
        version=_text(_at(document, "engine", "version"), MAX_WORD),
        arguments=_arguments(_at(document, "engine", "arguments")),
        startup=_phases(document.get("phases")) if document.get("state") in STARTED else None,
        adapters=_adapters(document.get("adapters")),
        previous_failure=_failure(document.get("previousFailure")),
    )


def legible(text: str, characters: int) -> str:
    """So many characters of a text at most, with a blank for what cannot be printed and a question mark for what UTF-8 cannot spell."""
    spelled = text[:characters].encode(errors="replace").decode()
    return "".join(character if character.isprintable() else " " for character in spelled).strip()


def _at(document: Mapping[str, object], part: str, field: str) -> object:
    fields = document.get(part)
    return fields.get(field) if isinstance(fields, dict) else None


def _count(document: Mapping[str, object], part: str, field: str) -> int | None:
    """A number above 0 that can be stored; in place of anything else None."""
    value = _at(document, part, field)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST else None


def _text(value: object, characters: int) -> str | None:
    """A text that says something; in place of anything else None."""
    return (legible(value, characters) or None) if isinstance(value, str) else None


def _arguments(value: object) -> tuple[str, ...] | None:
    """The arguments behind `vllm serve`; None where the list is no such command, or longer than any is."""
    if not isinstance(value, list) or value[:2] != ["vllm", "serve"] or len(value) > MAX_ARGUMENTS or not all(isinstance(part, str) for part in value):
        return None
    return tuple(legible(part, MAX_ARGUMENT) for part in value[2:])


def _phases(value: object) -> tuple[tuple[str, int], ...] | None:
    return tuple(_each_phase(value[:MAX_PHASES])) or None if isinstance(value, list) else None


def _each_phase(items: list[object]) -> Iterator[tuple[str, int]]:
    for item in items:
        if isinstance(item, dict) and (name := _text(item.get("name"), MAX_WORD)) is not None and (seconds := _seconds(item.get("seconds"))) is not None:
            yield name, seconds


def _seconds(value: object) -> int | None:
    # Python takes true for a number, and NaN and Infinity for JSON: the latter lie between no bounds.
    return round(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS else None


def _adapters(value: object) -> tuple[AdapterReport, ...] | None:
    if not isinstance(value, list):
        return None
    known = {adapter.name: adapter for item in value[:MAX_ADAPTERS] if (adapter := _adapter(item)) is not None}
    return tuple(known[name] for name in sorted(known))


def _adapter(item: object) -> AdapterReport | None:
    if not isinstance(item, dict):
        return None
    name, state = _text(item.get("name"), MAX_ADAPTER_NAME), item.get("state")
    if name is None or state not in tuple(AdapterState):
        return None
    message, path = (_text(item.get(part), MAX_ADAPTER_WORDS) for part in ("message", "path"))
    return AdapterReport(name, AdapterState(state), message or "", path)


def _failure(value: object) -> FailureReport | None:
    if not isinstance(value, dict) or (reason := _text(value.get("reason"), MAX_WORD)) is None:
        return None
    message, remedy = (_text(value.get(part), MAX_FAILURE_WORDS) or "" for part in ("message", "remedy"))
    return FailureReport(reason, message, remedy, _text(value.get("state"), MAX_WORD))
