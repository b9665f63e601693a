"""What is kept of an object: enough to reconcile without a request, little enough that thousands fit.

A slim object may be slimmed again: a list is reduced page by page, and the store reduces whatever it is given. Keys, kinds and the
ownership of fields, which all children of one shape share, are held once; other values are not, for what is interned is immortal from Python 3.12 on, and
versions, times and messages change with every write. Measured: an engine Deployment of 6.4 kB of JSON, 59 kB as parsed, takes 3.9 kB.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from llmfleet import names
from llmfleet.kube.objects import Object, annotations_of

_CHILD_METADATA: Final = (
    "name", "namespace", "uid", "labels", "ownerReferences", "generation", "resourceVersion", "deletionTimestamp", "creationTimestamp",
)  # fmt: skip
_POD_STATUS: Final = ("phase", "reason", "message", "podIP", "startTime", "conditions")
_CONTAINER_STATUS: Final = ("name", "image", "ready", "restartCount", "state", "lastState")
"""Without identifiers, and without the mounts and resources that newer kubelets repeat here: half of what a pod takes."""


_ATTEMPT: Final = (names.ANNOTATION_ATTEMPT, names.ANNOTATION_LAST_FAILURE)


def slim_owner(obj: Object) -> Object:
    """All of an object that people write (LLMService, AcceleratorProfile) but who wrote what."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return _interned_object({**obj, "metadata": metadata})


def slim_child(obj: Object) -> Object:
    """Of a child: whose it is, what we applied and still own (`owned`, see `owned_entry`), its replicas where it has any, and its status."""
    slim = _reduced(obj, (names.ANNOTATION_APPLIED,))
    slim["owned"] = obj["owned"] if "owned" in obj else owned_entry(obj)
    if "replicas" in (spec := obj.get("spec") or {}):
        slim["spec"] = {"replicas": spec["replicas"]}
    if obj.get("status"):
        slim["status"] = obj["status"]
    return _interned_object(slim)


def slim_job(obj: Object) -> Object:
    """Of a Job: whose it is, which attempt, and its status; its content is in its name."""
    return _interned_object({**_reduced(obj, _ATTEMPT), "status": obj.get("status") or {}})


def slim_claim(obj: Object) -> Object:
    """Of a PersistentVolumeClaim: whose it is, what it asks for, and its status."""
    resources = _chosen(obj.get("spec") or {}, ("resources",))
    return _interned_object({**_reduced(obj, ()), "spec": resources, "status": _chosen(obj.get("status") or {}, ("phase",))})


def slim_pod(obj: Object) -> Object:
    """Of a pod: whose it is, where it runs or may run, what its containers ask for, and what its status says; no more of its specification."""
    spec, status = _chosen(obj.get("spec") or {}, ("nodeName", "nodeSelector")), _chosen(obj.get("status") or {}, _POD_STATUS)
    for part in ("initContainers", "containers"):
        if asked := [_chosen(container, ("name", "resources")) for container in (obj.get("spec") or {}).get(part) or () if container.get("resources")]:
            spec[part] = asked
    for part in ("initContainerStatuses", "containerStatuses"):
        if containers := (obj.get("status") or {}).get(part):
            status[part] = [_chosen(container, _CONTAINER_STATUS) for container in containers]
    return _interned_object({**_reduced(obj, ()), "spec": spec, "status": status})


def owned_entry(obj: Mapping[str, Any]) -> str:
    """Paths that our applies to the object itself own, as canonical JSON of fieldsV1; empty where we never applied or own nothing any more."""
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("manager") == names.FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return _shared(json.dumps(entry.get("fieldsV1") or {}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    return ""


def _reduced(obj: Object, annotations: Iterable[str]) -> Object:
    """What an object is and whose, with the annotations that are asked for."""
    metadata = _chosen(obj["metadata"], _CHILD_METADATA)
    if kept := {name: value for name, value in annotations_of(obj).items() if name in annotations}:
        metadata["annotations"] = kept
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": metadata}


def _chosen(source: Mapping[str, Any], wanted: Iterable[str]) -> Object:
    return {name: source[name] for name in wanted if name in source}


@lru_cache(maxsize=1024)
def _shared(owned: str) -> str:
    """The first of equal texts; not interned, for a text of 5 kB is too much to keep for ever of every shape that ever was."""
    return owned


def _interned(value: Any) -> Any:
    if isinstance(value, dict):
        return {sys.intern(key): _interned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interned(item) for item in value]
    return value


def _interned_object(obj: Object) -> Object:
    slim: Object = _interned(obj)
    for name in ("apiVersion", "kind"):
        if isinstance(slim.get(name), str):
            slim[name] = sys.intern(slim[name])
    return slim
