"""Readers of what every Kubernetes object has; objects are plain dicts, as they came from JSON."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON gives it."""

Key: TypeAlias = tuple[str, str]
"""Namespace and name; the namespace of a cluster-scoped object is empty."""


class Listing(list[Object]):
    """What a LIST answered: the objects, and the revision of the cluster's state that they are a snapshot of."""

    def __init__(self, objects: Iterable[Object] = (), *, resource_version: str = "") -> None:
        super().__init__(objects)
        self.resource_version = resource_version


def key_of(obj: Mapping[str, Any]) -> Key:
    """Namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def uid_of(obj: Mapping[str, Any]) -> str:
    """The object's uid; empty for a manifest that was never stored."""
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's labels; empty where it has none."""
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return labels


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's annotations; empty where it has none."""
    annotations: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return annotations


def controller_uid(obj: Mapping[str, Any]) -> str | None:
    """Uid of the owner that controls the object, None where nobody does: the proof that a child is ours, where a name or a label is not."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def is_ready(obj: Mapping[str, Any]) -> bool:
    """Whether an object says of itself that it is Ready: of a pod, that requests are sent to it."""
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in (obj.get("status") or {}).get("conditions", ()))


def has_ended(pod: Mapping[str, Any]) -> bool:
    """Whether a pod stays behind as a record only: its containers have ended for good, and its address may be another's by now."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def stays(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is there to stay: neither ended nor being deleted."""
    return not pod["metadata"].get("deletionTimestamp") and not has_ended(pod)


def revision(resource_version: str | None) -> int | None:
    """A resourceVersion as a number, None where it is not one.

    Kubernetes 1.35 made the comparison official (KEP-5504); before that it held for every storage there is, since all are etcd.
    """
    return int(resource_version) if resource_version and resource_version.isascii() and resource_version.isdigit() else None
