"""Whether vLLM takes a JSON value for one of its dataclasses.

vLLM hands such a value to pydantic: its lax mode (lax_values) over the part of JSON schema that the catalogue keeps, and then the dataclass's own code
(object_rules).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from llmfleet.vllm import online_quantization
from llmfleet.vllm.catalogue import Catalogue, ClosedSet
from llmfleet.vllm.fault import Fault
from llmfleet.vllm.lax_values import has_type, integer, number
from llmfleet.vllm.object_rules import broken_rules
from llmfleet.vllm.suggestions import nearest, one_of

_EXPECTED: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

CLOSED_FIELDS: Final[Mapping[tuple[str, str], ClosedSet]] = {
    ("AttentionConfig", "backend"): ClosedSet.ATTENTION_BACKEND,
    ("SpeculativeConfig", "attention_backend"): ClosedSet.ATTENTION_BACKEND,
    ("SpeculativeConfig", "quantization"): ClosedSet.QUANTIZATION,
    ("StructuredOutputsConfig", "reasoning_parser"): ClosedSet.REASONING_PARSER,
    ("ReasoningConfig", "reasoning_parser"): ClosedSet.REASONING_PARSER,
}
"""Fields whose names the engine looks up when it starts: (object, field)."""

CLOSED_MAPS: Final[Mapping[tuple[str, str], ClosedSet]] = {("AttentionConfig", "backend_per_kind"): ClosedSet.ATTENTION_BACKEND}
"""The same for maps whose values are such names."""

REQUIRED_WITH: Final[Mapping[tuple[str, str], str]] = {
    ("KVTransferConfig", "kv_connector"): "kv_role",
    ("ECTransferConfig", "ec_connector"): "ec_role",
    ("EncoderCacheManagerConfig", "manager_config"): "encoder_cache_manager_cls",
}
"""Fields that want another one beside them, because the dataclass says so in its __post_init__: (object, field)."""


def faults(value: object, name: str, catalogue: Catalogue, path: str = "") -> Iterator[Fault]:
    """What vLLM refuses in the value for an object of the catalogue."""
    declared = catalogue.objects[name]
    if declared.values is not None:
        yield from _schema_faults(value, declared.values, catalogue, path)
        return
    if not isinstance(value, dict):
        yield Fault(path, "takes an object", 'write JSON such as {"key": "value"}, or single keys behind a dot')
        return
    for key, of in value.items():
        below = f"{path}.{key}" if path else str(key)
        if key in declared.fields:
            yield from _schema_faults(of, declared.fields[key].schema, catalogue, below)
            if closed := CLOSED_FIELDS.get((name, key)):
                yield from _name_faults(of, closed, catalogue, below)
            if (closed := CLOSED_MAPS.get((name, key))) and isinstance(of, dict):
                for inner, each in of.items():
                    yield from _name_faults(each, closed, catalogue, f"{below}.{inner}")
        elif not declared.open:
            near = nearest(str(key), declared.fields)
            yield Fault(below, f"is no field of vLLM {catalogue.version}'s {name}", f"did you mean {', '.join(near)}?" if near else "remove it")
    for key, field in declared.fields.items():
        wanted = REQUIRED_WITH.get((name, key)) if value.get(key) not in (None, {}) else None
        if field.required and key not in value:
            yield Fault(f"{path}.{key}" if path else key, "is required", "add it")
        if wanted and value.get(wanted) is None:
            yield Fault(f"{path}.{key}" if path else key, f"wants {wanted} beside it", f"add {wanted}")
    if name == online_quantization.OBJECT:
        yield from (replace(fault, path=f"{path}.{fault.path}" if path else fault.path) for fault in online_quantization.faults(value, catalogue.version))
    for rule in broken_rules(value, name, declared.fields):
        yield Fault(f"{path}.{rule.fields[0]}" if path else rule.fields[0], rule.rule, rule.remedy)


def _name_faults(value: object, closed: ClosedSet, catalogue: Catalogue, path: str) -> Iterator[Fault]:
    if value is not None and not isinstance(value, str):
        yield Fault(path, "takes a text", "")
    elif value and not known(value, closed, catalogue):
        yield Fault(path, f"is none of the names that vLLM {catalogue.version} knows", one_of(value, catalogue.sets[closed]), pluggable=True)


def known(name: str, closed: ClosedSet, catalogue: Catalogue) -> bool:
    """Whether vLLM finds a name in one of its registries; for some it takes any case (config/attention.py, mamba.py, load.py, model.py)."""
    members = catalogue.sets[closed]
    if closed in (ClosedSet.ATTENTION_BACKEND, ClosedSet.MAMBA_BACKEND):
        return name.upper() in members
    return (name.lower() if closed in (ClosedSet.LOAD_FORMAT, ClosedSet.QUANTIZATION) else name) in members


def _schema_faults(value: object, schema: Mapping[str, Any], catalogue: Catalogue, path: str) -> Iterator[Fault]:
    if "$ref" in schema:
        yield from faults(value, schema["$ref"], catalogue, path)
    elif "anyOf" in schema:
        branches: Sequence[Mapping[str, Any]] = schema["anyOf"]
        found = [list(_schema_faults(value, branch, catalogue, path)) for branch in branches]
        if all(found):
            # What stands deeper tells more: the value has the branch's shape, and something in it is wrong.
            deepest = max(found, key=lambda each: each[0].path.count("."))
            named = [each for branch in branches for each in branch.get("enum", ())]
            if deepest[0].path != path:
                yield from deepest
            elif named and isinstance(value, str):
                yield Fault(path, "is none of its values", one_of(value, map(str, named)))
            else:
                together = [{"enum": named}] if named else []
                others = [branch for branch in branches if "enum" not in branch]
                yield Fault(path, f"takes {' or '.join(dict.fromkeys(map(_expectation, (*together, *others))))}", "")
    elif "enum" in schema or "const" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        if schema.get("anyCase") and isinstance(value, str):
            taken = _folded(value) in {_folded(each) for each in allowed if isinstance(each, str)}
        else:
            taken = value in allowed or (schema.get("type") == "integer" and integer(value) in allowed)
        if not taken:
            yield Fault(path, "is none of its values", one_of(value if isinstance(value, str) else "", map(str, allowed)))
    elif (kind := schema.get("type")) is not None:
        yield from _typed_faults(value, kind, schema, catalogue, path)


def _typed_faults(value: object, kind: str, schema: Mapping[str, Any], catalogue: Catalogue, path: str) -> Iterator[Fault]:
    if not has_type(value, kind):
        yield Fault(path, f"takes {_EXPECTED[kind]}", "")
        return
    if kind in ("integer", "number"):
        if rule := out_of_bounds(number(value), schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            yield Fault(path, rule, "")
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield Fault(path, "holds too few or too many values", "")
        each = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        for index, (item, of) in enumerate(zip(value, each, strict=False)):
            yield from _schema_faults(item, of, catalogue, f"{path}.{index}")
    elif isinstance(value, dict):
        if len(value) < schema.get("minProperties", 0):
            yield Fault(path, "may not be empty", "")
        for key, item in value.items():
            yield from _schema_faults(item, schema.get("additionalProperties", {}), catalogue, f"{path}.{key}")


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def out_of_bounds(number: float, minimum: float | None, maximum: float | None, exclusive_minimum: float | None, exclusive_maximum: float | None) -> str | None:
    """Which bound a number breaks, in words; None if it breaks none. What is no number (nan) breaks each."""
    if minimum is not None and not number >= minimum:
        return f"must be at least {minimum:g}"
    if exclusive_minimum is not None and not number > exclusive_minimum:
        return f"must be greater than {exclusive_minimum:g}"
    if maximum is not None and not number <= maximum:
        return f"must be at most {maximum:g}"
    if exclusive_maximum is not None and not number < exclusive_maximum:
        return f"must be less than {exclusive_maximum:g}"
    return None


def _expectation(schema: Mapping[str, Any]) -> str:
    """What a branch of a union takes, in words."""
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(str(each) for each in schema.get("enum", [schema.get("const")]))
    return _EXPECTED.get(schema.get("type", ""), "an object")
