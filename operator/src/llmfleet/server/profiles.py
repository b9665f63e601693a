"""The accelerator profiles as the cluster has them: what comes with the operator, and AcceleratorProfile objects in its place or beside it."""

from collections.abc import Mapping
from types import MappingProxyType

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.kube.kinds import ACCELERATOR_PROFILE
from llmfleet.kube.objects import uid_of
from llmfleet.kube.store import Store
from llmfleet.planning.parse import parse_profile


class Profiles:
    """Read from the store when asked, and parsed when they have changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: frozenset[tuple[str, str]] | None = None
        self._valid: Mapping[str, AcceleratorProfile] = built_in_profiles()
        self._invalid: Mapping[str, str] = MappingProxyType({})

    def valid(self) -> Mapping[str, AcceleratorProfile]:
        """The profiles that can be used, by name. A built-in one whose name an invalid object has is not among them: what was replaced must not come back."""
        self._read()
        return self._valid

    def invalid(self) -> Mapping[str, str]:
        """What is wrong with each object that cannot be read, by name."""
        self._read()
        return self._invalid

    def _read(self) -> None:
        objects = list(self._store.objects(ACCELERATOR_PROFILE))
        seen = frozenset((uid_of(raw), raw["metadata"].get("resourceVersion", "")) for raw in objects)
        if seen == self._seen:
            return
        valid, invalid = dict(built_in_profiles()), {}
        for raw in objects:
            name = raw["metadata"]["name"]
            profile = parse_profile(raw)
            if isinstance(profile, tuple):
                valid.pop(name, None)
                invalid[name] = "; ".join(violation.message for violation in profile)
            else:
                valid[name] = profile.spec
        self._seen, self._valid, self._invalid = seen, MappingProxyType(valid), MappingProxyType(invalid)
