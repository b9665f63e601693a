import ast
import inspect
from collections.abc import Iterator

from llmfleet.planning import architecture, kv_cache, layers, parameters, state
from llmfleet_runtime.model.configuration_keys import DEFAULTS, PLAN, TEXT_CONFIGS, TOWERS


def keys_that_a_plan_reads() -> Iterator[str]:
    """Names that are asked of a `config`: _first(config, ...), _number(config, ...), config.get(...), config[...], ... in config."""
    for module in (architecture, kv_cache, layers, parameters, state):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            match node:
                case ast.Call(func=ast.Name(), args=[ast.Name(id="config"), *names]):
                    yield from constants(names)
                case ast.Call(func=ast.Attribute(value=ast.Name(id="config"), attr="get"), args=[name, *_]):
                    yield from constants([name])
                case ast.Subscript(value=ast.Name(id="config"), slice=name):
                    yield from constants([name])
                case ast.Compare(left=name, ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id="config")]):
                    yield from constants([name])


def constants(nodes: list[ast.expr]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_what_a_plan_reads_is_kept_to_the_last() -> None:
    read = set(keys_that_a_plan_reads())
    assert len(read) > 40
    assert read - PLAN == set(), "add them to PLAN of llmfleet_runtime.model.configuration_keys"


def test_what_a_plan_reads_is_no_default_that_goes_first() -> None:
    assert set() == (PLAN | TEXT_CONFIGS | TOWERS) & DEFAULTS


def test_where_a_plan_looks_for_a_language_model_it_is_kept() -> None:
    assert set(architecture.TEXT_CONFIGS) == TEXT_CONFIGS
    assert set(architecture.OTHER_INPUTS) == TOWERS
