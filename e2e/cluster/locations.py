"""Where the cluster keeps things: what is costly to make survives in the cache, what belongs to one running cluster lies in its state folder."""

from __future__ import annotations

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
REPOSITORY = SOURCE.parent.parent


def cache_folder() -> Path:
    """Return the folder outside the tree that survives `down` and `git clean`; created when absent."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "llmfleet"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def state_folder() -> Path:
    """Return the folder of the one cluster of this machine; `down` removes it."""
    return cache_folder() / "cluster" / "state"
