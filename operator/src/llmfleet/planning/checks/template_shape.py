"""spec.template, field by field, as Kubernetes would read it: the API server answers an ill-typed apply of the workload with a bare 500."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from llmfleet.api.pod_shape import Shape, kubernetes_version, pod_template
from llmfleet.api.wire import QUANTITY_EXPECTED, QUANTITY_PATTERN
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.checks.template import ROOT
from llmfleet.planning.violation import Violation, shown
from llmfleet.vllm.suggestions import nearest, one_of

_EXPECTED: Final = {
    "object": "must be a map of fields",
    "map": "must be a map",
    "list": "must be a list",
    "string": "must be a string: put it in quotes",
    "integer": "must be a whole number, without quotes",
    "number": "must be a number",
    "boolean": "must be true or false, without quotes",
    "quantity": QUANTITY_EXPECTED,
    "intOrString": "must be a whole number or a string",
}
"""The rule that a value of another type breaks."""


def template_shape(subject: Subject) -> Iterator[Violation]:
    """Fields that a pod does not have, values of another type, list items without the key that they are merged by, or with the same one."""
    yield from _walk(subject.spec.template.spec, pod_template().fields["spec"], ROOT)


def _walk(value: object, shape: Shape, path: str) -> Iterator[Violation]:
    if not _is_of(value, shape):
        yield Violation(path, shown(value), _EXPECTED[shape.kind], "")
    elif isinstance(value, Mapping):
        yield from _fields(value, shape, path)
    elif isinstance(value, list):
        yield from _list(value, shape, path)
    elif shape.choices and value not in shape.choices:
        yield Violation(path, shown(value), "is none of the values that Kubernetes knows", one_of(str(value), shape.choices))


def _fields(value: Mapping[str, object], shape: Shape, path: str) -> Iterator[Violation]:
    for name, inner in value.items():
        below = shape.fields.get(name) or shape.inner
        here = f"{path}.{name}" if shape.kind == "object" else f"{path}[{name}]"
        if name.startswith("$"):
            yield Violation(here, "", "is a directive of kubectl's patches, which a template does not take", "remove it; null takes a value away")
        elif below is None:
            yield Violation(here, "", f"is no field of a pod in Kubernetes {kubernetes_version()}", _meant(name, shape))
        elif inner is not None:
            yield from _walk(inner, below, here)
    # An override need not name the containers: the engine's is the operator's.
    for name in shape.required if path != ROOT else ():
        if value.get(name) is None:
            yield Violation(f"{path}.{name}", "", "is required", "add it")


def _list(value: list[object], shape: Shape, path: str) -> Iterator[Violation]:
    seen: dict[object, int] = {}
    inner = shape.inner or Shape("map")
    for index, item in enumerate(value):
        yield from _walk(item, inner, f"{path}[{index}]")
        identity = shape.identity(item)
        if identity in seen and identity is not None:
            keys = " and ".join(shape.keys)
            yield Violation(f"{path}[{index}]", " ".join(map(str, identity)), f"has the same {keys} as item {seen[identity]}", "keep one of them")
        seen.setdefault(identity, index)


def _meant(name: str, shape: Shape) -> str:
    near = nearest(name, shape.fields)
    return f"did you mean {', '.join(near)}?" if near else "remove it, or look up its name: kubectl explain pod.spec"


def _is_of(value: object, shape: Shape) -> bool:
    match shape.kind:
        case "object" | "map":
            return isinstance(value, Mapping)
        case "list":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "quantity":
            return isinstance(value, int | float | str) and not isinstance(value, bool) and re.fullmatch(QUANTITY_PATTERN, str(value)) is not None
        case _:
            return isinstance(value, int | str) and not isinstance(value, bool)
