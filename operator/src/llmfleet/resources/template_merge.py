"""spec.template laid over the rendered pod: like a strategic merge patch, by the API server's own merge keys."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from llmfleet.api.pod_shape import Shape


def merged(base: Any, patch: Any, shape: Shape) -> Any:
    """`patch` over `base`, both untouched.

    Objects and maps are merged, a null takes away. Items of lists with merge keys are merged with the item of the same key, in its place, and new ones
    follow in their order; every other list, and every scalar, is replaced.
    """
    if shape.kind in ("object", "map") and isinstance(patch, Mapping):
        result = dict(base) if isinstance(base, Mapping) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merged(result.get(key), value, _below(shape, key))
        return result
    if shape.keys and isinstance(patch, list):
        return _items(base if isinstance(base, list) else [], patch, shape)
    return deepcopy(patch)


def _items(base: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    result = list(base)
    places = {shape.identity(item): index for index, item in enumerate(result)}
    inner = shape.inner or Shape("map")
    for item in patch:
        place = places.get(shape.identity(item))
        if place is None:
            result.append(merged(None, item, inner))
        else:
            result[place] = merged(result[place], item, inner)
    return result


def _below(shape: Shape, key: str) -> Shape:
    """The shape of a field or of a map's value; what the table does not know is replaced whole."""
    return shape.fields.get(key) or shape.inner or Shape("string")
