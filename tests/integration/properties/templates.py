"""Pod templates made from Kubernetes' own shape of one."""

from random import Random
from typing import Any, Final

from llmfleet.api.pod_shape import Shape, pod_template

SPEC: Final = pod_template().fields["spec"]

STRAY: Final[tuple[Any, ...]] = ("x", 7, True, [], {}, None, 1.5, [1], {"a": "b"})
"""Put where something else belongs, once in a while."""

DEPTH: Final = 4
"""Objects within objects; deeper ones are made of what they must have."""


def pod_overrides(random: Random) -> dict[str, Any]:
    """The spec of a template: a few fields of a pod, most of them right."""
    return {name: value(SPEC.fields[name], DEPTH, random) for name in random.sample(sorted(SPEC.fields), random.randint(1, 4))}


def value(shape: Shape, depth: int, random: Random) -> Any:
    """Something of this shape, or not quite."""
    if random.random() < 0.02:
        return random.choice(STRAY)
    match shape.kind:
        case "string":
            return random.choice(shape.choices or ("a", "b", "x-y", "/data", "1"))
        case "integer" | "number":
            return random.choice((0, 1, 2, 30, 8000))
        case "boolean":
            return random.random() < 0.3
        case "quantity":
            return random.choice(("1", "500m", "1Gi", 2, 0.5))
        case "intOrString":
            return random.choice(("http", 1, 8080))
        case "map":
            return {key: value(shape.inner, depth - 1, random) if shape.inner else "v" for key in random.sample("abc", random.randint(0, 2))}
        case "list":
            return [value(shape.inner, depth - 1, random) for _ in range(random.randint(0, 2))] if shape.inner and depth > 0 else []
        case _:
            share = 2 / max(2, len(shape.fields))
            return {
                name: value(field, depth - 1, random)
                for name, field in shape.fields.items()
                if name in shape.required or (depth > 0 and random.random() < share)
            }
