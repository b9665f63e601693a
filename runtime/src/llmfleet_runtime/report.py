"""The JSON of /report; docs/report.schema.json describes it for both sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llmfleet_runtime.adapters import AdapterState
from llmfleet_runtime.arguments import max_sequences, redacted
from llmfleet_runtime.engine_api import Facts, Queue
from llmfleet_runtime.lifecycle import Lifecycle
from llmfleet_runtime.measured_memory import Memory
from llmfleet_runtime.previous_failure import document
from llmfleet_runtime.startup import Duration

SCHEMA_VERSION: Final = 1
"""Grows when a reader of the former version would misread; new fields alone do not make it grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the launcher knows of its engine at one moment; None is what it does not know, or not yet."""

    unready: str | None = None
    """Why the engine gets no traffic."""
    phases: Sequence[Duration] = ()
    facts: Facts = field(default_factory=Facts)
    queue: Queue = field(default_factory=Queue)
    in_flight: int | None = None
    """Requests from their first byte to their last."""
    memory: Memory = field(default_factory=Memory)
    adapters: Sequence[AdapterState] = ()
    previous_failure: Mapping[str, str] | None = None


def report(life: Lifecycle, command: Sequence[str], seen: Seen) -> dict[str, Any]:
    """Everything of one engine."""
    facts, memory = seen.facts, seen.memory
    return {
        "schemaVersion": SCHEMA_VERSION,
        "state": life.state,
        "states": [{"name": stay.state, "seconds": stay.seconds} for stay in life.stays()],
        "readiness": {"ready": seen.unready is None, "reason": seen.unready},
        "phases": [{"name": duration.phase, "seconds": duration.seconds} for duration in seen.phases],
        "engine": {"version": facts.version, "arguments": redacted(command)},
        "model": {"names": facts.model_names, "maxLength": facts.max_model_length},
        "kvCache": {"tokens": facts.kv_cache_tokens, "blocks": facts.kv_cache_blocks, "blockSize": facts.kv_cache_block_size},
        "memory": {"weightsBytes": memory.weights_bytes, "kvCacheBytes": memory.kv_cache_bytes, "graphsBytes": memory.graphs_bytes},
        "concurrency": memory.concurrency,
        "limits": {"maxSequences": max_sequences(command)},
        "requests": {"running": _whole(seen.queue.running), "waiting": _whole(seen.queue.waiting), "inFlight": seen.in_flight},
        "adapters": [{"name": adapter.name, "path": adapter.path, "state": adapter.state, "message": adapter.message} for adapter in seen.adapters],
        "cut": life.cut,
        "failure": None if life.failure is None else document(life.failure, life.failed_in or ""),
        "previousFailure": None if seen.previous_failure is None else dict(seen.previous_failure),
    }


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
