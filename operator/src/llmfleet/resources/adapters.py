"""LoRA adapters in the engine's pod: the list that the launcher loads from, and the sidecars that fetch what no volume holds.

The list is a ConfigMap, mounted as a directory, so that the kubelet renews it in running pods (within a minute or so) and an engine needs no access to the
API server. The pod template knows nothing of the items: it follows from what has to be mounted for them alone, each claim, image and set of credentials once
and in an order of its own. An item that brings a new one of these, or takes the last use of one away, is rolled out; any other is loaded or unloaded in place.
A volume that nothing uses any more is not kept: nothing remembers it but the pods.

Every pod of the service reads the same list, those of the template before included. So whatever a list refers to has the same name in every template: claims
their own, images and fetched sources a digest, sidecars a number that follows from their credentials.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from llmfleet import names
from llmfleet.api import source
from llmfleet.api.source import Bucket, Repository, Scheme
from llmfleet.api.v1alpha1 import Adapter, Credentials, LLMServiceSpec
from llmfleet.resources import credentials
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.resources.restricted import container_security

LIST_FILE: Final = f"{names.ADAPTERS_LIST_DIR}/{names.ADAPTERS_KEY}"
"""The list in the pod."""

DIGEST_DIGITS: Final = 12
"""Hexadecimal digits of a path's digest: 64 adapters collide with a probability of 1e-11."""

SIDECAR_RESOURCES: Final[Manifest] = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
"""It sleeps but for a fetch, which streams by parts of a mebibyte; the rest of the limit is page cache, which the kernel takes back."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One adapter as the pod is told of it."""

    name: str
    """Name that clients ask for."""
    path: str
    """Directory in the pod."""
    source: str | None = None
    """Where it is fetched from; None for what a volume holds."""
    fetcher: int | None = None
    """Number of the sidecar that fetches it; None with source."""


def fetched(spec: LLMServiceSpec, adapter: Adapter) -> Listed:
    """Return where an adapter from a hub or a bucket lies.

    The path is a digest of the source and of who fetches it: another source is never taken for this one, and no two sidecars write to one directory.
    """
    number = _number(spec, adapter)
    digest = _digest([adapter.source, number])
    return Listed(adapter.name, f"{names.ADAPTERS_DIR}/{digest}", adapter.source, number)


def list_volumes(blueprint: Blueprint) -> list[Manifest]:
    """Return the volumes of the list and of what is fetched."""
    return [
        {"name": names.VOLUME_ADAPTERS_LIST, "configMap": {"name": blueprint.owner.name + names.ADAPTERS_SUFFIX}},
        {"name": names.VOLUME_ADAPTERS, "emptyDir": {}},
    ]


def engine_mounts() -> list[Manifest]:
    """Return where they are mounted in the engine's container."""
    return [_list_mount(), {"name": names.VOLUME_ADAPTERS, "mountPath": names.ADAPTERS_DIR, "readOnly": True}]


def sidecars(blueprint: Blueprint) -> tuple[list[Manifest], list[Manifest]]:
    """Return the sidecars that fetch adapters, and the volumes of their credentials.

    Number 0 is always there: an adapter that anybody may read, or whoever may read the model, needs no new pod.
    """
    spec = blueprint.spec
    wanted = {0: (spec.model.credentials if (scheme := _scheme(spec.model.source)) is not None else None, scheme)}
    for adapter in spec.adapters.items:
        if (scheme := _scheme(adapter.source)) is not None and (number := _number(spec, adapter)):
            wanted[number] = (adapter.credentials, scheme)
    containers: list[Manifest] = []
    volumes: list[Manifest] = []
    for number, (given, scheme) in sorted(wanted.items()):
        volume = f"{names.VOLUME_CREDENTIALS}-{number}"
        access = credentials.access(given, scheme, volume) if scheme is not None else credentials.Access()
        containers.append(_sidecar(blueprint, number, given, access))
        volumes += access.volumes
    return containers, volumes


def build(blueprint: Blueprint, listed: Sequence[Listed]) -> Manifest:
    """Return the ConfigMap `<name>-adapters`."""
    entries = [{key: value for key, value in asdict(adapter).items() if value is not None} for adapter in listed]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": blueprint.owner.metadata(blueprint.owner.name + names.ADAPTERS_SUFFIX),
        "data": {names.ADAPTERS_KEY: json.dumps(entries, ensure_ascii=False)},
    }


def _sidecar(blueprint: Blueprint, number: int, given: Credentials | None, access: credentials.Access) -> Manifest:
    spec = blueprint.spec
    command = ["python3", "-m", "llmfleet_runtime", "fetch-adapters", LIST_FILE, "--fetcher", str(number), "--directory", names.ADAPTERS_DIR]
    container: Manifest = {
        "name": f"{names.ADAPTERS_CONTAINER}{number}",
        "image": blueprint.platform.runtime_image,
        "command": command,
        # A sidecar: it starts before the engine, goes on beside it and ends after it.
        "restartPolicy": "Always",
        "env": credentials.fetching_environment(given, access, spec.engine.env),
        "resources": SIDECAR_RESOURCES,
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            _list_mount(),
            {"name": names.VOLUME_ADAPTERS, "mountPath": names.ADAPTERS_DIR},
            {"name": names.VOLUME_TMP, "mountPath": names.TMP_DIR},
            *access.mounts,
            *credentials.named_files(spec).mounts,
        ],
    }
    if access.environment_from:
        container["envFrom"] = list(access.environment_from)
    return container


def _list_mount() -> Manifest:
    # Never by subPath: such a mount is not renewed.
    return {"name": names.VOLUME_ADAPTERS_LIST, "mountPath": names.ADAPTERS_LIST_DIR, "readOnly": True}


def _number(spec: LLMServiceSpec, adapter: Adapter) -> int:
    """The number of the sidecar with an adapter's credentials: 0 without any of its own, else 32 bits of a digest, so that 64 collide with 5e-7.

    One Secret makes other variables for another kind of source: the kind is part of it.
    """
    scheme, own = _scheme(adapter.source), adapter.credentials
    if own is None or (scheme is _scheme(spec.model.source) and own == spec.model.credentials):
        return 0
    return int(_digest([str(scheme), own.to_wire()])[:8], 16) or 1


def _scheme(url: str) -> Scheme | None:
    """How a source is fetched; None for one that is mounted."""
    origin = source.parse(url)
    return origin.scheme if isinstance(origin, Repository | Bucket) else None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:DIGEST_DIGITS]
