"""Number formats of weights and KV cache."""

from collections.abc import Iterator

from llmfleet.planning.checks import extra_args
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import quantization, versions
from llmfleet.vllm.suggestions import one_of


def unknown_quantization(subject: Subject) -> Iterator[Violation]:
    """The method must be one that vLLM has, in its tree and not on its way out; an image of the user's own may hold plugins with more."""
    name = subject.spec.quantization.method
    if name is None or subject.version not in versions.SUPPORTED:
        return
    field = "spec.quantization.method"
    if name in quantization.PLUGINS and subject.spec.engine.image is None:
        rule = f"is no longer in vLLM's tree: it needs the plugin {quantization.PLUGINS[name]}"
        yield Violation(field, name, rule, "set spec.engine.image to an image that contains the plugin, or choose a checkpoint in another format")
    elif name not in (*quantization.METHODS, *quantization.PLUGINS) and subject.spec.engine.image is None:
        yield Violation(field, name, f"is no quantization method of vLLM {subject.version}", one_of(name, quantization.METHODS))
    elif name in quantization.DEPRECATED and not extra_args.reading(subject).is_on("--allow-deprecated-quantization"):
        remedy = "choose another method, or add --allow-deprecated-quantization to spec.engine.extraArgs"
        yield Violation(field, name, f"is deprecated in vLLM {subject.version}", remedy)


def unknown_kv_cache(subject: Subject) -> Iterator[Violation]:
    """The type of the KV cache must be one of vLLM's."""
    name = subject.spec.quantization.kv_cache
    if name is not None and subject.version in versions.SUPPORTED and name not in quantization.KV_CACHE_TYPES:
        yield Violation("spec.quantization.kvCache", name, f"is no KV cache type of vLLM {subject.version}", one_of(name, quantization.KV_CACHE_TYPES))
