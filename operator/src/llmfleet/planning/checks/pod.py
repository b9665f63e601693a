"""The environment and the pod around the engine."""

from collections import Counter
from collections.abc import Iterator, Mapping

from llmfleet.planning import reserved
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation


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
