"""The small JSON files of a model."""

import json
from typing import Any, Final

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.store import File, Store, content

MAX_BYTES: Final = 64 * 1024 * 1024
"""Largest one that is read: the indexes of the largest models have some megabytes."""

MAX_DEPTH: Final = 64
"""Deepest nesting that is read: configurations have a handful of levels, and what walks through them goes as deep."""

_SHOWN_CHARACTERS: Final = 60


def read(store: Store, file: File) -> dict[str, Any]:
    """A file that must be one JSON object; ModelFailure where it is not, with what is there instead."""
    if file.size_bytes > MAX_BYTES:
        raise ModelFailure(Reason.INVALID_MODEL, f"{file.name} has {file.size_bytes} bytes, which is too long for what it is; is it another file's content?")
    text = content(store, file, 0, file.size_bytes)
    try:
        document = json.loads(text)
        deep = _deeper_than(MAX_DEPTH, document)
    except ValueError as error:
        raise ModelFailure(
            Reason.INVALID_MODEL, f"{file.name} is not JSON ({error}); it begins with {_beginning(text)}; put the model's own file there"
        ) from error
    except RecursionError:
        deep = True
    if deep:
        raise ModelFailure(Reason.INVALID_MODEL, f"{file.name} is nested more than {MAX_DEPTH} levels deep; put the model's own file there")
    if not isinstance(document, dict):
        raise ModelFailure(Reason.INVALID_MODEL, f"{file.name} is no JSON object but begins with {_beginning(text)}; put the model's own file there")
    return document


def _deeper_than(levels: int, document: Any) -> bool:
    """Whether there are lists and objects in more than so many others."""
    level = [document]
    for _ in range(levels):
        level = [inner for value in level if isinstance(value, dict | list) for inner in (value.values() if isinstance(value, dict) else value)]
    return any(isinstance(value, dict | list) for value in level)


def _beginning(content: bytes) -> str:
    return repr(content[:_SHOWN_CHARACTERS].decode(errors="replace")) if content else "nothing: it is empty"
