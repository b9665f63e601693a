"""Which files of a repository an engine needs: one set of weights, and everything that is not weights."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from llmfleet_runtime.model.store import File

_DUPLICATE_FOLDERS: Final = frozenset({"original", "metal", "onnx", "openvino", "coreml", "gguf", "runs", "logs"})
"""Folders that hold the same weights in another format (Llama: original, gpt-oss: original and metal), or nothing to serve."""

_CHECKPOINT_FOLDER: Final = re.compile(r"checkpoint-\d+|global_step\d+")
"""What training leaves in a repository."""

_OTHER_ENGINES: Final = (
    ".h5",
    ".msgpack",
    ".ot",
    ".onnx",
    ".onnx_data",
    ".tflite",
    ".mlmodel",
    ".pdparams",
    ".nemo",
    ".ckpt",
    ".tar",
    ".tar.gz",
    ".zip",
    ".llamafile",
)
"""Endings of weights that vLLM does not read, whatever else is there."""

_TRAINING: Final = re.compile(r"(training_args|optimizer|scheduler|random_states?|rng_state|trainer_state)[\w-]*\.(bin|pt|pth)")

_FORMATS: Final = (("safetensors", (".safetensors",)), ("pytorch", (".bin",)), ("pytorch", (".pt", ".pth")), ("gguf", (".gguf",)))
"""Formats in the order in which vLLM prefers them, with their endings (vllm/model_executor/model_loader/default_loader.py, 0.32)."""

_WEIGHTS: Final = tuple(ending for _, endings in _FORMATS for ending in endings)

_MISTRAL: Final = re.compile(r"consolidated[\w.-]*\.safetensors")
"""Mistral's own format of the same weights, beside the one of Transformers."""

INDEX: Final = ".safetensors.index.json"
"""Ending of an index of safetensors."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a repository is needed."""

    format: str
    """safetensors, pytorch, gguf, or none."""
    weights: tuple[File, ...]
    rest: tuple[File, ...]
    """Configuration, tokenizer, code, whatever is not weights."""

    @property
    def files(self) -> tuple[File, ...]:
        """All of them, weights last: what is small and often wrong comes first."""
        return (*self.rest, *self.weights)

    @property
    def size_bytes(self) -> int:
        """Size of all of them."""
        return sum(file.size_bytes for file in self.files)

    def indexes(self) -> tuple[File, ...]:
        """Indexes of the safetensors, of which a repository has one or none."""
        return tuple(file for file in self.rest if file.name.endswith(INDEX))

    def without(self, names: Iterable[str]) -> "Selection":
        """The same without some weights."""
        left_out = frozenset(names)
        return Selection(self.format, tuple(file for file in self.weights if file.name not in left_out), self.rest)


def select(files: Sequence[File]) -> Selection:
    """Choose among the files of a source."""
    candidates = [file for file in files if not _left_out(file.name)]
    rest = tuple(file for file in candidates if not file.name.endswith(_WEIGHTS))
    for name, endings in _FORMATS:
        weights = [file for file in candidates if file.name.endswith(endings)]
        if not weights:
            continue
        if any(not _MISTRAL.fullmatch(file.name) for file in weights) and any(file.name == "config.json" for file in rest):
            weights = [file for file in weights if not _MISTRAL.fullmatch(file.name)]
        return Selection(name, tuple(weights), rest)
    return Selection("none", (), rest)


def _left_out(name: str) -> bool:
    *folders, last = name.split("/")
    hidden = any(part.startswith(".") or not part for part in (*folders, last))  # Also what would lead out of the directory: .. and a leading slash.
    elsewhere = any(folder in _DUPLICATE_FOLDERS or _CHECKPOINT_FOLDER.fullmatch(folder) for folder in folders)
    return hidden or elsewhere or last.endswith(_OTHER_ENGINES) or _TRAINING.fullmatch(last) is not None
