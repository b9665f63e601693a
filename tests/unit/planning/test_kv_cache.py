"""The tokens that a KV cache holds, beside what vLLM told of real servers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.api.facts import ModelFacts
from llmfleet.planning.architecture import Architecture, architecture
from llmfleet.planning.kv_cache import KVCapacity, Settings, bytes_per_token, capacity, largest_context, needed_bytes, stage_layers

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


def held(described: Architecture, settings: Settings, size_bytes: int | list[int], max_length: int) -> KVCapacity:
    """What so many bytes on an accelerator of each stage hold."""
    found = capacity(described, settings, available_bytes=size_bytes if isinstance(size_bytes, list) else [size_bytes], max_length=max_length)
    assert found is not None
    return found


QWEN35 = {
    "model_type": "qwen3_5_moe_text",
    "full_attention_interval": 4,
    "head_dim": 256,
    "linear_num_key_heads": 16,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "mamba_ssm_dtype": "float32",
}


QWEN_35B = model(num_hidden_layers=40, num_attention_heads=16, num_key_value_heads=2, linear_num_value_heads=32, **QWEN35)
QWEN_27B = model(num_hidden_layers=64, num_attention_heads=24, num_key_value_heads=4, linear_num_value_heads=48, **QWEN35)
GEMMA_4 = model(
    model_type="gemma4_text",
    num_hidden_layers=60,
    num_attention_heads=32,
    num_key_value_heads=16,
    head_dim=256,
    global_head_dim=512,
    num_global_key_value_heads=4,
    sliding_window=1024,
    layer_types=[["sliding_attention", 5], ["full_attention", 1]] * 10,
)


@pytest.mark.parametrize(
    ("described", "settings", "gibibytes", "max_length", "blocks", "request_blocks", "tokens"),
    [
        # Pages of 2096 tokens, as large as a state of 2,146,304 bytes; 10 of them are a block, and a request takes 63 and two states of each of 3 groups.
        pytest.param(QWEN_35B, Settings(16, kv_dtype="fp8"), 5.98, 131_072, 299, 63 + 3 * 2, 567_978, id="RTX 5090, NVFP4 (noonghunna/club-3090#612)"),
        pytest.param(QWEN_35B, Settings(16), 13.1, 32_768, 650, 32 + 3 * 2, 560_505, id="an eager bf16 server of a cluster, pages of 1056 tokens"),
        # "Setting attention block size to 1568 tokens"; a state is shared among tensor ranks like the heads are.
        pytest.param(QWEN_27B, Settings(16, "fp8_e5m2", tensor=2), 9.84, 262_144, 411, 168 + 3 * 2, 619_202, id="two RTX 3090 (noonghunna/club-3090#104)"),
        # "max_num_seqs (256) exceeds available Mamba cache blocks (184)"; prefix caching was off.
        pytest.param(QWEN_27B, Settings(16, prefix_caching=False), 8.82, 131_072, 184, 168 + 3, 141_036, id="L40S, pages of 784 tokens"),
        # Heads of two sizes: layers of full attention take blocks of 32 tokens, those with a window blocks of 16.
        pytest.param(
            GEMMA_4, Settings(16, "fp8", tensor=2, in_flight_tokens=2 * 8192), 16, 32_768, 26_214, 1024 + 5 * 1089, 132_784, id="two H200, Gemma-4-31B in FP8"
        ),
    ],
)
def test_real_servers_told_the_same(
    described: Architecture, settings: Settings, gibibytes: float, max_length: int, blocks: int, request_blocks: int, tokens: int
) -> None:
    found = held(described, settings, int(gibibytes * 1024**3), max_length)

    assert (found.blocks, found.request_blocks, found.tokens) == (blocks, request_blocks, tokens)


def test_without_prefix_caching_one_state_is_kept() -> None:
    described = model(num_hidden_layers=4, num_attention_heads=16, num_key_value_heads=2, linear_num_value_heads=32, **QWEN35)

    assert held(described, Settings(16, prefix_caching=False), 1024**3, 16).request_blocks == 1 + 3


def test_guessed_tokens_take_states_of_their_own() -> None:
    described = model(num_hidden_layers=4, num_attention_heads=16, num_key_value_heads=2, linear_num_value_heads=32, **QWEN35)

    assert held(described, Settings(16, guesses=2), 1024**3, 16).request_blocks == 1 + 3 * (2 + 2)


@pytest.mark.parametrize(("tensor", "blocks"), [(1, 1024), (2, 2048), (4, 2048)])
def test_kv_heads_are_shared_out_and_then_copied(tensor: int, blocks: int) -> None:
    assert held(GQA, Settings(128, tensor=tensor), 64 * MIB, 1024).blocks == blocks


@pytest.mark.parametrize("tensor", [1, 2, 4])
def test_a_latent_is_whole_on_every_tensor_rank(tensor: int) -> None:
    assert held(MLA, Settings(16, tensor=tensor), 64 * MIB, 4096).blocks == 1213


@pytest.mark.parametrize(("kind", "token_bytes"), [("auto", 1152), ("fp8", 576), ("fp8_ds_mla", 656), ("nvfp4_ds_mla", 352)])
def test_bytes_of_a_latent(kind: str, token_bytes: int) -> None:
    assert held(MLA, Settings(64, kv_dtype=kind), 64 * MIB, 4096).block_bytes == 3 * 64 * token_bytes


def test_ranks_that_share_a_request_hold_twice_as_many() -> None:
    # A request of 1024 tokens is 512 on each of two ranks: 4 blocks of 128.
    assert held(GQA, Settings(128, tensor=2, decode_context=2), 64 * MIB, 1024).concurrency == 2048 / 4


def test_each_stage_keeps_its_own_layers() -> None:
    assert held(GQA, Settings(128, pipeline=2), [64 * MIB] * 2, 1024).blocks == 2048


def test_the_stage_with_least_room_decides() -> None:
    assert held(GQA, Settings(128, pipeline=2), [64 * MIB, 32 * MIB], 1024).blocks == 1024


def test_a_draft_layer_lies_on_the_last_stage() -> None:
    assert held(GQA, Settings(128, pipeline=2, draft_layers=GQA.layers[:1]), [64 * MIB] * 2, 1024).blocks == 1024


def test_nearly_equal_kinds_are_padded_to_the_larger() -> None:
    # 12 slide and 13 do not, as in gpt-oss with a draft: two groups of 13, not one of 12 and two of 12 and 1.
    described = model(
        model_type="gpt_oss",
        num_hidden_layers=25,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=32,
        sliding_window=128,
        layer_types=[["full_attention", 13], ["sliding_attention", 12]],
    )

    found = held(described, Settings(16), 64 * MIB, 1024)

    assert found.block_bytes == 13 * 16 * 2 * 64 * 2
    assert found.request_blocks == 64 + (8 + 1)


def test_chunks_hold_a_chunk_and_what_is_under_way() -> None:
    described = model(model_type="llama4_text", num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2, head_dim=32, attention_chunk_size=256)

    # One group looks back to the beginning, three over chunks.
    assert held(described, Settings(16, in_flight_tokens=64), 64 * MIB, 4096).request_blocks == 256 + 3 * (256 + 64) // 16


def test_the_first_and_last_layers_keep_their_dtype_under_turboquant() -> None:
    described = model(model_type="llama", num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=2, head_dim=128)

    # Four layers of 2 heads x 2 x 128 x 2 bytes, four of 2 heads x (64 + 2 + 64 + 4).
    assert held(described, Settings(16, kv_dtype="turboquant_4bit_nc"), 64 * MIB, 1024).block_bytes == 16 * (4 * 1024 + 4 * 268)


def test_sparse_attention_keeps_the_key_of_its_indexer_too() -> None:
    described = model(model_type="deepseek_v32", num_hidden_layers=3, num_attention_heads=4, kv_lora_rank=512, qk_rope_head_dim=64, index_head_dim=128)

    # 128 numbers of a byte and a float32 scale.
    assert held(described, Settings(64, kv_dtype="fp8_ds_mla"), 64 * MIB, 4096).block_bytes == 3 * 64 * (656 + 132)


def test_layers_that_share_keys_keep_none() -> None:
    described = model(model_type="llama", num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2, head_dim=32, num_kv_shared_layers=2)

    assert held(described, Settings(128), 64 * MIB, 1024).blocks == 1024


def test_a_model_of_states_alone_pays_the_same_for_every_length() -> None:
    described = model(model_type="falcon_mamba", num_hidden_layers=2, intermediate_size=512, conv_kernel=4, state_size=16)

    assert held(described, Settings(16), 64 * MIB, 10).concurrency == held(described, Settings(16), 64 * MIB, 100_000).concurrency


def test_less_than_a_block_holds_nothing() -> None:
    assert capacity(GQA, Settings(128), available_bytes=[65_535], max_length=128) is None
    assert capacity(GQA, Settings(128), available_bytes=[-5], max_length=128) is None
    assert largest_context(GQA, Settings(128), available_bytes=[65_536], limit=100) == 0


def test_a_context_is_never_longer_than_the_limit() -> None:
    assert largest_context(GQA, Settings(128), available_bytes=[64 * MIB], limit=4096) == 4096


@given(
    described=st.sampled_from([GQA, ALL_SLIDING, GEMMA3, MLA]),
    block_size=st.sampled_from([16, 64, 128]),
    size=st.integers(1, 256 * MIB),
    kind=st.sampled_from(["auto", "fp8"]),
    limit=st.integers(1, 100_000),
)
def test_the_largest_context_fits_and_one_token_more_does_not(described: Architecture, block_size: int, size: int, kind: str, limit: int) -> None:
    settings = Settings(block_size, kv_dtype=kind, in_flight_tokens=512)

    length = largest_context(described, settings, available_bytes=[size], limit=limit)

    assert length == 0 or needed_bytes(described, settings, length) <= size
    assert length == limit or needed_bytes(described, settings, length + 1) > size


def test_bytes_of_a_further_token_are_those_of_layers_that_look_back_to_the_beginning() -> None:
    assert bytes_per_token(GQA, Settings(16)) == 2 * 2 * 64 * 2
    assert bytes_per_token(GEMMA3, Settings(16)) == 2 * 64 * 2
    assert bytes_per_token(ALL_SLIDING, Settings(16)) == 0
    assert bytes_per_token(GQA, Settings(16, pipeline=2)) == 2 * 64 * 2
