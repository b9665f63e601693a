"""Which engine runs, and with how much memory: profile, version, image."""

from collections.abc import Iterator

from llmfleet.planning import reserved
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import versions
from llmfleet.vllm.suggestions import one_of


def unknown_profile(subject: Subject) -> Iterator[Violation]:
    """The profile must exist: it names the device and the image."""
    if subject.profile is None:
        yield Violation("spec.accelerator.profile", subject.profile_name, "is no accelerator profile", one_of(subject.profile_name, subject.profiles))


def unsupported_version(subject: Subject) -> Iterator[Violation]:
    """A version that this operator does not know is taken only with an image of the user's own."""
    engine = subject.spec.engine
    if engine.image is not None:
        return
    if subject.version not in versions.SUPPORTED:
        remedy = f"choose one of {', '.join(versions.SUPPORTED)}, or set spec.engine.image to an image of that version"
        yield Violation("spec.engine.version", subject.version, "is not supported by this operator", remedy)
    elif subject.profile is not None and subject.image is None:
        rule = f"has no image for vLLM {subject.version}"
        yield Violation("spec.accelerator.profile", subject.profile_name, rule, "set spec.engine.image, or add the version to the profile's images")


def unverified_version(subject: Subject) -> Iterator[Violation]:
    """A version of which no engine was started by this operator may work all the same."""
    if versions.VERSIONS.get(subject.version) is versions.State.NOT_VERIFIED:
        rule = "is not verified: its arguments are checked, but no engine of it was started by this operator"
        yield Violation("spec.engine.version", subject.version, rule, f"try it before you rely on it, or take {versions.DEFAULT}", warning=True)


def memory_said_twice(subject: Subject) -> Iterator[Violation]:
    """Of two sizes of the KV cache vLLM takes one without a word: the CPU's variable before --kv-cache-memory-bytes and the utilisation."""
    variables = {*(subject.profile.env if subject.profile else ()), *(variable.name for variable in subject.spec.engine.env)}
    if reserved.CPU_KV_CACHE in variables and subject.spec.engine.kv_cache_memory is not None:
        rule = f"would be ignored: {reserved.CPU_KV_CACHE} (in spec.engine.env or in the accelerator profile) overrides it"
        remedy = f"remove it and set {reserved.CPU_KV_CACHE} in spec.engine.env, in whole GiB"
        yield Violation("spec.engine.kvCacheMemory", subject.spec.engine.kv_cache_memory, rule, remedy)
