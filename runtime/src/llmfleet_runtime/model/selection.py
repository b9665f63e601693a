"""Which files of a repository an engine needs: one set of weights, and everything that is not weights."""

import posixpath
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

_MISTRAL: Final = re.compile(r"consolidated[^/]*\.safetensors")
"""Mistral's own format, which vLLM prefers to the same weights in that of Transformers (default_loader.py: "auto" is "mistral" where these are)."""

_INDEX: Final = "model.safetensors.index.json"
_MISTRAL_INDEX: Final = "consolidated.safetensors.index.json"
"""The only indexes that vLLM reads; others are of variants."""


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
        """Indexes of the safetensors among the weights, one of each folder that has one; without any weights, the one of what should be there."""
        mistral = any(_MISTRAL.fullmatch(file.name) for file in self.weights)
        folders = {posixpath.dirname(file.name) for file in self.weights if file.name.endswith(".safetensors")} if self.weights else {""}
        wanted = {posixpath.join(folder, _INDEX) if folder or not mistral else _MISTRAL_INDEX for folder in folders}
        return tuple(file for file in self.rest if file.name in wanted)

    def without(self, names: Iterable[str]) -> "Selection":
        """The same without some weights."""
        left_out = frozenset(names)
        return Selection(self.format, tuple(file for file in self.weights if file.name not in left_out), self.rest)


def select(files: Sequence[File]) -> Selection:
    """Choose among the files of a source."""
    candidates = [file for file in files if not _left_out(file.name)]
    rest = tuple(file for file in candidates if not file.name.endswith(_WEIGHTS))
    weights = [file for file in candidates if file.name.endswith(_WEIGHTS)]
    found, chosen = _one_format([file for file in weights if "/" not in file.name])
    if found == "none":
        found, chosen = _one_format(weights)
    elif found != "gguf":
        chosen += _of_modules([file for file in weights if "/" in file.name], frozenset(file.name for file in rest))
    return Selection(found, tuple(chosen), rest)


def _one_format(weights: Sequence[File]) -> tuple[str, list[File]]:
    """The first format that there is, and its files."""
    for name, endings in _FORMATS:
        if chosen := [file for file in weights if file.name.endswith(endings)]:
            return name, [file for file in chosen if _MISTRAL.fullmatch(file.name)] or chosen
    return "none", []


def _of_modules(weights: Sequence[File], rest: frozenset[str]) -> list[File]:
    """Weights in folders, such as those of a sentence transformer's layers (2_Dense): safetensors, or pickles where a module has nothing else."""
    safe = {posixpath.dirname(file.name) for file in weights if file.name.endswith(".safetensors")}

    def wanted(file: File) -> bool:
        folder = posixpath.dirname(file.name)
        pickled = file.name.endswith(".bin") and folder not in safe and f"{folder}/config.json" in rest
        return file.name.endswith(".safetensors") or pickled

    return [file for file in weights if wanted(file)]


def _left_out(name: str) -> bool:
    *folders, last = name.split("/")
    if not name.isprintable():  # Zero bytes, line breaks, text that no encoding takes: no file system or terminal takes it.
        return True
    hidden = any(part.startswith(".") or not part for part in (*folders, last))  # Also what would lead out of the directory: .. and a leading slash.
    elsewhere = any(folder in _DUPLICATE_FOLDERS or _CHECKPOINT_FOLDER.fullmatch(folder) for folder in folders)
    return hidden or elsewhere or last.endswith(_OTHER_ENGINES) or _TRAINING.fullmatch(last) is not None
