"""Whether the model lies whole where the command says.

vLLM takes a path that does not exist for a name at Hugging Face, and finds a missing shard after minutes.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from llmfleet_runtime import arguments
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.settings import Settings

CONFIGURATIONS: Final = ("config.json", "params.json", "*.gguf")
"""One of these says what a model is: Hugging Face's, Mistral's, or the file that holds all (transformers_utils/config.py, 0.32)."""

INDEX: Final = "model.safetensors.index.json"
"""Names the file of every tensor."""

MISTRAL: Final = ("consolidated*.safetensors", "consolidated.safetensors.index.json")
"""Weights and index in Mistral's own format, which vLLM prefers without a --load-format: it then looks at no others (model_loader/default_loader.py, 0.32)."""

WEIGHTS: Final = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
"""What vLLM loads without a --load-format of its own kind (model_loader/default_loader.py, 0.32)."""

PLAIN_FORMATS: Final = (None, "auto", "hf", "safetensors")
"""--load-format whose files lie as they were published; others have files of their own, or none."""


def model_is_whole(settings: Settings) -> Refusal | None:
    """Look at the files of a model that is given by an absolute path; a name at a hub is the hub's to answer for."""
    name = arguments.model(settings.command)
    if name is None or not name.startswith("/"):
        return None
    path = Path(name)
    try:
        return _of_file(path) if path.is_file() else _of_directory(path, settings.command)
    except PermissionError as error:
        return Refusal(
            Reason.MODEL_NOT_FOUND,
            f"{error.filename} cannot be read by the engine's user",
            "let the engine's user read the model: the volume's owner or mode, or spec.template.spec.securityContext.fsGroup",
        )


def _of_file(path: Path) -> Refusal | None:
    return None if path.stat().st_size else Refusal(Reason.MODEL_INCOMPLETE, f"{path} is empty")


def _of_directory(path: Path, command: Sequence[str]) -> Refusal | None:
    if not path.is_dir():
        return Refusal(Reason.MODEL_NOT_FOUND, f"there is no {path} in the engine's container")
    list(path.iterdir())  # A directory that may not be read looks empty to glob.
    if arguments.value(command, "--hf-config-path") is None and not any(_found(path, CONFIGURATIONS)):
        return Refusal(Reason.MODEL_INCOMPLETE, f"{path} has no config.json")
    load_format = arguments.value(command, "--load-format")
    if load_format not in PLAIN_FORMATS:
        return None
    if not any(_found(path, WEIGHTS)):
        return Refusal(Reason.MODEL_INCOMPLETE, f"{path} has no weights ({', '.join(WEIGHTS)})")
    mistral = load_format in (None, "auto") and any(path.glob(MISTRAL[0]))
    pattern, index = MISTRAL if mistral else ("*.safetensors", INDEX)
    shards = list(path.glob(pattern))
    try:
        names = _indexed(path / index) if shards and (path / index).exists() else [shard.name for shard in shards]
    except ValueError:
        return Refusal(Reason.MODEL_INCOMPLETE, f"{path / index} is cut short or no index")
    bad = [name for name in names if not (path / name).is_file() or not (path / name).stat().st_size]
    if not bad:
        return None
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return Refusal(Reason.MODEL_INCOMPLETE, f"{bad[0]}{more} of {len(names)} files of {path} {'are' if more else 'is'} missing or empty")


def _indexed(index: Path) -> list[str]:
    """Files that an index names; ValueError where it is none."""
    document = json.loads(index.read_bytes())
    named = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ValueError(index)
    return sorted(set(named.values()))


def _found(directory: Path, patterns: Sequence[str]) -> Iterator[Path]:
    return (path for pattern in patterns for path in directory.glob(pattern))
