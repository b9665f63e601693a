"""The ordered checks of a specification: each a pure function from the subject to what is wrong with it.

Here stands what the schema's CEL cannot say: tables, look-ups, vLLM's spelling. A new check is a function, its place in CHECKS and a test.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from llmfleet.api import source
from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning import reserved
from llmfleet.planning.violation import Violation
from llmfleet.vllm import owned, quantization, versions


@dataclass(frozen=True, slots=True)
class Subject:
    """What the checks look at."""

    name: str
    """Name of the LLMService."""
    spec: LLMServiceSpec
    profiles: Mapping[str, AcceleratorProfile]
    """The profiles that exist, by name."""
    default_profile: str = "nvidia"
    """Profile of a service that names none; a setting of the operator."""

    @property
    def profile_name(self) -> str:
        """The profile that counts, named or default."""
        return self.spec.accelerator.profile or self.default_profile

    @property
    def profile(self) -> AcceleratorProfile | None:
        """The profile that counts; None if there is none of that name, which is a violation."""
        return self.profiles.get(self.profile_name)

    @property
    def version(self) -> str:
        """The vLLM version that counts, named or default."""
        return self.spec.engine.version or versions.DEFAULT

    @property
    def image(self) -> str | None:
        """The engine's image; None if neither the spec nor the profile has one, which is a violation."""
        return self.spec.engine.image or (self.profile.image(self.version) if self.profile else None)


def _one_of(value: str, choices: Iterable[str]) -> str:
    """The remedy for a name that is not in a table: the nearest ones, or all where there are few or none is near."""
    known = sorted(choices)
    near = get_close_matches(value, known, n=3, cutoff=0.6)
    return f"did you mean {', '.join(near)}?" if near and len(known) > len(near) else f"choose one of {', '.join(known)}"


def unknown_profile(subject: Subject) -> Iterator[Violation]:
    """The profile must exist: it names the device and the image."""
    if subject.profile is None:
        yield Violation("spec.accelerator.profile", subject.profile_name, "is no accelerator profile", _one_of(subject.profile_name, subject.profiles))


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


def unknown_dtype(subject: Subject) -> Iterator[Violation]:
    """The dtype must be one of vLLM's."""
    dtype = subject.spec.model.dtype
    if dtype is not None and subject.version in versions.SUPPORTED and dtype not in quantization.DTYPES:
        yield Violation("spec.model.dtype", dtype, "is no dtype of vLLM", _one_of(dtype, quantization.DTYPES))


def repeated_served_names(subject: Subject) -> Iterator[Violation]:
    """Served names must differ."""
    for name, count in Counter(subject.spec.model.served_names).items():
        if count > 1:
            yield Violation("spec.model.servedNames", name, f"stands there {count} times", "keep it once")


def credentials_without_use(subject: Subject) -> Iterator[Violation]:
    """Credentials for a source that asks for none would be ignored."""
    model = subject.spec.model
    if model.credentials is not None and not isinstance(source.parse(model.source), source.HuggingFace):
        yield Violation("spec.model.credentials", "", "have no use: only hf:// sources take a token", "remove them")


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
        yield Violation(field, name, f"is no quantization method of vLLM {subject.version}", _one_of(name, quantization.METHODS))
    elif name in quantization.DEPRECATED and not _gives(subject, "--allow-deprecated-quantization"):
        remedy = "choose another method, or add --allow-deprecated-quantization to spec.engine.extraArgs"
        yield Violation(field, name, f"is deprecated in vLLM {subject.version}", remedy)


def unknown_kv_cache(subject: Subject) -> Iterator[Violation]:
    """The type of the KV cache must be one of vLLM's."""
    name = subject.spec.quantization.kv_cache
    if name is not None and subject.version in versions.SUPPORTED and name not in quantization.KV_CACHE_TYPES:
        yield Violation("spec.quantization.kvCache", name, f"is no KV cache type of vLLM {subject.version}", _one_of(name, quantization.KV_CACHE_TYPES))


def owned_flags(subject: Subject) -> Iterator[Violation]:
    """No flag has two owners."""
    for refusal in owned.refusals(subject.spec.engine.extra_args):
        yield Violation(f"spec.engine.extraArgs[{refusal.index}]", refusal.flag, refusal.rule, refusal.remedy)


def stray_values(subject: Subject) -> Iterator[Violation]:
    """A value behind a flag that takes none would be a second model, and vLLM ends. Told only where the spelling of the flag shows that it takes none."""
    items = subject.spec.engine.extra_args
    for index, item in enumerate(items):
        field = f"spec.engine.extraArgs[{index}]"
        if index and item == "--":
            yield Violation(field, item, "ends the flags: vLLM would take what follows for a second model", "remove it")
        elif index and owned.flag_name(item) is None and _is_complete(items[index - 1]):
            # The value is not repeated: it may be a key.
            flag = items[index - 1].split("=", 1)[0].split(" ", 1)[0]
            rule = f"is a value behind {flag}, which takes no further one: vLLM would take it for a second model"
            yield Violation(field, "", rule, "remove it, or put the flag that it belongs to before it")


def memory_said_twice(subject: Subject) -> Iterator[Violation]:
    """Of two sizes of the KV cache vLLM takes one without a word: --kv-cache-memory-bytes before the utilisation, the CPU's variable before both."""
    variables = {*(subject.profile.env if subject.profile else ()), *(variable.name for variable in subject.spec.engine.env)}
    if reserved.CPU_KV_CACHE in variables:
        for index, item in enumerate(subject.spec.engine.extra_args):
            if owned.flag_name(item) == "--kv-cache-memory-bytes":
                rule = f"would be ignored: {reserved.CPU_KV_CACHE} (in spec.engine.env or in the accelerator profile) overrides it"
                remedy = f"remove it and set {reserved.CPU_KV_CACHE} in spec.engine.env, in whole GiB"
                yield Violation(f"spec.engine.extraArgs[{index}]", "--kv-cache-memory-bytes", rule, remedy)
    if subject.spec.engine.memory_utilization is not None and _gives(subject, "--kv-cache-memory-bytes"):
        yield Violation("spec.engine.memoryUtilization", "", "would be ignored: --kv-cache-memory-bytes in extraArgs overrides it", "remove one of them")


def reserved_environment(subject: Subject) -> Iterator[Violation]:
    """Variables that the operator or vLLM sets, that break the server, or that are empty where vLLM wants a number."""
    for index, variable in enumerate(subject.spec.engine.env):
        field = f"spec.engine.env[{index}]"
        if reason := reserved.ENVIRONMENT.get(variable.name):
            yield Violation(field, variable.name, f"is reserved: {reason}", "remove it")
        elif variable.name.startswith(reserved.ENVIRONMENT_PREFIX):
            yield Violation(field, variable.name, "is reserved: the prefix is the launcher's", "choose another name")
        elif variable.name == reserved.HUB_TOKEN and subject.spec.model.credentials is not None:
            yield Violation(field, variable.name, "is already set by spec.model.credentials", "remove one of them")
        elif variable.name.startswith("VLLM_") and variable.value == "":
            yield Violation(field, variable.name, "is empty: vLLM fails on empty values of its own variables", "remove it or give it a value")


def repeated_environment(subject: Subject) -> Iterator[Violation]:
    """The API server refuses such a list; an object rendered offline has not met it."""
    for name, count in Counter(variable.name for variable in subject.spec.engine.env).items():
        if count > 1:
            yield Violation("spec.engine.env", name, f"stands there {count} times", "keep it once")


def reserved_volumes(subject: Subject) -> Iterator[Violation]:
    """Volumes of the template may not carry the names of ours."""
    for index, volume in enumerate(subject.spec.template.spec.volumes):
        if volume.name in reserved.VOLUMES:
            yield Violation(f"spec.template.spec.volumes[{index}].name", volume.name, "is a volume of the operator's", "choose another name")


def unrestricted_volumes(subject: Subject) -> Iterator[Violation]:
    """Volumes reach no further than the restricted pod security profile lets them, and make no credentials."""
    for index, volume in enumerate(subject.spec.template.spec.volumes):
        field = f"spec.template.spec.volumes[{index}]"
        kinds = volume.model_extra or {}
        for kind in reserved.UNRESTRICTED_VOLUMES:
            if kind in kinds:
                rule = "is no kind of volume that the restricted pod security profile allows"
                yield Violation(f"{field}.{kind}", volume.name, rule, "have a PersistentVolume made of it, and use its claim (persistentVolumeClaim)")
        projected = kinds.get("projected")
        sources = projected.get("sources") if isinstance(projected, Mapping) else None
        for source_index, given in enumerate(sources if isinstance(sources, list) else ()):
            for name in reserved.IDENTITY_SOURCES:
                if isinstance(given, Mapping) and name in given:
                    rule = "would hand the identity of a service account to the engine"
                    yield Violation(
                        f"{field}.projected.sources[{source_index}].{name}", volume.name, rule, "remove it: an engine needs no access to the cluster"
                    )


def misplaced_mounts(subject: Subject) -> Iterator[Violation]:
    """Mounts must refer to a volume of the template and stay clear of ours."""
    declared = {volume.name for volume in subject.spec.template.spec.volumes}
    for container_index, container in enumerate(subject.spec.template.spec.containers):
        for index, mount in enumerate(container.volume_mounts):
            field = f"spec.template.spec.containers[{container_index}].volumeMounts[{index}]"
            if mount.name not in declared:
                yield Violation(f"{field}.name", mount.name, "is no volume of spec.template.spec.volumes", "declare the volume there")
            if hidden := reserved.collision(mount.mount_path):
                yield Violation(f"{field}.mountPath", mount.mount_path, f"collides with {hidden}, which the operator mounts", "choose another path")


def accelerators_said_twice(subject: Subject) -> Iterator[Violation]:
    """The number of accelerators follows from parallelism: a second number could only disagree and leave devices idle."""
    accelerators = {profile.resource_name for profile in subject.profiles.values() if profile.resource_name}
    for container_index, container in enumerate(subject.spec.template.spec.containers):
        for part, amounts in (("limits", container.resources.limits), ("requests", container.resources.requests)):
            for name in sorted(accelerators & amounts.keys()):
                field = f"spec.template.spec.containers[{container_index}].resources.{part}[{name}]"
                yield Violation(field, amounts[name], "belongs to spec.parallelism", "remove it and set parallelism.tensor and parallelism.pipeline")


_SWITCH_PREFIXES: Final = ("--enable-", "--no-")
_SWITCHES: Final = ("--enforce-eager", "--trust-remote-code", "--async-scheduling", "--allow-deprecated-quantization", "--aggregate-engine-logging")
"""Flags of vLLM 0.32.0 without a value; all that begin so are. A switch that is missing here is told by vLLM, not before."""


def _is_complete(item: str) -> bool:
    """Whether an item is a flag that takes nothing from the next one: it has its value, or is one of those that have none."""
    name = owned.flag_name(item)
    return name is not None and ("=" in item or name in _SWITCHES or name.startswith(_SWITCH_PREFIXES))


def _gives(subject: Subject, flag: str) -> bool:
    """Whether extraArgs hold a flag."""
    return any(owned.flag_name(item) == flag for item in subject.spec.engine.extra_args)


CHECKS: Final[tuple[Callable[[Subject], Iterable[Violation]], ...]] = (
    # What runs at all comes first: the later checks speak of a version and a device.
    unknown_profile,
    unsupported_version,
    # The model.
    unknown_dtype,
    repeated_served_names,
    credentials_without_use,
    unknown_quantization,
    unknown_kv_cache,
    # The engine's arguments and environment.
    owned_flags,
    stray_values,
    memory_said_twice,
    reserved_environment,
    repeated_environment,
    # The pod.
    reserved_volumes,
    unrestricted_volumes,
    misplaced_mounts,
    accelerators_said_twice,
)
"""In the order in which a person reads a manifest."""


def violations(subject: Subject) -> tuple[Violation, ...]:
    """Everything that is wrong, in the order of CHECKS; empty means accepted."""
    return tuple(violation for check in CHECKS for violation in check(subject))
