"""What can be known of an adapter's directory before vLLM looks at it, whose own words name no field of ours."""

import json
from pathlib import Path
from typing import Any, Final

CONFIG: Final = "adapter_config.json"

WEIGHTS: Final = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
"""The only names that vLLM reads, in its order (lora/lora_model.py, 0.32)."""

LARGEST_RANK: Final = 512
"""Largest --max-lora-rank (config/lora.py, 0.32)."""


def trouble(path: Path, max_rank: int) -> str | None:
    """Why vLLM could not load what lies there; None where nothing is seen that would hinder it. `max_rank` is --max-lora-rank."""
    try:
        config = json.loads((path / CONFIG).read_bytes())
    except FileNotFoundError:
        return f"{path} has no {CONFIG}: let adapters.items[].source name the directory of a PEFT adapter"
    except OSError as error:
        return f"{path / CONFIG} cannot be read: {error.strerror}; make it readable for the pod's user"
    except ValueError as error:
        return f"{path / CONFIG} is not JSON ({error}): save the adapter again"
    rank = _rank(config)
    if rank is None:
        return f"{path / CONFIG} says no rank (r): it is no LoRA adapter, or was not saved by PEFT"
    if rank > LARGEST_RANK:
        return f"rank {rank} exceeds {LARGEST_RANK}, the largest that vLLM takes: train it again with a smaller one"
    if rank > max_rank:
        return f"rank {rank} exceeds adapters.maxRank {max_rank}: raise it"
    if not any((path / name).is_file() for name in WEIGHTS):
        return f"{path} has no weights: vLLM reads {', '.join(WEIGHTS[:-1])} or {WEIGHTS[-1]}"
    return None


def size_bytes(path: Path) -> int:
    """How much lies below a directory; 0 where there is none."""
    try:
        return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())
    except OSError:  # What is written there changes meanwhile.
        return 0


def _rank(config: Any) -> int | None:
    """The largest rank of any module (rank_pattern has those that differ); None where there is none."""
    if not isinstance(config, dict):
        return None
    pattern = config.get("rank_pattern")
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    whole = [rank for rank in ranks if isinstance(rank, int) and not isinstance(rank, bool) and rank > 0]
    return max(whole) if len(whole) == len(ranks) else None
