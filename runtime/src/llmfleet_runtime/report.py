"""The JSON of /report; docs/report.schema.json describes it for both sides."""

from collections.abc import Sequence
from typing import Any, Final

from llmfleet_runtime.arguments import max_sequences, redacted
from llmfleet_runtime.engine_api import Facts, Queue
from llmfleet_runtime.lifecycle import Lifecycle
from llmfleet_runtime.measured_memory import Memory

SCHEMA_VERSION: Final = 1
"""Grows when a reader of the former version would misread; new fields alone do not make it grow."""


def report(lifecycle: Lifecycle, unready: str | None, command: Sequence[str], facts: Facts | None, queue: Queue | None, memory: Memory) -> dict[str, Any]:
    """What the launcher knows of its engine; null is what it does not know, or not yet."""
    facts, queue = facts or Facts(), queue or Queue()
    failure = lifecycle.failure
    return {
        "schemaVersion": SCHEMA_VERSION,
        "state": lifecycle.state,
        "readiness": {"ready": unready is None, "reason": unready},
        "phases": [{"name": phase.name, "seconds": phase.seconds} for phase in lifecycle.phases()],
        "engine": {"version": facts.version, "arguments": redacted(command)},
        "model": {"names": facts.model_names, "maxLength": facts.max_model_length},
        "kvCache": {"tokens": facts.kv_cache_tokens, "blocks": facts.kv_cache_blocks, "blockSize": facts.kv_cache_block_size},
        "memory": {"weightsBytes": memory.weights_bytes, "kvCacheBytes": memory.kv_cache_bytes, "graphsBytes": memory.graphs_bytes},
        "concurrency": memory.concurrency,
        "limits": {"maxSequences": max_sequences(command)},
        "requests": {"running": _whole(queue.running), "waiting": _whole(queue.waiting)},
        "failure": None if failure is None else {"reason": failure.reason, "message": failure.message},
    }


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
