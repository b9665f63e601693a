"""What is known of a model without its weights: configuration, and the headers of its files."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from llmfleet_runtime.model import completeness, configuration, documents, safetensors, tensors
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.patience import Patience
from llmfleet_runtime.model.selection import Selection, select
from llmfleet_runtime.model.source import Directory, Source
from llmfleet_runtime.model.store import File, Listing, Store

SCHEMA_VERSION: Final = 1
"""Of docs/facts.schema.json."""

_PARALLEL_HEADERS: Final = 8
"""Headers read at once: the largest models have some two hundred files, and a request takes some tens of milliseconds."""

MAX_RANK: Final = 2**31 - 1
"""Largest rank that the facts may have (docs/facts.schema.json)."""

_CONFIG: Final = "config.json"
_GENERATION: Final = "generation_config.json"
_ADAPTER: Final = "adapter_config.json"
_MISTRAL: Final = "params.json"
"""Configuration of Mistral's own format, which vLLM serves without a config.json."""

_SHOWN_NAMES: Final = 8

_log = logging.getLogger(__name__)


def inspect(source: Source, store: Store, patience: Callable[[], Patience] = Patience) -> dict[str, Any]:
    """The facts of a model, as docs/facts.schema.json has them; ModelFailure where they cannot be had."""
    _log.info("looking at %s", source)
    listing = patience().get(store.listing)
    selection = select(listing.files)
    read = _read_documents(store, selection, patience)
    if _CONFIG not in read and _ADAPTER not in read and _MISTRAL not in read and selection.format != "gguf":
        raise _no_configuration(source, listing)
    selection = patience().get(lambda: completeness.checked(store, selection))
    config = read.get(_CONFIG, {})
    facts: dict[str, Any] = {
        "schemaVersion": SCHEMA_VERSION,
        "source": str(source),
        "config": configuration.reduced(config),
        "generation": configuration.scalars(read.get(_GENERATION, {})),
        "weights": _weights(store, selection, patience),
    }
    if listing.revision is not None:
        facts["revision"] = listing.revision
    if (quantization := configuration.quantization(config, read)) is not None:
        facts["quantization"] = quantization
    if (adapter := _adapter(read.get(_ADAPTER, {}))) is not None:
        facts["adapter"] = adapter
    if not isinstance(source, Directory):
        facts["download"] = {"files": len(selection.files), "bytes": selection.size_bytes}
    return facts


def _read_documents(store: Store, selection: Selection, patience: Callable[[], Patience]) -> Mapping[str, Mapping[str, Any]]:
    wanted = {_CONFIG, _GENERATION, _ADAPTER, _MISTRAL, *configuration.QUANTIZER_FILES}
    return {file.name: patience().get(lambda file=file: documents.read(store, file)) for file in selection.rest if file.name in wanted}  # type: ignore[misc]


def _weights(store: Store, selection: Selection, patience: Callable[[], Patience]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "format": selection.format,
        "files": len(selection.weights),
        "bytes": sum(file.size_bytes for file in selection.weights),
        "tensors": [],
    }
    if selection.format == "safetensors":
        files = [file for file in selection.weights if file.name.endswith(".safetensors")]
        if len(files) > 1 and not selection.indexes():
            _log.info("no index of the %d files of weights: all of them are taken, as vLLM takes them", len(files))
        _log.info("reading the headers of %d files", len(files))

        def header(file: File) -> tuple[safetensors.Tensor, ...]:
            return patience().get(lambda: safetensors.tensors(store, file))

        with ThreadPoolExecutor(_PARALLEL_HEADERS) as pool:
            found["tensors"] = tensors.groups(tensor for header in pool.map(header, files) for tensor in header)
    return found


def _adapter(document: Mapping[str, Any]) -> dict[str, Any] | None:
    rank = document.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        return None
    adapter: dict[str, Any] = {"rank": rank}
    if isinstance(base := document.get("base_model_name_or_path"), str):
        adapter["baseModel"] = base[:256]
    targets = document.get("target_modules")
    if isinstance(targets, str):
        targets = [targets]
    if isinstance(targets, list):
        adapter["targetModules"] = [str(target)[:128] for target in targets[:32]]
    return adapter


def _no_configuration(source: Source, listing: Listing) -> ModelFailure:
    names = [file.name for file in listing.files]
    there = f"{', '.join(names[:_SHOWN_NAMES])}{f' and {len(names) - _SHOWN_NAMES} more' if len(names) > _SHOWN_NAMES else ''}" if names else "nothing"
    nested = next((name for name in names if name.endswith(f"/{_CONFIG}")), None)
    hint = f"there is one in {nested.rsplit('/', 1)[0]}: is that the model?" if nested else "correct spec.model.source, or add the model's config.json"
    return ModelFailure(Reason.INVALID_MODEL, f"{source}: no config.json among {len(names)} files ({there}); {hint}")
