"""Facts small enough for a termination message: what is dropped, in which order, until they fit. Never is JSON cut in the middle."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from llmfleet_runtime.failures import MESSAGE_BYTES
from llmfleet_runtime.model.configuration_keys import DEFAULTS, PLAN, TEXT_CONFIGS, TOWERS

METHOD: Final = "quant_method"
"""Key of a quantization that says how; what is dropped last."""

LONGEST_METHOD: Final = 64
"""Characters of it that are kept then; vLLM's own have at most twenty."""

_Step = Callable[[dict[str, Any]], dict[str, Any]]


def _without_defaults(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "config": _filtered(facts["config"], lambda key: key not in DEFAULTS)}


def _without_towers(facts: dict[str, Any]) -> dict[str, Any]:
    """Of what is neither the model itself nor its language model only the kind and the shape: vision, audio, speculation."""
    return {**facts, "config": _towers_by_shape(facts["config"])}


def _without_generation(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "generation"}


def _without_long_text(facts: dict[str, Any]) -> dict[str, Any]:
    """Also the modules of an adapter and the groups of a quantization, of which the method and the first group tell enough."""
    found = {**facts, "config": _short(facts["config"])}
    if groups := facts.get("quantization", {}).get("config_groups"):
        found["quantization"] = {**facts["quantization"], "config_groups": dict([next(iter(groups.items()))])}
    if "adapter" in facts:
        found["adapter"] = {key: value for key, value in facts["adapter"].items() if key != "targetModules"}
    return found


def _only_plan(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "config": _filtered(facts["config"], lambda key: key in PLAN or key in TEXT_CONFIGS or key in TOWERS)}


def _without_config(facts: dict[str, Any]) -> dict[str, Any]:
    """A plan then says Unknown; half a configuration would let it say something false."""
    return _quantized({key: value for key, value in facts.items() if key != "config"}, lambda _, value: not isinstance(value, dict | list))


def _only_method(facts: dict[str, Any]) -> dict[str, Any]:
    found = _quantized(facts, lambda key, _: key == METHOD)
    if "quantization" in found:
        found["quantization"] = {METHOD: str(found["quantization"][METHOD])[:LONGEST_METHOD]}
    return found


def _quantized(facts: dict[str, Any], wanted: Callable[[str, Any], bool]) -> dict[str, Any]:
    """The facts with less of the quantization, and none where nothing of it is wanted."""
    kept = {key: value for key, value in facts.get("quantization", {}).items() if wanted(key, value)}
    return {**{key: value for key, value in facts.items() if key != "quantization"}, **({"quantization": kept} if kept else {})}


STEPS: Final[tuple[_Step, ...]] = (
    _without_defaults,
    _without_towers,
    _without_generation,
    _without_long_text,
    _only_plan,
    _without_config,
    _only_method,
)
"""What is dropped, each on top of the one before, until the rest fits. The weights are never dropped: they are the larger part of any plan."""


def termination_message(facts: dict[str, Any], limit_bytes: int = MESSAGE_BYTES) -> bytes:
    """The facts as JSON of at most `limit_bytes`."""
    content = encode(facts)
    for step in STEPS:
        if len(content) <= limit_bytes:
            break
        facts = step(facts)
        content = encode(facts)
    return content


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON without spaces."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _filtered(value: Any, wanted: Callable[[str], bool]) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: inner if key in PLAN else _filtered(inner, wanted) for key, inner in value.items() if wanted(key)}


def _towers_by_shape(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {
        key: value
        if key in PLAN or not isinstance(value, dict)
        else _towers_by_shape(value)
        if key in TEXT_CONFIGS
        else {inner_key: inner for inner_key, inner in value.items() if inner_key in PLAN and not isinstance(inner, dict | list)}
        for key, value in config.items()
    }


def _short(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: _short(inner)
        for key, inner in value.items()
        if key in PLAN or not ((isinstance(inner, str) and len(inner) > 64) or (isinstance(inner, list) and len(inner) > 8))
    }
