"""Kubernetes quantities as numbers: `16Gi` is 17179869184, `500m` is half a byte and so one."""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

from llmfleet.api.wire import QUANTITY_EXPECTED, QUANTITY_PATTERN

_SUFFIX: Final[dict[str, Decimal]] = {
    "": Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    **{letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTPE")},
}
"""apimachinery, resource.Quantity."""


def quantity_bytes(quantity: str) -> int:
    """A quantity in bytes; a fraction of a byte counts as a whole one, as Kubernetes rounds.

    Raises:
        ValueError: what is written is no quantity.

    """
    match = re.fullmatch(QUANTITY_PATTERN, quantity)
    if match is None:
        raise ValueError(QUANTITY_EXPECTED)
    number, suffix = match[1], match[3] or ""
    factor = Decimal(10) ** int(suffix[1:]) if re.fullmatch(r"[eE][+-]?[0-9]+", suffix) else _SUFFIX[suffix]
    return int((Decimal(number) * factor).to_integral_value(ROUND_CEILING))
