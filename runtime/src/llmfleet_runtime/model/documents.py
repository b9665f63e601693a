"""The small JSON files of a model."""

import json
from typing import Any, Final

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.store import File, Store

MAX_BYTES: Final = 64 * 1024 * 1024
"""Largest one that is read: the indexes of the largest models have some megabytes."""

_SHOWN_CHARACTERS: Final = 60


def read(store: Store, file: File) -> dict[str, Any]:
    """A file that must be one JSON object; ModelFailure where it is not, with what is there instead."""
    if file.size_bytes > MAX_BYTES:
        raise ModelFailure(Reason.INVALID_MODEL, f"{file.name} has {file.size_bytes} bytes, which is too long for what it is; is it another file's content?")
    content = b"".join(store.read(file, 0, file.size_bytes)) if file.size_bytes else b""
    if len(content) != file.size_bytes:
        raise ModelFailure(Reason.SOURCE_UNREACHABLE, f"{file.name}: the source broke off after {len(content)} of {file.size_bytes} bytes; it is tried again")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ModelFailure(
            Reason.INVALID_MODEL, f"{file.name} is not JSON ({error}); it begins with {_beginning(content)}; put the model's own file there"
        ) from error
    if not isinstance(document, dict):
        raise ModelFailure(Reason.INVALID_MODEL, f"{file.name} is no JSON object but begins with {_beginning(content)}; put the model's own file there")
    return document


def _beginning(content: bytes) -> str:
    return repr(content[:_SHOWN_CHARACTERS].decode(errors="replace")) if content else "nothing: it is empty"
