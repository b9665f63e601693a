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
    pods: tuple[Manifest, ...]
    """Engine pods, slim."""
    configuration: Mapping[str, str]
    """Hash of each ConfigMap that the pod refers to, by name; "absent" for one that does not exist."""
    demand: Demand | NoData | None
    """What the scaler says; None without autoscaling."""


class Gatherer:
    """Reads the inputs of a reconcile: the store, and the ConfigMaps that the specification names."""

    def __init__(self, client: Client, store: Store, demand: Callable[[Key], Demand | NoData | None]) -> None:
        self._client = client
        self._store = store
        self._demand = demand
        self._hashes: dict[Key, tuple[float, str]] = {}

    async def gather(self, key: Key) -> Inputs | None:
        """Return the inputs, or None when the service is gone or going: the garbage collector does the rest."""
        raw = self._store.get(LLMSERVICE, *key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            return None
        configuration = {name: await self._hash(key[0], name) for name in sorted(set(config_maps(raw.get("spec", {}))))}
        return Inputs(raw=raw, pods=self.pods(key), configuration=configuration, demand=self._demand(key))

    def pods(self, key: Key) -> tuple[Manifest, ...]:
        """Return the engine pods of a service."""
        pods = self._store.select(POD, key[0], names.LABEL_SERVICE, key[1])
        return tuple(pod for pod in pods if pod["metadata"]["labels"].get(names.LABEL_ROLE) == names.ROLE_ENGINE and controller_uid(pod))

    async def _hash(self, namespace: str, name: str) -> str:
        read_at, digest = self._hashes.get((namespace, name), (-CONFIG_MAP_SECONDS, ""))
        if time.monotonic() - read_at < CONFIG_MAP_SECONDS:
            return digest
        found = await self._client.get(CONFIG_MAP, namespace, name)
        content = None if found is None else {"data": found.get("data"), "binaryData": found.get("binaryData")}
        digest = "absent" if content is None else hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        self._hashes[namespace, name] = (time.monotonic(), digest)
        return digest


def config_maps(spec: Manifest) -> Iterator[str]:
    """Yield the names of the ConfigMaps that a specification's pod reads: vLLM reads them at its start only, so new content must roll out.

    On the raw object: it may be one that the checks refuse.
    """
    for variable in _items(spec, "engine", "env"):
        yield from _name(variable, "valueFrom", "configMapKeyRef", "name")
    for volume in _items(spec, "template", "spec", "volumes"):
        yield from _name(volume, "configMap", "name")
        for part in _items(volume, "projected", "sources"):
            yield from _name(part, "configMap", "name")


def _items(value: object, *path: str) -> list[Manifest]:
    found = _at(value, path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _name(value: object, *path: str) -> Iterator[str]:
    found = _at(value, path)
    if isinstance(found, str) and found:
        yield found


def _at(value: object, path: tuple[str, ...]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
