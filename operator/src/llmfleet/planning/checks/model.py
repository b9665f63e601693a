"""The model, its names and its credentials."""

from collections import Counter
from collections.abc import Iterator

from llmfleet.api import source
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import quantization, versions
from llmfleet.vllm.suggestions import one_of


def unknown_dtype(subject: Subject) -> Iterator[Violation]:
    """The dtype must be one of vLLM's."""
    dtype = subject.spec.model.dtype
    if dtype is not None and subject.version in versions.SUPPORTED and dtype not in quantization.DTYPES:
        yield Violation("spec.model.dtype", dtype, "is no dtype of vLLM", one_of(dtype, quantization.DTYPES))


def repeated_served_names(subject: Subject) -> Iterator[Violation]:
    """Served names must differ."""
    for name, count in Counter(subject.spec.model.served_names).items():
        if count > 1:
            yield Violation("spec.model.servedNames", name, f"stands there {count} times", "keep it once")


def credentials_without_use(subject: Subject) -> Iterator[Violation]:
    """Credentials for a source that asks for none would be ignored."""
    model = subject.spec.model
    if model.credentials is not None and not isinstance(source.parse(model.source), source.Repository):
        yield Violation("spec.model.credentials", "", "have no use: only hf:// sources take a token", "remove them")
