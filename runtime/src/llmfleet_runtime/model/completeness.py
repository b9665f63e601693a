"""Whether every file of weights is there: as the index names them, or, where there is none, as the shards count themselves."""

import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final

from llmfleet_runtime.model import documents
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.selection import Selection
from llmfleet_runtime.model.store import Store

_SHARD: Final = re.compile(r"(.*-)(\d+)-of-(\d+)(\.[a-z]+)")
MAX_FILE_BYTES: Final = 1 << 45
"""32 TiB: more than any model has, and little enough for a sum of many to stay exact for every reader of JSON (docs/facts.schema.json)."""

_SHOWN_NAMES: Final = 3


def checked(store: Store, selection: Selection) -> Selection:
    """The weights that will be loaded; ModelFailure where some are missing.

    Safetensors beside an index that does not name them are left out, as vLLM leaves them (filter_duplicate_safetensors_files): they are the same weights again.
    """
    if wrong := [file for file in selection.files if not 0 <= file.size_bytes <= MAX_FILE_BYTES]:
        raise ModelFailure(
            Reason.INVALID_MODEL,
            f"the source says that {wrong[0].name} has {wrong[0].size_bytes} bytes, which no file has; upload it again, or suspect the mirror",
        )
    present = {file.name for file in selection.weights}
    left_out: set[str] = set()
    for index in selection.indexes():
        folder = posixpath.dirname(index.name)
        named = {posixpath.join(folder, str(name)) for name in _weight_map(documents.read(store, index), index.name).values()}
        if missing := sorted(named - present):
            raise _missing(f"{index.name} names {len(named)} files of weights", missing)
        left_out |= {name for name in present - named if posixpath.dirname(name) == folder}
    remaining = selection.without(left_out)
    _check_numbers([file.name for file in remaining.weights])
    return remaining


def _weight_map(index: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        raise ModelFailure(Reason.INVALID_MODEL, f"{name} has no weight_map; export the weights again")
    return weight_map


def _check_numbers(names: list[str]) -> None:
    counted: dict[tuple[str, str, str], set[int]] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            counted.setdefault((match[1], match[3], match[4]), set()).add(int(match[2]))
    for (stem, total, ending), numbers in counted.items():
        expected = range(1, int(total) + 1) if 0 not in numbers else range(int(total))
        if missing := [f"{stem}{number:0{len(total)}d}-of-{total}{ending}" for number in expected if number not in numbers]:
            raise _missing(f"the files of weights count to {int(total)}", missing)


def _missing(why: str, missing: list[str]) -> ModelFailure:
    more = f" and {len(missing) - _SHOWN_NAMES} more" if len(missing) > _SHOWN_NAMES else ""
    return ModelFailure(
        Reason.INCOMPLETE_MODEL,
        f"{why}, of which {len(missing)} {'is' if len(missing) == 1 else 'are'} missing: {', '.join(missing[:_SHOWN_NAMES])}{more}; "
        "finish the upload or the download, or remove the index of another export",
    )
