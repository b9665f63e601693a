"""Flags that engine.extraArgs may not hold, because a field, another object or the operator itself says them.

vLLM takes the last of two equal flags without a word, so an owned flag in extraArgs would make a field that is accepted and ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import Final

from llmfleet.vllm.arguments import TYPED
from llmfleet.vllm.reading import Occurrence


@dataclass(frozen=True, slots=True)
class Owner:
    """Who says a flag."""

    name: str
    """The field below spec, or who does."""
    remedy: str
    """What to do instead."""


def _field(field: str) -> Owner:
    return Owner(f"spec.{field}", f"set spec.{field}")


def _typed() -> dict[str, Owner]:
    """The flags of typed fields; of one that several fields make together, the object that holds them."""
    fields: dict[str, str] = {}
    for typed in TYPED:
        fields[typed.flag] = _shared(fields.get(typed.flag, typed.field), typed.field)
    return {flag: _field(field) for flag, field in fields.items()}


def _shared(one: str, other: str) -> str:
    """The innermost object that holds both fields."""
    return ".".join(name for name, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one.split("."), other.split("."), strict=False)))


def _operator(remedy: str, *flags: str) -> dict[str, Owner]:
    return dict.fromkeys(flags, Owner("the operator", remedy))


_ONE_POD: Final = "remove it: a replica is one pod, spread by spec.parallelism"

OWNED: Final[Mapping[str, Owner]] = MappingProxyType(
    _typed()
    | {
        # Further flags of typed fields.
        "--model": _field("model.source"),
        "--hf-token": _field("model.credentials"),
        "--spec-method": _field("engine.speculative.method"),
        "--spec-model": _field("engine.speculative.model"),
        "--spec-tokens": _field("engine.speculative.tokens"),
        "--shutdown-timeout": _field("rollout.drainTimeout"),
        "--lora-modules": _field("adapters.items"),
    }
    | _operator(
        "remove it: the Service and the probes expect vLLM's own HTTP server on port 8000 of every interface",
        *("--port", "--host", "--uds", "--grpc", "--grpc-port"),
    )
    | _operator("remove it: only one API server drains its requests on shutdown", "--api-server-count")
    | _operator("remove it and use fields and extraArgs: a file would change the service unseen", "--config")
    | _operator(
        "remove it and end TLS before the Service: the probes and the scraper speak HTTP",
        *("--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs", "--ssl-cert-reqs", "--ssl-ciphers", "--enable-ssl-refresh"),
    )
    | _operator("remove it: it takes away the metrics that scaling reads", "--disable-log-stats")
    | _operator("remove it: it prints and ends", "--help")
    | _operator(
        "remove it: sleep is off, because a sleeping engine passes its probes and answers nobody; scale to fewer replicas instead",
        *("--enable-sleep-mode", "--sleep-mode-offload-cudagraph", "--sleep-preserve-parameter-names"),
    )
    | _operator(
        _ONE_POD,
        *("--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless", "--device-ids", "--prefill-context-parallel-size"),
        *("--data-parallel-size-local", "--data-parallel-rank", "--data-parallel-start-rank", "--data-parallel-address", "--data-parallel-rpc-port"),
        *("--data-parallel-backend", "--data-parallel-supervisor-port", "--data-parallel-hybrid-lb", "--data-parallel-external-lb"),
        "--data-parallel-multi-port-external-lb",
    )
)
"""Every owned flag by its name in the catalogue: those of arguments.TYPED, and what stands here."""

OWNED_KEYS: Final[Mapping[tuple[str, str], Owner]] = {
    ("--attention-config", "backend"): _field("engine.attentionBackend"),
    ("--reasoning-config", "reasoning_parser"): _field("engine.reasoning.parser"),
}
"""Keys of free JSON flags that say again what a field says: (flag, key)."""


def owner_of(occurrence: Occurrence) -> Owner | None:
    """Who else says what an occurrence says; None if it is free."""
    keys = (key for value in occurrence.values if isinstance(value, dict) for key in value)
    return OWNED.get(occurrence.flag.name) or next((owner for key in keys if (owner := OWNED_KEYS.get((occurrence.flag.name, key)))), None)
