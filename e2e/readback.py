"""What a vLLM server says of itself once it has started, and where that differs from what a variant asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from e2e.variants import Variant

_NOT_ASKED = frozenset({"host", "port", "middleware"})
"""Arguments of whoever starts the server: where it listens (the test's own on this machine, vLLM's default in a pod), and the launcher's middleware."""


@dataclass(frozen=True, slots=True)
class Readback:
    """One server's own words."""

    log: str
    """Everything that it has written."""
    metrics: str
    """/metrics as text."""
    models: tuple[Mapping[str, Any], ...]
    """`data` of /v1/models."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that differ from the defaults, as the parser saw them."""
        return {name: value for name, value in _literal(_after(self.log, "non-default args: ")).items() if name not in _NOT_ASKED}

    @property
    def engine(self) -> str:
        """The configuration that the engine's process began with."""
        return _after(self.log, "with config: ") + ","

    @property
    def cache(self) -> dict[str, str]:
        """Labels of vllm:cache_config_info."""
        line = next(line for line in self.metrics.splitlines() if line.startswith("vllm:cache_config_info{"))
        return dict(re.findall(r'(\w+)="([^"]*)"', line))

    @property
    def kv_tokens(self) -> int | None:
        """Tokens of the KV cache, by the log; None for a model that keeps nothing of a request."""
        found = re.search(r"KV cache size: ([\d,]+) tokens", self.log)
        return int(found[1].replace(",", "")) if found else None


def disagreements(variant: Variant, said: Readback, *, model: str) -> Iterator[str]:
    """Yield each difference, in words; `model` is the path that the server was given."""
    asked = variant.expected(model)
    for name in sorted(asked.keys() | said.arguments.keys()):
        if asked.get(name) != said.arguments.get(name):
            yield f"argument {name}: asked {asked.get(name)!r}, vLLM was given {said.arguments.get(name)!r}"
    for name, value in variant.engine.items():
        if f"{name}={value}," not in said.engine:
            found = re.search(rf"\b{name}=[^,]*", said.engine)
            yield f"engine {name}: asked {value!r}, vLLM runs with {found[0] if found else 'nothing of that name'}"
    for name, text in variant.cache.items():
        if said.cache.get(name) != text:
            yield f"cache {name}: asked {text}, vLLM runs with {said.cache.get(name)}"
    for words in variant.log:
        if words not in said.log:
            yield f"log: nowhere {words!r}"
    adapters = {model["id"] for model in said.models if model.get("parent") is not None}
    if adapters != variant.adapters:
        yield f"adapters: asked {sorted(variant.adapters)}, vLLM serves {sorted(adapters)}"
    lengths = {model["max_model_len"] for model in said.models if model.get("parent") is None}
    if lengths != {variant.length}:
        yield f"length: asked {variant.length}, vLLM serves {lengths}"


def _after(log: str, words: str) -> str:
    """The rest of the first line that holds these words."""
    found = re.search(re.escape(words) + r"(.*)", log)
    assert found, f"the log does not say {words!r}:\n{log[-2000:]}"
    return found[1]


def _literal(text: str) -> dict[str, Any]:
    """Python's own writing of a dictionary; an object in it becomes the dictionary of its fields."""

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Dict():
                return {value(key): value(item) for key, item in zip(node.keys, node.values, strict=True) if key is not None}
            case ast.List() | ast.Tuple():
                return [value(item) for item in node.elts]
            case ast.Call():
                return {keyword.arg: value(keyword.value) for keyword in node.keywords}
            case _:
                return ast.literal_eval(node)

    parsed: dict[str, Any] = value(ast.parse(text, mode="eval").body)
    return parsed
