"""The header of a safetensors file: eight bytes with its length, then JSON with every tensor's type, shape and place (format of the safetensors library)."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.store import File, Store, content

LENGTH_BYTES: Final = 8

MAX_HEADER_BYTES: Final = 100_000_000
"""The safetensors library's own limit."""

_FIRST_READ_BYTES: Final = 128 * 1024
"""Takes in the whole header of most shards, so that one request per file suffices."""

MAX_DTYPE: Final = 16
"""Longest name of a number format that the facts may have (docs/facts.schema.json)."""

_POINTER: Final = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor, as the header has it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def tensors(store: Store, file: File) -> tuple[Tensor, ...]:
    """The tensors of a file, from its header alone; ModelFailure where the file is no safetensors, or not all there."""
    first = content(store, file, 0, min(_FIRST_READ_BYTES, file.size_bytes))
    if first.startswith(_POINTER):
        raise ModelFailure(
            Reason.INCOMPLETE_MODEL, f"{file.name} is only git-lfs's pointer to the weights; run `git lfs pull` where the model was cloned, or fetch it"
        )
    if file.size_bytes < LENGTH_BYTES:
        raise _half(file, LENGTH_BYTES)
    (length,) = struct.unpack("<Q", first[:LENGTH_BYTES])
    if length > MAX_HEADER_BYTES:
        raise _invalid(file, f"its header would be {length} bytes long")
    end = LENGTH_BYTES + length
    if file.size_bytes < end:
        raise _half(file, end)
    header = first[LENGTH_BYTES:end] if len(first) >= end else first[LENGTH_BYTES:] + content(store, file, len(first), end)
    try:
        found = tuple(_parsed(json.loads(header)))
        stop = max((entry_stop for _, entry_stop in found), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise _invalid(file, f"its header cannot be read: {error!r}") from error
    if file.size_bytes < end + stop:
        raise _half(file, end + stop)
    return tuple(tensor for tensor, _ in found)


def _parsed(header: dict[str, Any]) -> Iterator[tuple[Tensor, int]]:
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = (int(offset) for offset in entry["data_offsets"])
            if not 0 <= start <= stop:
                raise ValueError(f"tensor {name!r} would lie from byte {start} to {stop}")
            yield Tensor(name, str(entry["dtype"])[:MAX_DTYPE], tuple(int(size) for size in entry["shape"]), stop - start), stop


def _half(file: File, needed_bytes: int) -> ModelFailure:
    return ModelFailure(
        Reason.INCOMPLETE_MODEL,
        f"{file.name} is only half there: {file.size_bytes} bytes, its own header says at least {needed_bytes}; copy or download it again",
    )


def _invalid(file: File, why: str) -> ModelFailure:
    return ModelFailure(Reason.INVALID_MODEL, f"{file.name} is no safetensors file: {why}; export the weights again")
