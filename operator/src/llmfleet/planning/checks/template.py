"""What spec.template may not touch, because a field says it or the operator needs it; each by its name, with where to say it instead."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmfleet import names
from llmfleet.planning import reserved
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation, shown

ROOT: Final = "spec.template.spec"

_TAKEN_AWAY: Final = "cannot be taken away: it holds what the operator puts into the pod"


def maps(value: object) -> Iterator[Mapping[str, Any]]:
    """The maps in a list, whatever else there is: another check tells what is ill-typed. What is no map counts as an empty one, so that indices hold."""
    for item in value if isinstance(value, list) else ():
        yield item if isinstance(item, Mapping) else {}


def containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and content of every container and init container of a template."""
    for part in ("initContainers", "containers"):
        for index, container in enumerate(maps(pod.get(part))):
            yield f"{ROOT}.{part}[{index}]", container


def reserved_labels(subject: Subject) -> Iterator[Violation]:
    """Labels select pods, annotations say what was rendered: those of the operator's are its own."""
    metadata = subject.spec.template.metadata
    ours = (names.LABEL_NAME, names.LABEL_INSTANCE, names.LABEL_MANAGED_BY)
    for part, given in (("labels", metadata.labels), ("annotations", metadata.annotations)):
        for key in given:
            if key in ours or key.split("/", 1)[0] == names.GROUP:
                yield Violation(f"spec.template.metadata.{part}[{key}]", given[key], "is the operator's", "choose another key")


def kept_fields(subject: Subject) -> Iterator[Violation]:
    """Fields of the pod and of the engine's container that the operator keeps, and parts that a null would take away."""
    pod = subject.spec.template.spec
    yield from _kept(pod, reserved.POD_FIELDS, reserved.KEPT_PARTS, ROOT)
    for index, container in enumerate(maps(pod.get("containers"))):
        if container.get("name") == names.ENGINE_CONTAINER:
            path = f"{ROOT}.containers[{index}]"
            yield from _kept(container, reserved.ENGINE_FIELDS, reserved.KEPT_ENGINE_PARTS, path)
            resources = container.get("resources")
            if subject.profile is not None and subject.profile.resource_name and isinstance(resources, Mapping) and resources.get("limits", {}) is None:
                yield Violation(f"{path}.resources.limits", "", _TAKEN_AWAY, "name the limits that are to change")


def reserved_containers(subject: Subject) -> Iterator[Violation]:
    """The operator's containers but the engine are not touched, and no other has their names."""
    for path, container in containers(subject.spec.template.spec):
        name = str(container.get("name", ""))
        if reserved.CONTAINERS.fullmatch(name) and not (name == names.ENGINE_CONTAINER and path.startswith(f"{ROOT}.containers[")):
            yield Violation(f"{path}.name", name, "is a container of the operator's", "choose another name")


def reserved_ports(subject: Subject) -> Iterator[Violation]:
    """The containers of a pod share one network: the engine's ports and their names are given away."""
    for path, container in containers(subject.spec.template.spec):
        for index, port in enumerate(maps(container.get("ports"))):
            field, number, name = f"{path}.ports[{index}]", port.get("containerPort"), port.get("name")
            if isinstance(number, int) and (owner := reserved.PORTS.get(number)):
                yield Violation(f"{field}.containerPort", str(number), f"is {owner}", "choose another port")
            elif name in reserved.PORT_NAMES:
                yield Violation(f"{field}.name", str(name), "is the name of a port of the engine's", "choose another name")


def reserved_volumes(subject: Subject) -> Iterator[Violation]:
    """Volumes of the template may not carry the names of ours."""
    for index, volume in enumerate(maps(subject.spec.template.spec.get("volumes"))):
        name = volume.get("name")
        if isinstance(name, str) and name.startswith(names.VOLUME_PREFIX):
            yield Violation(f"{ROOT}.volumes[{index}].name", name, f"is a name of the operator's: {names.VOLUME_PREFIX}...", "choose another name")


def misplaced_mounts(subject: Subject) -> Iterator[Violation]:
    """Mounts must refer to a volume of the template, and in the engine's container stay clear of ours."""
    pod = subject.spec.template.spec
    declared = [volume.get("name") for volume in maps(pod.get("volumes"))]
    for path, container in containers(pod):
        for index, mount in enumerate(maps(container.get("volumeMounts"))):
            field, name, place = f"{path}.volumeMounts[{index}]", mount.get("name"), mount.get("mountPath")
            if name not in declared:
                yield Violation(f"{field}.name", str(name or ""), "is no volume of spec.template.spec.volumes", "declare the volume there")
            if container.get("name") == names.ENGINE_CONTAINER and isinstance(place, str) and (hidden := reserved.collision(place)):
                yield Violation(f"{field}.mountPath", place, f"collides with {hidden}, which the operator mounts", "choose another path")


def accelerators_said_twice(subject: Subject) -> Iterator[Violation]:
    """The number of accelerators follows from parallelism: a second number could only disagree and leave devices idle."""
    accelerators = {profile.resource_name for profile in subject.profiles.values() if profile.resource_name}
    for path, container in containers(subject.spec.template.spec):
        resources = container.get("resources")
        for part in ("limits", "requests"):
            given = resources.get(part) if isinstance(resources, Mapping) else None
            amounts = given if isinstance(given, Mapping) else {}
            for name in sorted(accelerators & amounts.keys()):
                remedy = "remove it and set parallelism.tensor, pipeline and data"
                yield Violation(f"{path}.resources.{part}[{name}]", str(amounts[name] or ""), "belongs to spec.parallelism", remedy)


def _kept(given: Mapping[str, Any], fields: Mapping[str, reserved.Kept], parts: tuple[str, ...], path: str) -> Iterator[Violation]:
    for name, kept in fields.items():
        if name in given and (given[name] is None or given[name] != kept.allowed):
            value = given[name]
            yield Violation(f"{path}.{name}", shown(value), kept.rule, kept.remedy)
    for name in parts:
        if name in given and given[name] is None:
            yield Violation(f"{path}.{name}", "", _TAKEN_AWAY, "name the items or fields that are to change")
