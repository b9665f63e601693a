"""The tables of vLLM's number formats."""

from llmfleet.vllm.quantization import DEPRECATED, KV_CACHE_TYPES, METHODS, PLUGINS
from llmfleet.vllm.versions import DEFAULT, SUPPORTED


def test_vllm_0_32_0_has_thirty_methods() -> None:
    assert len(set(METHODS)) == len(METHODS) == 30


def test_a_method_is_in_the_tree_or_in_a_plugin() -> None:
    assert PLUGINS.keys().isdisjoint(METHODS)


def test_a_deprecated_method_is_still_one() -> None:
    assert set(DEPRECATED) <= set(METHODS)


def test_no_kv_cache_type_stands_there_twice() -> None:
    assert len(set(KV_CACHE_TYPES)) == len(KV_CACHE_TYPES) == 19


def test_the_default_is_the_newest_supported_version() -> None:
    assert DEFAULT == SUPPORTED[0] == max(SUPPORTED, key=lambda version: [int(part) for part in version.split(".")])
