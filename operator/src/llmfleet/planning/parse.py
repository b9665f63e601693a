"""People's objects become models here, or violations: never an exception.

The API server has already refused most of what is wrong, but not everything that reaches the operator passed today's schema: an object
may have been stored under an older one, and `llmfleet render` reads files that no server has seen.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from llmfleet import names
from llmfleet.api.accelerator import AcceleratorProfileObject
from llmfleet.api.structural import structural
from llmfleet.api.v1alpha1 import LLMService, LLMServiceStatus
from llmfleet.planning import reserved
from llmfleet.planning.violation import Violation, shown

NEAREST: Final = 3
"""Field names that are offered for one that does not exist."""

EXPECTED: Final[Mapping[str, str]] = {
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_short": "must not be shorter than {min_length} characters",
    "string_too_long": "must not be longer than {max_length} characters",
    "too_short": "must not have fewer items than {min_length}",
    "too_long": "must not have more items than {max_length}",
}
"""What is wrong with a value, in our words, by pydantic's type of the error; numbers and names are pydantic's."""


def parse(raw: Mapping[str, Any]) -> LLMService | tuple[Violation, ...]:
    """An object as the API server or a file holds it -> the model, or everything that is wrong with it.

    A status that cannot be read is dropped: it is the operator's own, of another version, and is written anew.
    """
    try:
        service = LLMService.model_validate({**raw, "status": None}, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return tuple(_violation(details, LLMService, "llm") for details in error.errors())
    return service.model_copy(update={"status": LLMServiceStatus.from_wire(raw.get("status"))})


def parse_profile(raw: Mapping[str, Any]) -> AcceleratorProfileObject | tuple[Violation, ...]:
    """The same for an AcceleratorProfile, whose variables are those of every engine on the device."""
    try:
        profile = AcceleratorProfileObject.model_validate(raw, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return tuple(_violation(details, AcceleratorProfileObject, "accel") for details in error.errors())
    refused = {name: reserved.refusal(name, value) for name, value in profile.spec.env.items()}
    return tuple(Violation("spec.env", name, *refusal) for name, refusal in refused.items() if refusal) or profile


_SECRET: Final = re.compile(r"\.env\[\d+\](\.value)?$")
"""Fields whose value is not repeated, whatever is wrong with it: it may be a key."""


def _violation(details: ErrorDetails, model: type[BaseModel], short_name: str) -> Violation:
    field = _path(details["loc"])
    if details["type"] == "missing":
        return Violation(field, "", "is required", "add it")
    if details["type"] == "extra_forbidden":
        remedy = _nearest(details["loc"], model) or f"remove it, or look up its name: kubectl explain {_explained(details['loc'][:-1], short_name)}"
        return Violation(field, "", f"is no field of {names.API_VERSION}", remedy)
    return Violation(field, "" if _SECRET.search(field) else shown(details["input"]), _rule(details), "")


def _rule(details: ErrorDetails) -> str:
    """What the value must be. A rule of ours speaks for itself; of an error without words of ours, pydantic's are left."""
    known = EXPECTED.get(details["type"])
    if known is None:
        return details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if details.get("ctx", {}).get("min_length") == 1:
        return "must not be empty"
    return known.format_map({name: f"{value:g}" if isinstance(value, float) else str(value).replace("'", "") for name, value in details.get("ctx", {}).items()})


def _path(location: Sequence[int | str]) -> str:
    """spec.engine.extraArgs[0], as people write it."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) or part == "[key]" else f".{part}"
    return path.removeprefix(".")


def _nearest(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """The remedy for a field that does not exist: the names beside it that are like it, or where the very name does exist; empty where none is."""
    *parents, name = location
    schema = _schema(model)
    for part in parents:
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    known = schema.get("properties", {})
    beside = {field.lower(): field for field in known}
    if near := get_close_matches(str(name).lower(), beside, n=NEAREST, cutoff=0.6):
        return f"did you mean {', '.join(beside[field] for field in near)}?"
    elsewhere = [place for place in _places(_schema(model), "") if place.rpartition(".")[2] == str(name)]
    return f"did you mean {' or '.join(elsewhere[:NEAREST])}?" if elsewhere else ""


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return structural(model)


def _places(schema: Mapping[str, Any], path: str) -> list[str]:
    """Every field below spec, without those within lists."""
    found = []
    for name, field in schema.get("properties", {}).items():
        if path or name == "spec":
            here = f"{path}.{name}".removeprefix(".")
            found += [here, *_places(field, here)]
    return found


def _explained(location: Sequence[int | str], short_name: str) -> str:
    """The argument of `kubectl explain` for a place in the object; it knows no indices."""
    return ".".join((short_name, *(str(part) for part in location if not isinstance(part, int))))
