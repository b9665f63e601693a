"""Everything that one reconcile looks at, read once: what follows is a function of it."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from llmfleet import names
from llmfleet.autoscaling.demand import Demand, NoData
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import CONFIG_MAP, LLMSERVICE, POD
from llmfleet.kube.objects import Key, controller_uid
from llmfleet.kube.store import Store
from llmfleet.resources.blueprint import Manifest

CONFIG_MAP_SECONDS = 60.0
"""How long the content of a referenced ConfigMap is taken as known; reads are not watched, so that the operator needs no list of everybody's."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One service as the cluster has it."""

    raw: Manifest
    """The LLMService as stored."""
    configuration: Mapping[str, str]
    """Hash of each ConfigMap that the pod refers to and that exists, by name."""
    missing: tuple[str, ...]
    """ConfigMaps that the pod needs and that do not exist: its containers could not start."""
    demand: Demand | NoData | None
    """What the scaler says; None without autoscaling."""


class Gatherer:
    """Reads the inputs of a reconcile: the store, and the ConfigMaps that the specification names."""

    def __init__(self, client: Client, store: Store, demand: Callable[[Key], Demand | NoData | None]) -> None:
        self._client = client
        self._store = store
        self._demand = demand
        self._hashes: dict[Key, _Known] = {}

    async def gather(self, key: Key) -> Inputs | None:
        """Return the inputs, or None when the service is gone or going: the garbage collector does the rest.

        Raises ApiError where a ConfigMap cannot be read.
        """
        raw = self._store.get(LLMSERVICE, *key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            self._hashes.pop(key, None)
            return None
        references = list(config_maps(raw.get("spec", {})))
        hashes = await self._read(key, raw["metadata"].get("generation", 0), sorted({name for name, _ in references}))
        needed = {name for name, optional in references if not optional}
        return Inputs(
            raw=raw,
            configuration={name: digest for name, digest in hashes.items() if digest is not None},
            missing=tuple(name for name, digest in hashes.items() if digest is None and name in needed),
            demand=self._demand(key),
        )

    def pods(self, key: Key) -> tuple[Manifest, ...]:
        """Return the engine pods of a service."""
        pods = self._store.select(POD, key[0], names.LABEL_SERVICE, key[1])
        return tuple(pod for pod in pods if pod["metadata"]["labels"].get(names.LABEL_ROLE) == names.ROLE_ENGINE and controller_uid(pod))

    async def _read(self, key: Key, generation: int, names_needed: list[str]) -> Mapping[str, str | None]:
        """Hash of each ConfigMap, None for one that does not exist; read anew for a new generation, whose author may have changed both."""
        known = self._hashes.get(key)
        if known is None or known.generation != generation or None in known.hashes.values() or time.monotonic() - known.read_at > CONFIG_MAP_SECONDS:
            hashes = {name: _digest(await self._client.get(CONFIG_MAP, key[0], name)) for name in names_needed}
            known = self._hashes[key] = _Known(generation, time.monotonic(), hashes)
        return known.hashes


@dataclass(frozen=True, slots=True)
class _Known:
    """The ConfigMaps of one service as they were read last."""

    generation: int
    read_at: float
    hashes: Mapping[str, str | None]


def _digest(config_map: Manifest | None) -> str | None:
    if config_map is None:
        return None
    content = {"data": config_map.get("data"), "binaryData": config_map.get("binaryData")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def config_maps(spec: Manifest) -> Iterator[tuple[str, bool]]:
    """Yield the ConfigMaps that a specification's pod reads, and whether each is optional: vLLM reads them at its start only, so new content must roll out.

    On the raw object: it may be one that the checks refuse.
    """
    references = [_at(variable, ("valueFrom", "configMapKeyRef")) for variable in _items(spec, "engine", "env")]
    for volume in _items(spec, "template", "spec", "volumes"):
        references += [_at(volume, ("configMap",)), *(_at(part, ("configMap",)) for part in _items(volume, "projected", "sources"))]
    for reference in references:
        if isinstance(reference, dict) and isinstance(name := reference.get("name"), str) and name:
            yield name, reference.get("optional") is True


def _items(value: object, *path: str) -> list[Manifest]:
    found = _at(value, path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _at(value: object, path: tuple[str, ...]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
