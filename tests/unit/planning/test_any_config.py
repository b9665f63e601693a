"""A config.json is anybody's text: whatever it holds, there is a plan in words, its bounds are in order, and it takes no time."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from llmfleet.planning.figures import GIB
from llmfleet.planning.plan import Plan
from tests.unit.planning.models import LLAMA_8B, described, example, planned

FIELDS: Final = (
    "model_type",
    "text_config",
    "vision_config",
    "torch_dtype",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "rope_scaling",
    "sliding_window",
    "sliding_window_pattern",
    "layer_types",
    "layers_block_type",
    "hybrid_override_pattern",
    "num_kv_shared_layers",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "first_k_dense_replace",
    "moe_layer_freq",
    "decoder_sparse_step",
    "mlp_only_layers",
    "expert_layer_period",
    "kv_lora_rank",
    "qk_rope_head_dim",
    "qk_nope_head_dim",
    "v_head_dim",
    "q_lora_rank",
    "index_head_dim",
    "num_nextn_predict_layers",
    "linear_num_value_heads",
    "linear_num_key_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_conv_kernel_dim",
    "linear_attn_config",
    "full_attention_interval",
    "attn_layer_period",
    "attn_layer_offset",
    "attn_type_list",
    "mamba_n_heads",
    "mamba_d_state",
    "mamba_d_conv",
    "mamba_expand",
    "mamba_n_groups",
    "global_head_dim",
    "no_rope_layers",
    "attention_chunk_size",
    "max_window_layers",
    "mm_tokens_per_image",
    "is_encoder_decoder",
    "multi_query",
)
FAMILIES: Final = ("llama", "qwen3_next", "gemma3_text", "gpt_oss", "llama4_text", "deepseek_v3", "jamba", "bamba", "lfm2", "kimi_linear", "unheard of", "", 7)
VALUES: Final = st.one_of(
    st.sampled_from((0, -1, 1, 2, 3, 128, 4096, 10**9, 10**18, 10**30, True, None, "4096", [], {}, [["full_attention", 10**9]], ["mamba", "attention"])),
    st.floats(),
    st.dictionaries(st.sampled_from(("factor", "rope_type", "num_heads", "hidden_size")), st.sampled_from((0, 8, "linear", 1e300, None)), max_size=3),
    st.sampled_from(FAMILIES),
)
BASES: Final = (*tuple(example(name).config for name in ("gpt-oss-20b", "gemma-3-27b-it", "deepseek-v3", "qwen3-30b-a3b")), LLAMA_8B, {})


def ordered(plan: Plan) -> bool:
    ranges = (plan.weights, plan.activations, plan.cuda_graphs, plan.overhead, plan.kv_cache, plan.kv_tokens, plan.concurrency, plan.largest_context)
    return all(found is None or 0 <= found.low <= found.high for found in ranges) and all(term.size.low <= term.size.high for term in plan.terms)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(BASES),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
    st.sampled_from(("nvidia-t4", "nvidia-b200-192gb", "amd-mi300x", "intel-gaudi3", "cpu")),
    st.sampled_from((1, 3, 8)),
)
def test_any_config_has_a_plan(base: dict[str, Any], changes: dict[str, Any], profile: str, tensor: int) -> None:
    plan = planned(described(**{**base, **changes}), profile, parallelism={"tensor": tensor, "pipeline": tensor})

    assert plan.reason
    assert ordered(plan)


def test_layers_and_widths_that_no_model_has_are_not_reckoned_with() -> None:
    for name in ("num_hidden_layers", "hidden_size"):
        assert "does not say" in planned(described(**{**LLAMA_8B, name: 10**12}), "nvidia-l4").reason


def test_more_shared_layers_than_there_are_keep_nothing() -> None:
    assert planned(described(**{**LLAMA_8B, "num_kv_shared_layers": 10**8}), "nvidia-l40s").kv_bytes_per_token == 0


def test_a_scaling_that_is_no_number_scales_nothing() -> None:
    weights = planned(described(**LLAMA_8B, rope_scaling={"rope_type": "linear", "factor": float("nan")}), "nvidia-l40s").weights

    assert weights is not None
    assert weights.high < 16 * GIB
