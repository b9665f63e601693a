"""The tokens that a KV cache holds, beside what vLLM told of real servers."""

from typing import Any

import pytest

from llmfleet.api.facts import ModelFacts
from llmfleet.planning.architecture import Architecture, architecture
from llmfleet.planning.kv_cache import Settings, capacity, largest_context, needed_bytes, stage_layers

MIB = 1024**2


def model(**config: Any) -> Architecture:
    """The architecture of a config.json."""
    described = architecture(ModelFacts(source="pvc://models/tiny", config={"vocab_size": 32_000, "hidden_size": 256, **config}))
    assert described is not None
    return described


GQA = model(model_type="llama", num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=2, head_dim=32)
ALL_SLIDING = model(model_type="mistral", num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2, head_dim=32, sliding_window=256)
GEMMA3 = model(
    model_type="gemma3_text",
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=2,
    head_dim=32,
    sliding_window=256,
    layer_types=[["sliding_attention", 5], ["full_attention", 1]],
)
MLA = model(model_type="deepseek_v3", num_hidden_layers=3, num_attention_heads=4, kv_lora_rank=512, qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128)


@pytest.mark.parametrize(
    ("described", "settings", "max_length", "blocks", "concurrency", "tokens"),
    [
        pytest.param(GQA, Settings(128), 1024, 1024, 128.0, 131_072, id="grouped query attention"),
        pytest.param(GQA, Settings(32), 1000, 4096, 128.0, 128_000, id="a length that is no multiple of the block"),
        pytest.param(GQA, Settings(128, kv_dtype="fp8"), 1024, 2048, 256.0, 262_144, id="fp8"),
        pytest.param(ALL_SLIDING, Settings(128, in_flight_tokens=512), 4096, 512, 512 / 7, 299_593, id="every layer slides"),
        pytest.param(GEMMA3, Settings(128, in_flight_tokens=512), 4096, 2048, 2048 / 67, 125_203, id="five slide, one does not"),
        pytest.param(GEMMA3, Settings(128, in_flight_tokens=512, hybrid=False), 4096, 341, 341 / 32, 43_648, id="without the hybrid manager"),
        pytest.param(MLA, Settings(16), 4096, 1213, 1213 / 256, 19_408, id="multi-head latent attention"),
    ],
)
def test_64_mib_hold_what_vllm_told(described: Architecture, settings: Settings, max_length: int, blocks: int, concurrency: float, tokens: int) -> None:
    held = capacity(described, settings, available_bytes=[64 * MIB], max_length=max_length)

    assert held is not None
    assert (held.blocks, held.concurrency, held.tokens) == (blocks, concurrency, tokens)


def test_auto_takes_the_largest_context_that_fits_what_vllm_told() -> None:
    assert largest_context(GQA, Settings(128), available_bytes=[600_000], limit=32_768) == 1024
    held = capacity(GQA, Settings(128), available_bytes=[600_000], max_length=1024)
    assert held is not None
    assert (held.blocks, held.concurrency) == (9, 1.125)


def test_layers_that_do_not_divide_go_before_the_last_stage() -> None:
    assert stage_layers(32, 2) == [16, 16]
    assert stage_layers(61, 2) == [31, 30]
    assert stage_layers(10, 4) == [2, 3, 3, 2]


def test_one_request_needs_the_null_block_besides() -> None:
    # 8 blocks of 128 tokens and one more, each of 2 layers x 2 heads x 64 numbers x 2 bytes x 128 tokens.
    assert needed_bytes(GQA, Settings(128), 1024) == 9 * 2 * 2 * 64 * 2 * 128
