"""What a person may have meant by a name that is in no table."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that look like this one, the likeliest first."""
    return get_close_matches(name, list(known), n=3, cutoff=0.6)


def one_of(name: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not in a table: the nearest ones, or all where there are few or none is near."""
    names = sorted({*known})
    near = nearest(name, names)
    return f"did you mean {', '.join(near)}?" if near and len(names) > len(near) else f"choose one of {', '.join(names)}"
