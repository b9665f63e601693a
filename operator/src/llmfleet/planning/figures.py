"""Numbers between two bounds, and the lines of a bill made of them."""

from dataclasses import dataclass
from typing import Final

GIB: Final = 1024**3
MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two bounds: bytes, tokens or requests."""

    low: int
    """The lower bound."""
    high: int
    """The upper bound."""

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)

    @property
    def middle(self) -> int:
        """Half way between the bounds."""
        return (self.low + self.high) // 2


NOTHING: Final = Range(0, 0)


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the bill, in bytes of one accelerator."""

    name: str
    """What takes the memory."""
    size: Range
    """How much."""
    formula: str
    """How it follows, in words and numbers."""
    source: str
    """Where the formula comes from: a file of vLLM, or what it was checked on."""


def total(*ranges: Range) -> Range:
    """The sum of several."""
    return sum(ranges, start=NOTHING)


def gib(size_bytes: int) -> str:
    """Bytes for people: 14.25 GiB."""
    return f"{size_bytes / GIB:.2f} GiB"


def gib_range(size: Range) -> str:
    """A range of bytes for people: 14.2 to 15.1 GiB, or one number where both bounds read the same."""
    low, high = f"{size.low / GIB:.1f}", f"{size.high / GIB:.1f}"
    return f"{low} GiB" if low == high else f"{low} to {high} GiB"


def number_range(count: Range) -> str:
    """A range of tokens or requests for people."""
    return str(count.low) if count.low == count.high else f"{count.low} to {count.high}"
