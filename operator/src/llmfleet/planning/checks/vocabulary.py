"""Names that vLLM's parser takes as free text and its engine looks up 10 to 30 seconds later.

The catalogue of the version holds what it knows; of a version without a catalogue nothing is known, and an image of the user's own may hold plugins with more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic.alias_generators import to_snake

from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import quantization, versions
from llmfleet.vllm.catalogue import Catalogue, ClosedSet, catalogue
from llmfleet.vllm.suggestions import one_of


@dataclass(frozen=True, slots=True)
class Named:
    """A field that holds a name of vLLM's."""

    field: str
    """Path below spec."""
    what: str
    """What the name is one of."""
    among: ClosedSet | str
    """The set that it must be in: a closed set, or the flag whose choices it is one of."""
    pluggable: bool = True
    """A plugin in the image can bring further names."""
    ignores_case: bool = False
    """vLLM takes any case (config/attention.py, config/load.py, config/model.py)."""
    besides: tuple[str, ...] = ()
    """Names that it knows beside the declared ones."""

    def known(self, known: Catalogue) -> Sequence[str]:
        """The names that a version knows."""
        if isinstance(self.among, ClosedSet):
            return known.sets[self.among]
        flag = known.flags[self.among]
        return [*(str(choice) for choice in flag.choices or flag.known), *self.besides]

    def knows(self, name: str, known: Catalogue) -> bool:
        """Whether a version knows a name."""
        names = self.known(known)
        return name.lower() in {each.lower() for each in names} if self.ignores_case else name in names


NAMED: Final = (
    Named("model.dtype", "dtype", "--dtype", pluggable=False),
    Named("model.tokenizerMode", "tokenizer mode", "--tokenizer-mode", ignores_case=True, besides=("deepseek_v41", "kimi_audio")),
    Named("model.loadFormat", "load format", ClosedSet.LOAD_FORMAT, ignores_case=True),
    Named("quantization.kvCache", "KV cache type", "--kv-cache-dtype", pluggable=False),
    Named("engine.attentionBackend", "attention backend", ClosedSet.ATTENTION_BACKEND, ignores_case=True),
    Named("engine.speculative.method", "speculative method", ClosedSet.SPECULATIVE_METHOD, pluggable=False),
    Named("engine.toolCalling.parser", "tool call parser", ClosedSet.TOOL_CALL_PARSER),
    Named("engine.reasoning.parser", "reasoning parser", ClosedSet.REASONING_PARSER),
    Named("engine.structuredOutputs.backend", "structured outputs backend", ClosedSet.STRUCTURED_OUTPUTS_BACKEND, pluggable=False),
)
"""Every such field but quantization.method, which says more when it is wrong. Tokenizer modes beside the declared ones: vllm/tokenizers/registry.py."""


@check(*(named.field for named in NAMED))
def unknown_names(subject: Subject) -> Iterator[Violation]:
    """A name must be one that this version of vLLM knows."""
    known = subject.catalogue
    if known is None:
        return
    for named in NAMED:
        name = value(subject, named.field)
        if name is None or named.knows(name, known) or (named.pluggable and subject.own_image):
            continue
        elsewhere = next((version for version in versions.SUPPORTED if named.knows(name, catalogue(version))), None)
        remedy = one_of(name, named.known(known)) if elsewhere is None else f"set spec.engine.version to {elsewhere}, which knows it"
        yield Violation(f"spec.{named.field}", name, f"is no {named.what} of vLLM {subject.version}", remedy)


@check("quantization.method")
def unknown_quantization(subject: Subject) -> Iterator[Violation]:
    """The method must be one that vLLM has, in its tree and not on its way out; an image of the user's own may hold plugins with more."""
    name, known = subject.spec.quantization.method, subject.catalogue
    if name is None or known is None:
        return
    field, methods = "spec.quantization.method", known.sets[ClosedSet.QUANTIZATION]
    if name in quantization.PLUGINS and not subject.own_image:
        rule = f"is no longer in vLLM's tree: it needs the plugin {quantization.PLUGINS[name]}"
        yield Violation(field, name, rule, "set spec.engine.image to an image that contains the plugin, or choose a checkpoint in another format")
    elif name not in (*methods, *quantization.PLUGINS) and not subject.own_image:
        yield Violation(field, name, f"is no quantization method of vLLM {subject.version}", one_of(name, methods))


PACKAGES: Final[Mapping[tuple[str, str], str]] = {
    ("model.loadFormat", "tensorizer"): "tensorizer",
    ("model.loadFormat", "fastsafetensors"): "fastsafetensors",
    ("model.loadFormat", "instanttensor"): "instanttensor",
    ("engine.speculative.method", "suffix"): "arctic-inference",
    ("engine.prefixCachingHash", "xxhash"): "xxhash",
    ("engine.prefixCachingHash", "xxhash_cbor"): "xxhash",
    ("engine.kvOffload.backend", "lmcache"): "lmcache",
}
"""Packages that a value needs and that vLLM does not install by itself (its extras; config/speculative.py; utils/hashing.py)."""


@check(*dict.fromkeys(field for field, _ in PACKAGES))
def optional_packages(subject: Subject) -> Iterator[Violation]:
    """Some choices need a package that vLLM's images need not hold."""
    for (field, name), package in PACKAGES.items():
        if (value(subject, field) or "").lower() == name and not subject.own_image:
            rule = f"needs the package {package}, which vLLM does not install by itself"
            yield Violation(f"spec.{field}", name, rule, "look whether the image holds it, or set spec.engine.image to one that does", warning=True)


def value(subject: Subject, field: str) -> str | None:
    """A field's text by its path below spec; None where it is not set."""
    found: object = subject.spec
    for name in field.split("."):
        found = None if found is None else getattr(found, to_snake(name))
    return None if found is None else str(found)
