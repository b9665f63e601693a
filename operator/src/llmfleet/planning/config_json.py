"""Numbers out of a config.json, which anybody may have written: what is no plausible number counts as absent."""

from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 2**27
"""No width, count or context of a model comes near; a number beyond it is a mistake."""

MOST_LAYERS: Final = 4096
"""No model comes near; what lists more is not reckoned with."""


def number(config: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number from 0 to LARGEST, or the default where there is none."""
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else default


def positive(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of several fields that holds a positive whole number."""
    return next((value for name in names if (value := number(config, name, 0))), None)


def integers(value: object) -> list[int]:
    """The whole numbers of a list; empty where it is none."""
    return [item for item in value if isinstance(item, int)] if isinstance(value, list) else []


def needed(config: Mapping[str, Any], name: str) -> int:
    """A positive whole number.

    Raises:
        KeyError: there is none.

    """
    value = positive(config, name)
    if value is None:
        raise KeyError(name)
    return value
