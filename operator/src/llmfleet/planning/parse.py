"""People's objects become models here, or violations: never an exception.

The API server has already refused most of what is wrong, but not everything that reaches the operator passed today's schema: an object
may have been stored under an older one, and `llmfleet render` reads files that no server has seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llmfleet import names
from llmfleet.api.v1alpha1 import LLMService, LLMServiceStatus
from llmfleet.planning.violation import Violation


def parse(raw: Mapping[str, Any]) -> LLMService | tuple[Violation, ...]:
    """An object as the API server or a file holds it -> the model, or everything that is wrong with it.

    A status that cannot be read is dropped: it is the operator's own, of another version, and is written anew.
    """
    try:
        service = LLMService.model_validate({**raw, "status": None}, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return tuple(_violation(details) for details in error.errors())
    return service.model_copy(update={"status": _status(raw.get("status"))})


def _status(raw: object) -> LLMServiceStatus | None:
    try:
        return LLMServiceStatus.model_validate(raw, strict=True, by_alias=True, by_name=False)
    except ValidationError:
        return None


def _violation(details: ErrorDetails) -> Violation:
    field = _path(details["loc"])
    if details["type"] == "missing":
        return Violation(field, "", "is required", "add it")
    if details["type"] == "extra_forbidden":
        parent = _explained(details["loc"][:-1])
        return Violation(field, "", f"is no field of {names.API_VERSION}", f"remove it, or look up its name: kubectl explain {parent}")
    rule = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return Violation(field, _shown(details["input"]), rule, "")


def _path(location: Sequence[int | str]) -> str:
    """spec.engine.extraArgs[0], as people write it."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) or part == "[key]" else f".{part}"
    return path.removeprefix(".")


def _explained(location: Sequence[int | str]) -> str:
    """The argument of `kubectl explain` for a place in the object; it knows no indices."""
    return ".".join(("llm", *(str(part) for part in location if not isinstance(part, int))))


def _shown(value: object) -> str:
    """A scalar as given; a whole object is not repeated."""
    return str(value) if isinstance(value, str | int | float) else ""
