"""What a launcher says of its engine: the JSON of `/report`, described in docs/engine-pod.md.

Reader and writer are two programs of two versions, so every field may be absent, and an unknown one is no error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PATH: Final = "/report"

MAX_BYTES: Final = 256 * 1024
"""Most that is read of a report: arguments and phases take a few kilobytes."""

_MAX_TEXT: Final = 4096
"""Longest text that is kept, the length of a termination message: what a pod says ends in logs and in status."""

_MAX_ARGUMENTS: Final = 512


class MalformedReportError(ValueError):
    """The answer is not a JSON object."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine ended, as its launcher classified it."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """One engine pod by its own account; None is what it does not know or its version does not say."""

    state: str | None = None
    max_sequences: int | None = None
    """Requests that the replica runs at once."""
    kv_cache_tokens: int | None = None
    max_model_length: int | None = None
    """Longest request with its answer, in tokens."""
    engine_version: str | None = None
    engine_arguments: tuple[str, ...] = ()
    """What vLLM was started with, without secrets."""
    failure: Failure | None = None


def parse(content: bytes) -> Report:
    """The report in an answer; fields of another type than documented count as absent."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedReportError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedReportError("not a JSON object")
    engine, failure = _object(document, "engine"), _object(document, "failure")
    reason = _text(failure, "reason")
    return Report(
        state=_text(document, "state"),
        max_sequences=_count(_object(document, "limits"), "maxSequences"),
        kv_cache_tokens=_count(_object(document, "kvCache"), "tokens"),
        max_model_length=_count(_object(document, "model"), "maxLength"),
        engine_version=_text(engine, "version"),
        engine_arguments=_texts(engine, "arguments"),
        failure=Failure(reason, _text(failure, "message") or "") if reason is not None else None,
    )


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value[:_MAX_TEXT] if isinstance(value, str) else None


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name)
    return tuple(text[:_MAX_TEXT] for text in value[:_MAX_ARGUMENTS] if isinstance(text, str)) if isinstance(value, list) else ()


def _count(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
