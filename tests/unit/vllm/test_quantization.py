"""The tables of vLLM's number formats."""

import pytest

from llmfleet.vllm.quantization import DEPRECATED, KV_CACHE_TYPE, KV_CACHE_TYPES, METHOD, METHODS, PLUGINS, KVCacheType, Method, lowest_capability
from llmfleet.vllm.versions import DEFAULT, SUPPORTED


def test_vllm_0_32_0_has_thirty_methods() -> None:
    assert len(set(METHODS)) == len(METHODS) == 30


def test_a_method_is_in_the_tree_or_in_a_plugin() -> None:
    assert PLUGINS.keys().isdisjoint(METHODS)


def test_a_deprecated_method_is_still_one() -> None:
    assert DEPRECATED == ("fbgemm_fp8", "fp_quant")


def test_no_kv_cache_type_stands_there_twice() -> None:
    assert len(set(KV_CACHE_TYPES)) == len(KV_CACHE_TYPES) == 19


def test_every_method_reads_a_checkpoint_or_makes_its_own_numbers() -> None:
    assert [name for name, method in METHOD.items() if not (method.checkpoint or method.online)] == []


def test_the_methods_that_quantize_while_they_load() -> None:
    online = {name for name, method in METHOD.items() if method.online and not method.checkpoint}

    assert online == {"experts_int8", "fp8_per_block", "fp8_per_channel", "fp8_per_tensor", "int8_per_channel_weight_only", "nvfp4_per_token", "online"}
    assert {name for name, method in METHOD.items() if method.online and method.checkpoint} == {"fp8", "mxfp4", "mxfp8"}


def test_the_methods_that_do_nothing_without_experts() -> None:
    assert {name for name, method in METHOD.items() if method.experts_only} == {"experts_int8", "int8_per_channel_weight_only", "nvfp4_per_token"}


def test_fp8_on_an_unquantized_checkpoint_is_another_method_of_the_table() -> None:
    assert {name: method.unquantized_as for name, method in METHOD.items() if method.unquantized_as} == {"fp8": "fp8_per_tensor"}
    assert METHOD["fp8_per_tensor"].online


def test_rocm_lists_23_methods_and_xpu_17() -> None:
    assert sum("amd" in method.vendors for method in METHOD.values()) == 23
    assert sum("intel" in method.vendors for method in METHOD.values()) == 17


@pytest.mark.parametrize("kind", [*METHOD.values(), *KV_CACHE_TYPE.values()], ids=lambda kind: kind.name)
def test_a_floor_is_not_above_its_ceiling(kind: Method | KVCacheType) -> None:
    assert kind.max_capability is None or kind.min_capability <= kind.max_capability


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", 512),
        ("bfloat16", 512),
        ("fp8", 256),
        ("fp8_per_token_head", 264),
        ("int8_per_token_head", 264),
        ("int4_per_token_head", 136),
        ("nvfp4", 144),
        ("turboquant_k8v4", 128 + 64 + 4),
        ("turboquant_4bit_nc", 64 + 2 + 64 + 4),
        ("turboquant_k3v4_nc", 48 + 2 + 64 + 4),
        ("turboquant_3bit_nc", 48 + 2 + 48 + 4),
        ("ultraquant_4bit", 136),
    ],
)
def test_bytes_of_one_token_in_a_head_of_128(name: str, expected: int) -> None:
    assert KV_CACHE_TYPE[name].head_bytes(128, 128, element_bytes=2) == expected


def test_an_odd_slot_of_turboquant_is_rounded_up() -> None:
    # 3 bits of 40 numbers are 15 bytes, and 4 bits of them 20: 15 + 2 + 20 + 4 = 41.
    assert KV_CACHE_TYPE["turboquant_k3v4_nc"].head_bytes(40, 40, element_bytes=2) == 42


def test_packed_latents_have_a_size_of_their_own() -> None:
    assert KV_CACHE_TYPE["fp8_ds_mla"].latent_bytes == 656
    assert KV_CACHE_TYPE["nvfp4_ds_mla"].latent_bytes == 352


@pytest.mark.parametrize(
    ("method", "kv_cache", "lowest"),
    [
        (None, None, None),
        ("compressed-tensors", None, 70),
        ("fp8_per_channel", None, 89),
        (None, "fp8", 80),
        (None, "auto", None),
        ("compressed-tensors", "fp8", 80),
        ("fp8_per_channel", "fp8", 89),
        ("gguf", None, None),
    ],
)
def test_the_lowest_capability_is_that_of_the_more_demanding_format(method: str | None, kv_cache: str | None, lowest: int | None) -> None:
    assert lowest_capability(method, kv_cache) == lowest


def test_a_method_that_may_quantize_while_loading_is_asked_for_no_more_than_that_needs() -> None:
    """Which of the two it will do is the checkpoint's to say."""
    assert METHOD["mxfp8"].min_capability == 80
    assert lowest_capability("mxfp8", None) == 75


def test_the_default_is_the_newest_supported_version() -> None:
    assert DEFAULT == SUPPORTED[0] == max(SUPPORTED, key=lambda version: [int(part) for part in version.split(".")])
