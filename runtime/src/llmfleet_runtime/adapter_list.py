"""The list of adapters that the operator mounts, as the launcher and the sidecars read it, and what lies beside an adapter that cannot be fetched."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FAILED_SUFFIX: Final = ".failed"
"""Beside the path of an adapter: why it cannot be fetched, as long as that is so."""

MAX_BYTES: Final = 1 << 20
"""Longest list that is read: a ConfigMap holds no more."""


class UnreadableList(Exception):  # noqa: N818 it is no one's error
    """The file is not there, or is no list of adapters; the message says which."""


@dataclass(frozen=True, slots=True)
class Item:
    """One adapter that is wanted."""

    name: str
    """Name that clients ask for."""
    path: str
    """Directory in the engine's container. It depends on the source and its revision: another source is another path."""
    source: str | None = None
    """Where a sidecar fetches it from; None: a claim or an image is mounted at the path."""
    fetcher: int | None = None
    """Number of that sidecar."""


def read(file: Path) -> tuple[Item, ...]:
    """The list as it is now; UnreadableList where it is none. A file that is opened once is of one version: the kubelet exchanges directories, not contents."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableList(f"{file}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UnreadableList(f"{file} has more than {MAX_BYTES:,} bytes")
    try:
        items = tuple(_item(entry) for entry in json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableList(f"{file} is no list of adapters: {error!r}") from error
    if len({item.name for item in items}) != len(items):
        raise UnreadableList(f"{file} names an adapter twice")
    return items


def fetch_failure(path: str) -> str | None:
    """Why the adapter of this path cannot be fetched, as its sidecar has written; None where it has not."""
    try:
        document = json.loads(Path(path + FAILED_SUFFIX).read_bytes())
        return str(document["message"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return "it cannot be fetched; the log of the sidecar says why"


def volume(path: Path) -> Path:
    """Where the volume of an adapter that needs no fetching is mounted: /claims/NAME, /images/NAME, or /models with the model on it."""
    return Path(*path.parts[: 2 if path.parts[1] == "models" else 3])


def _item(entry: dict[str, Any]) -> Item:
    name, path, source, fetcher = entry["name"], entry["path"], entry.get("source"), entry.get("fetcher")
    if not (isinstance(name, str) and name and isinstance(path, str) and path.startswith("/")):
        raise ValueError(f"name {name!r}, path {path!r}")
    if (source is None) != (fetcher is None) or not isinstance(source, str | None) or not isinstance(fetcher, int | None):
        raise ValueError(f"{name}: source {source!r}, fetcher {fetcher!r}")
    return Item(name, path, source, fetcher)
