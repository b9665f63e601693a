"""Which files of a source are a LoRA adapter. Only they are fetched: they come to the node's own disk, where a whole model, named by mistake, would fill it."""

from collections.abc import Sequence

from llmfleet_runtime.adapter_files import CONFIG, WEIGHTS
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.selection import Selection
from llmfleet_runtime.model.store import File

_SHOWN_NAMES = 8


def select_adapter(files: Sequence[File]) -> Selection:
    """The configuration and the weights that vLLM would read; ModelFailure where one of them is not at the top of the source."""
    by_name = {file.name: file for file in files}
    weights = next((by_name[name] for name in WEIGHTS if name in by_name), None)
    if CONFIG not in by_name:
        raise _no_adapter(CONFIG, files)
    if weights is None:
        raise _no_adapter(" or ".join(WEIGHTS), files)
    return Selection("safetensors" if weights.name.endswith(".safetensors") else "pytorch", (weights,), (by_name[CONFIG],))


def _no_adapter(missing: str, files: Sequence[File]) -> ModelFailure:
    names = [file.name for file in files]
    there = f"{', '.join(names[:_SHOWN_NAMES])}{f' and {len(names) - _SHOWN_NAMES} more' if len(names) > _SHOWN_NAMES else ''}" if names else "nothing"
    nested = next((name for name in names if name.endswith(f"/{CONFIG}")), None)
    hint = f"there is an adapter in {nested.rsplit('/', 1)[0]}, which only a bucket or a claim can name" if nested else "correct spec.model.source"
    return ModelFailure(Reason.INVALID_MODEL, f"no {missing} among {len(names)} files ({there}): this is no LoRA adapter as PEFT saves it; {hint}")
