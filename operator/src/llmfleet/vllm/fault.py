"""What is wrong inside a JSON value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong inside a JSON value."""

    path: str
    """Dotted, as in --compilation-config.pass_config.eliminate_noops; empty for the value itself."""
    rule: str
    remedy: str
    pluggable: bool = False
    """Whether a plugin in the image may make it right."""
