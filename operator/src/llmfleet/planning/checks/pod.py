"""The environment of the engine."""

from collections import Counter
from collections.abc import Iterator

from llmfleet.api import source
from llmfleet.api.source import Repository
from llmfleet.planning import reserved
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation


def reserved_environment(subject: Subject) -> Iterator[Violation]:
    """Variables that the operator or vLLM sets, that break the server, or that are empty where vLLM wants a number."""
    set_by_credentials = _credential_variable(subject)
    for index, variable in enumerate(subject.spec.engine.env):
        field = f"spec.engine.env[{index}]"
        if refusal := reserved.refusal(variable.name, variable.value):
            yield Violation(field, variable.name, *refusal)
        elif variable.name == set_by_credentials:
            yield Violation(field, variable.name, "is already set by spec.model.credentials", "remove one of them")
        elif variable.name == reserved.CPU_KV_CACHE and subject.spec.engine.kv_cache_memory is not None:
            yield Violation(field, variable.name, "would override spec.engine.kvCacheMemory", "remove it")


def repeated_environment(subject: Subject) -> Iterator[Violation]:
    """The API server refuses such a list; an object rendered offline has not met it."""
    for name, count in Counter(variable.name for variable in subject.spec.engine.env).items():
        if count > 1:
            yield Violation("spec.engine.env", name, f"stands there {count} times", "keep it once")


def two_hubs(subject: Subject) -> Iterator[Violation]:
    """VLLM asks one hub for everything (VLLM_USE_MODELSCOPE); what lies in the pod, a cached model among it, is asked of none."""
    model, speculative = subject.spec.model, subject.spec.engine.speculative
    given = {
        "spec.model.source": None if model.cache is not None else model.source,
        "spec.model.tokenizer": model.tokenizer,
        "spec.engine.speculative.model": speculative.model if speculative else None,
    }
    origins = {field: origin for field, value in given.items() if value and isinstance(origin := source.parse(value), Repository)}
    first = next(iter(origins), None)
    for field, origin in origins.items():
        if first is not None and origin.scheme is not origins[first].scheme:
            rule = f"is on another hub than {first}: an engine asks one"
            yield Violation(field, given[field] or "", rule, f"take both from {origins[first].scheme}://, or the model into a cache (spec.model.cache)")


def _credential_variable(subject: Subject) -> str | None:
    """The variable that model.credentials become, where they become one."""
    credentials = subject.spec.model.credentials
    origin = source.parse(subject.spec.model.source)
    if credentials is None or credentials.secret_key_ref is None:
        return None
    if isinstance(origin, source.Bucket):
        return reserved.KEY_FILE
    scheme = origin.scheme if isinstance(origin, Repository) else None
    return {source.Scheme.HUGGING_FACE: reserved.HUB_TOKEN, source.Scheme.MODELSCOPE: reserved.MODELSCOPE_TOKEN}.get(scheme) if scheme else None
