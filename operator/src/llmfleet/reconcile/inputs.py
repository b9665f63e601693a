"""Everything that one reconcile looks at, read once: what follows is a function of it."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from llmfleet import names
from llmfleet.autoscaling.demand import Demand, NoData
from llmfleet.kube.client import Client
from llmfleet.kube.errors import ApiError
from llmfleet.kube.kinds import CONFIG_MAP, JOB, LLMSERVICE, POD
from llmfleet.kube.objects import Key, controller_uid, uid_of
from llmfleet.kube.store import LABEL_JOB, Store
from llmfleet.reconcile.attempts import Attempt, attempt
from llmfleet.resources.blueprint import Manifest
from llmfleet.scrape.download import Progress
from llmfleet.scrape.fleet import Measured
from llmfleet.scrape.report import Report

CONFIG_MAP_SECONDS = 60.0
"""How long the content of a referenced ConfigMap is taken as known; only our own are watched, so that other people's take no memory."""

REFERENCES: Final = frozenset({"configMap", "configMapRef", "configMapKeyRef"})
"""Fields by which a pod refers to a ConfigMap: volumes and projected sources, envFrom, env."""

REFERRING: Final = (
    ("model", "chatTemplate"),
    ("engine", "env"),
    ("engine", "envFrom"),
    ("template", "spec", "containers"),
    ("template", "spec", "initContainers"),
    ("template", "spec", "volumes"),
)
"""Parts of a specification that become parts of the pod."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One service as the cluster has it."""

    raw: Manifest
    """The LLMService as stored."""
    configuration: Mapping[str, str]
    """Hash of each ConfigMap that the pod refers to and that exists, by name."""
    missing: tuple[str, ...]
    """ConfigMaps that the pod needs and that do not exist: its containers could not start."""
    unreadable: Mapping[str, str]
    """ConfigMaps that the operator may not read, by name, with the API server's words."""
    demand: Demand | NoData | None
    """What the scaler says; None without autoscaling."""
    measured: Measured | None
    """What the engines report of their memory; None while none does."""
    reports: Mapping[str, Report]
    """What each replica's launcher says, by the name of its pod; none of a replica that has not been heard in its present state."""


class Reports(Protocol):
    """What is read of the pods themselves."""

    def demand(self, key: Key, /) -> Demand | NoData | None:
        """What a service asks for; None without autoscaling."""

    def measured(self, key: Key, /) -> Measured | None:
        """What a service's engines report of their memory."""

    def reports(self, key: Key, /) -> Mapping[str, Report]:
        """What the launchers of a service say, by pod."""

    def progress(self, pod_uid: str, /) -> Progress | None:
        """How far the download is that runs in a pod."""


class Gatherer:
    """Reads the inputs of a reconcile: the store, what the pods report, and the ConfigMaps that the specification names."""

    def __init__(self, client: Client, store: Store, reports: Reports) -> None:
        self._client = client
        self._store = store
        self._reports = reports
        self._hashes: dict[Key, _Known] = {}

    async def gather(self, key: Key) -> Inputs | None:
        """Return the inputs, or None when the service is gone or going: the garbage collector does the rest.

        Raises ApiError where a ConfigMap cannot be read for now.
        """
        raw = self._store.get(LLMSERVICE, *key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            self._hashes.pop(key, None)
            return None
        references = list(config_maps(raw.get("spec", {})))
        known = await self._read(key, raw["metadata"].get("generation", 0), sorted({name for name, _ in references}))
        needed = {name for name, optional in references if not optional}
        return Inputs(
            raw=raw,
            configuration={name: digest for name, digest in known.hashes.items() if digest is not None},
            missing=tuple(name for name, digest in known.hashes.items() if digest is None and name in needed),
            unreadable=known.unreadable,
            demand=self._reports.demand(key),
            measured=self._reports.measured(key),
            reports=self._reports.reports(key),
        )

    def pods(self, key: Key) -> tuple[Manifest, ...]:
        """Return the engine pods of a service."""
        pods = self._store.select(POD, key[0], names.LABEL_SERVICE, key[1])
        return tuple(pod for pod in pods if pod["metadata"]["labels"].get(names.LABEL_ROLE) == names.ROLE_ENGINE and controller_uid(pod))

    def attempt(self, namespace: str, name: str) -> Attempt | None:
        """Return how far a Job is, whichever service of the namespace it was made for; None where there is none, or one that is going."""
        job = self._store.get(JOB, namespace, name)
        if job is None or job["metadata"].get("deletionTimestamp"):
            return None
        return attempt(job, self._pods_of(job))

    def progress(self, namespace: str, name: str) -> Progress | None:
        """Return how far the download of a Job is, as its pod reported last."""
        job = self._store.get(JOB, namespace, name)
        found = (self._reports.progress(uid_of(pod)) for pod in self._pods_of(job)) if job is not None else ()
        return next((progress for progress in found if progress is not None), None)

    def _pods_of(self, job: Manifest) -> list[Manifest]:
        pods = self._store.select(POD, job["metadata"]["namespace"], LABEL_JOB, job["metadata"]["name"])
        return [pod for pod in pods if controller_uid(pod) == uid_of(job)]  # not those of a Job of the same name before

    async def _read(self, key: Key, generation: int, names_needed: list[str]) -> "_Known":
        """Hash of each ConfigMap, None for one that does not exist; read anew for a new generation, whose author may have changed both."""
        known = self._hashes.get(key)
        stale = known is None or known.generation != generation or time.monotonic() - known.read_at > CONFIG_MAP_SECONDS
        if known is None or stale or None in known.hashes.values() or known.unreadable:
            hashes: dict[str, str | None] = {}
            unreadable: dict[str, str] = {}
            for name in names_needed:
                try:
                    hashes[name] = digest(await self._client.get(CONFIG_MAP, key[0], name))
                except ApiError as error:
                    if not error.forbidden:
                        raise
                    unreadable[name] = error.message
            known = self._hashes[key] = _Known(generation, time.monotonic(), hashes, unreadable)
        return known


@dataclass(frozen=True, slots=True)
class _Known:
    """The ConfigMaps of one service as they were read last."""

    generation: int
    read_at: float
    hashes: Mapping[str, str | None]
    unreadable: Mapping[str, str]


def digest(config_map: Manifest | None) -> str | None:
    """16 hexadecimal digits over the content of a ConfigMap; None for one that does not exist."""
    if config_map is None:
        return None
    content = {"data": config_map.get("data"), "binaryData": config_map.get("binaryData")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def config_maps(spec: Manifest) -> Iterator[tuple[str, bool]]:
    """Yield the ConfigMaps that a specification's pod reads, and whether each is optional: vLLM reads them at its start only, so new content must roll out.

    On the raw object: it may be one that the checks refuse. Whatever a pod may refer to by one of REFERENCES is found, wherever it stands.
    """
    found: dict[str, bool] = {}
    for path in REFERRING:
        for reference in _references(_at(spec, path)):
            if isinstance(name := reference.get("name"), str) and name:
                found[name] = found.get(name, True) and reference.get("optional") is True
    yield from found.items()


def _references(value: object) -> Iterator[Manifest]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for field, item in value.items():
            if field in REFERENCES and isinstance(item, dict):
                yield item
            else:
                yield from _references(item)


def _at(value: object, path: tuple[str, ...]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
