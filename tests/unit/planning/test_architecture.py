"""What config.json tells of a model, in the ways in which families write it."""

from typing import Any

import pytest

from llmfleet.planning.architecture import Architecture, architecture
from llmfleet.planning.layers import Reach
from tests.unit.planning.models import LLAMA_8B, described, example


def read(**config: Any) -> Architecture:
    """The architecture of a config.json that says enough."""
    found = architecture(described(**{"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 100, **config}))
    assert found is not None
    return found


def reaches(found: Architecture) -> list[str]:
    """How far each layer looks back; `state` for one that keeps a state, `-` for nothing."""
    names = []
    for layer in found.layers:
        kept = [layer.attention.reach.value] if layer.attention is not None else []
        names.append("+".join([*kept, *(["state"] if layer.state is not None else [])]) or "-")
    return names


def test_a_llama_says_everything() -> None:
    found = read(**LLAMA_8B)

    assert (found.hidden_size, found.attention_heads, found.kv_heads, found.head_size, found.vocabulary) == (4096, 32, 8, 128, 128_256)
    assert (found.max_length, found.dtype, found.tied, found.experts, found.latent) == (131_072, "bfloat16", False, None, None)
    assert reaches(found) == ["full"] * 32


@pytest.mark.parametrize("layers", [5000, 10**30])
def test_a_number_that_no_model_has_becomes_no_objects(layers: int) -> None:
    assert architecture(described(**{**LLAMA_8B, "num_hidden_layers": layers})) is None
    assert len(read(num_hidden_layers=4, layer_types=[["full_attention", layers]]).layers) == 4


def test_heads_without_a_width_say_nothing() -> None:
    assert architecture(described(**{**LLAMA_8B, "num_attention_heads": 8192})) is None


@pytest.mark.parametrize("missing", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_config_that_does_not_say_enough_is_none(missing: str) -> None:
    config = {key: value for key, value in LLAMA_8B.items() if key != missing}

    assert architecture(described(**config)) is None


def test_as_many_kv_heads_as_heads_where_none_are_named() -> None:
    assert read().kv_heads == 4


def test_falcon_shares_one_kv_head() -> None:
    assert read(model_type="falcon", multi_query=True).kv_heads == 1


def test_a_head_may_be_wider_than_its_share_of_the_stream() -> None:
    assert read(head_dim=128).head_size == 128


@pytest.mark.parametrize("name", ["text_config", "llm_config", "language_config"])
def test_models_with_other_inputs_keep_their_language_model_apart(name: str) -> None:
    found = architecture(described(model_type="outer", vision_config={"hidden_size": 32}, torch_dtype="float16", **{name: LLAMA_8B}))

    assert found is not None
    assert (found.model_type, found.other_inputs) == ("llama", True)


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        (None, 1000),
        ({"rope_type": "linear", "factor": 4.0}, 4000),
        ({"type": "dynamic", "factor": 2}, 2000),
        ({"rope_type": "llama3", "factor": 8.0}, 1000),
        ({"type": "yarn", "factor": 40}, 1000),
    ],
)
def test_a_context_is_scaled_where_the_config_does_not_say_so_already(rope: dict[str, Any] | None, expected: int) -> None:
    assert read(max_position_embeddings=1000, rope_scaling=rope).max_length == expected


def test_gemma_3_says_a_context_that_is_scaled_already() -> None:
    assert read(model_type="gemma3_text", max_position_embeddings=1000, rope_scaling={"rope_type": "linear", "factor": 8}).max_length == 1000


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"model_type": "mistral", "sliding_window": 32}, ["sliding"] * 4, id="mistral: every layer"),
        pytest.param({"model_type": "mistral", "sliding_window": None}, ["full"] * 4, id="mistral without a window"),
        pytest.param({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": False}, ["full"] * 4, id="qwen2: said and not used"),
        pytest.param(
            {"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True, "max_window_layers": 3}, ["full"] * 3 + ["sliding"], id="qwen2: the last"
        ),
        pytest.param({"model_type": "gemma2", "sliding_window": 32}, ["sliding", "full"] * 2, id="gemma2: every other"),
        pytest.param({"model_type": "gpt_oss", "sliding_window": 128}, ["sliding", "full"] * 2, id="gpt-oss: every other"),
        pytest.param({"model_type": "gemma3_text", "num_hidden_layers": 6, "sliding_window": 32}, ["sliding"] * 5 + ["full"], id="gemma3: five of six"),
        pytest.param({"model_type": "cohere2", "sliding_window": 32}, ["sliding"] * 3 + ["full"], id="cohere2: three of four"),
        pytest.param({"model_type": "llama4_text"}, ["chunked"] * 3 + ["full"], id="llama4: three of four in chunks"),
        pytest.param({"model_type": "llama4_text", "no_rope_layers": [1, 0, 1, 0]}, ["chunked", "full"] * 2, id="llama4: as listed"),
        pytest.param({"sliding_window": 32, "layer_types": ["full_attention", "sliding_attention"] * 2}, ["full", "sliding"] * 2, id="as listed"),
        pytest.param({"sliding_window": 32, "layer_types": [["sliding_attention", 3], ["full_attention", 1]]}, ["sliding"] * 3 + ["full"], id="as runs"),
        pytest.param({"sliding_window": 0, "layer_types": [["sliding_attention", 4]]}, ["full"] * 4, id="a window of 0 is none"),
        pytest.param(
            {"model_type": "gemma3n_text", "num_hidden_layers": 5, "sliding_window": 8, "num_kv_shared_layers": 2}, ["sliding"] * 3 + ["-"] * 2, id="shared"
        ),
    ],
)
def test_which_layers_look_how_far_back(config: dict[str, Any], expected: list[str]) -> None:
    found = read(**config)

    assert found.unmodelled is None
    assert reaches(found) == expected


def test_cohere_sees_one_token_more_than_its_window() -> None:
    first = read(model_type="cohere2", sliding_window=4096).layers[0].attention

    assert first is not None
    assert (first.reach, first.window) == (Reach.SLIDING, 4097)


def test_a_latent_is_one_vector_for_all_heads() -> None:
    found = architecture(example("deepseek-v3"))

    assert found is not None
    assert found.latent is not None
    first = found.layers[0].attention
    assert first is not None
    assert (first.latent, first.kv_heads, first.key_size, first.value_size) == (True, 1, 576, 0)
    assert (found.latent.kept_size, found.predictors) == (576, 1)


def test_sparse_attention_keeps_a_second_key() -> None:
    found = read(model_type="deepseek_v32", kv_lora_rank=512, qk_rope_head_dim=64, index_head_dim=128)
    first = found.layers[0].attention

    assert first is not None
    assert first.indexer_size == 128


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        ({"num_local_experts": 8}, 4),
        ({"n_routed_experts": 8, "moe_intermediate_size": 16, "first_k_dense_replace": 1}, 3),
        ({"num_experts": 8, "moe_intermediate_size": 16, "decoder_sparse_step": 2}, 2),
        ({"num_experts": 8, "moe_intermediate_size": 16, "mlp_only_layers": [0]}, 3),
        ({"num_local_experts": 8, "interleave_moe_layer_step": 2}, 2),
        ({"num_experts": 8, "expert_layer_period": 2, "expert_layer_offset": 1}, 2),
    ],
)
def test_which_layers_have_experts(config: dict[str, Any], layers: int) -> None:
    found = read(intermediate_size=32, **config)

    assert found.experts is not None
    assert (found.experts.routed, found.experts.layers) == (8, layers)


def test_deepseek_has_a_shared_expert_beside_the_routed() -> None:
    found = architecture(example("deepseek-v3"))

    assert found is not None
    assert found.experts is not None
    assert (found.experts.layers, found.experts.shared_intermediate_size) == (58, 2048)


QWEN3_NEXT = {
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}
MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 32, "mamba_d_conv": 4, "mamba_n_groups": 1, "mamba_expand": 2}


@pytest.mark.parametrize(
    ("config", "expected", "state_bytes"),
    [
        # 3 steps x (2 x 16 x 128 + 32 x 128) channels and 32 x 128 x 128 numbers, 2 bytes each.
        pytest.param({"model_type": "qwen3_next", **QWEN3_NEXT}, ["state"] * 3 + ["full"], 3 * 8192 * 2 + 32 * 128 * 128 * 2, id="qwen3-next"),
        pytest.param(
            {"model_type": "qwen3_5_text", "mamba_ssm_dtype": "float32", **QWEN3_NEXT},
            ["state"] * 3 + ["full"],
            3 * 8192 * 2 + 32 * 128 * 128 * 4,
            id="qwen3.5 keeps float32",
        ),
        # (128 + 2 x 32) channels, 3 steps; 8 heads x 16 x 32.
        pytest.param({"model_type": "falcon_h1", **MAMBA2}, ["full+state"] * 4, 3 * 192 * 2 + 4096 * 2, id="falcon-h1 has both in one layer"),
        pytest.param({"model_type": "bamba", "attn_layer_indices": [2], **MAMBA2}, ["state", "state", "full", "state"], 3 * 192 * 2 + 4096 * 2, id="bamba"),
        pytest.param(
            {"model_type": "granitemoehybrid", "layer_types": ["mamba", "attention", "mamba", "mamba"], **MAMBA2},
            ["state", "full", "state", "state"],
            3 * 192 * 2 + 4096 * 2,
            id="granite 4",
        ),
        pytest.param(
            {
                "model_type": "nemotron_h",
                "hybrid_override_pattern": "M-*M",
                "mamba_num_heads": 8,
                "mamba_head_dim": 16,
                "ssm_state_size": 32,
                "conv_kernel": 4,
                "n_groups": 1,
            },
            ["state", "-", "full", "state"],
            3 * 192 * 2 + 4096 * 4,
            id="nemotron-h keeps float32",
        ),
        pytest.param(
            {"model_type": "jamba", "attn_layer_period": 4, "attn_layer_offset": 2, "mamba_expand": 2, "mamba_d_state": 16, "mamba_d_conv": 4},
            ["state", "state", "full", "state"],
            3 * 128 * 2 + 128 * 16 * 2,
            id="jamba",
        ),
        pytest.param(
            {"model_type": "mamba2", "expand": 2, "state_size": 32, "conv_kernel": 4, "num_heads": 8, "head_dim": 16, "n_groups": 1},
            ["state"] * 4,
            3 * 192 * 2 + 4096 * 2,
            id="mamba2 has no attention",
        ),
        pytest.param({"model_type": "lfm2", "layer_types": ["conv", "full_attention"] * 2}, ["state", "full"] * 2, 2 * 64 * 2, id="lfm2 keeps a convolution"),
        pytest.param(
            {"model_type": "kimi_linear", "linear_attn_config": {"num_heads": 4, "head_dim": 16, "short_conv_kernel_size": 4, "full_attn_layers": [4]}},
            ["state"] * 3 + ["full"],
            3 * 192 * 2 + 4 * 16 * 16 * 4,
            id="kimi-linear counts layers from 1",
        ),
    ],
)
def test_layers_with_a_state(config: dict[str, Any], expected: list[str], state_bytes: int) -> None:
    found = read(**config)

    assert found.unmodelled is None
    assert reaches(found) == expected
    state = next(layer.state for layer in found.layers if layer.state is not None)
    assert state.size_bytes(tensor=1, element_bytes=2) == state_bytes


def test_ranks_that_outnumber_the_groups_of_mamba2_keep_copies_of_them() -> None:
    state = read(model_type="falcon_h1", **MAMBA2).layers[0].state

    assert state is not None
    # 1 group becomes 4: (128 + 4 x 64) / 4 channels.
    assert state.size_bytes(tensor=4, element_bytes=2) == 3 * 96 * 2 + 1024 * 2


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "whisper", "is_encoder_decoder": True},
        {"model_type": "deepseek_v4", "compress_ratios": [4, 128]},
        {"layer_types": ["full_attention", "something_new", "full_attention", "full_attention"]},
        {"model_type": "a_new_family", "sliding_window": 128},
    ],
)
def test_what_is_not_understood_is_said_and_not_guessed(config: dict[str, Any]) -> None:
    assert read(**config).unmodelled is not None
