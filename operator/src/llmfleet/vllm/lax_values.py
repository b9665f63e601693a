"""What pydantic takes for a number or a truth.

vLLM hands JSON to pydantic, which is generous in its own way: "5" and 5.0 are integers, "yes" is a boolean, 5 is no text. The rules here are those of its lax
mode for JSON (its conversion table; measured with pydantic 2.14).
"""

import re
from typing import Final

_TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no", "off"})
_INTEGER: Final = re.compile(r"\s*[+-]?\d+(_\d+)*(\.0+)?\s*")


def has_type(value: object, kind: str) -> bool:
    """Whether a value is taken for a type, by JSON schema's name of it."""
    match kind:
        case "integer":
            return integer(value) is not None
        case "number":
            return isinstance(value, int | float) or (isinstance(value, str) and _is_number(value))
        case "boolean":
            return truth(value) is not None
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return value is None


def integer(value: object) -> int | None:
    """The integer that a value stands for; None if it stands for none."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value.partition(".")[0]) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def number(value: object) -> float:
    """The number that a value stands for, which has the type of one; an integer stays one, for it may be larger than any float."""
    if isinstance(value, str):
        whole = integer(value)
        return float(value) if whole is None else whole
    return value if isinstance(value, int | float) else 0


def truth(value: object) -> bool | None:
    """The boolean that a value stands for; None if it stands for none."""
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    if not isinstance(value, str):
        return None
    return True if value.lower() in _TRUE else False if value.lower() in _FALSE else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
