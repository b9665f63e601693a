"""The accelerator profiles as the cluster has them now."""

from collections.abc import Mapping

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.kube.kinds import ACCELERATOR_PROFILE
from llmfleet.kube.objects import uid_of
from llmfleet.kube.store import Store
from llmfleet.planning.profiles import ProfileSet, profiles_with


class Profiles:
    """Read from the store when asked, and parsed when they have changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: frozenset[tuple[str, str]] = frozenset()
        self._profiles: ProfileSet = profiles_with(())

    def valid(self) -> Mapping[str, AcceleratorProfile]:
        """The profiles that can be used, by name."""
        return self._current().valid

    def invalid(self) -> Mapping[str, str]:
        """What is wrong with each object that cannot be read, by name."""
        return self._current().invalid

    def _current(self) -> ProfileSet:
        objects = list(self._store.objects(ACCELERATOR_PROFILE))
        seen = frozenset((uid_of(raw), raw["metadata"].get("resourceVersion", "")) for raw in objects)
        if seen != self._seen:
            self._seen, self._profiles = seen, profiles_with(objects)
        return self._profiles
