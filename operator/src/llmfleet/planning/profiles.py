"""Which accelerator profiles there are: those that come with the operator, and AcceleratorProfile objects in their place or beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.planning.parse import parse_profile


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """The profiles of a cluster, or of the files that are read."""

    valid: Mapping[str, AcceleratorProfile]
    """Those that can be used, by name."""
    invalid: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with each object that cannot be read, by name."""


def profiles_with(objects: Iterable[Mapping[str, Any]]) -> ProfileSet:
    """The built-in profiles and those of the objects, which win by name.

    An object that cannot be read (stored under another version's schema) stands for no profile, and hides the built-in one of its name: what
    an administrator replaced must not come back unseen.
    """
    valid, invalid = dict(built_in_profiles()), {}
    for raw in objects:
        name = raw["metadata"]["name"]
        profile = parse_profile(raw)
        if isinstance(profile, tuple):
            valid.pop(name, None)
            invalid[name] = "; ".join(violation.message for violation in profile)
        else:
            valid[name] = profile.spec
    return ProfileSet(MappingProxyType(valid), MappingProxyType(invalid))
