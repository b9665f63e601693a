import pytest

from llmfleet_runtime.model.safetensors import Tensor
from llmfleet_runtime.model.tensors import MAX_GROUPS, groups, part


def tensor(name: str, shape: tuple[int, ...] = (4, 4), dtype: str = "BF16", size_bytes: int = 32) -> Tensor:
    return Tensor(name, dtype, shape, size_bytes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.embed_tokens.weight", "embedding"),
        ("model.language_model.embed_tokens.weight", "embedding"),
        ("model.language_model.embed_tokens_per_layer.weight", "embedding"),
        ("transformer.wte.weight", "embedding"),
        ("tok_embeddings.weight", "embedding"),
        ("bert.embeddings.position_embeddings.weight", "embedding"),
        ("shared.weight", "embedding"),
        ("lm_head.weight", "lmHead"),
        ("language_model.lm_head.qweight", "lmHead"),
        ("output.weight", "lmHead"),
        ("embed_out.weight", "lmHead"),
        ("model.layers.0.self_attn.q_proj.weight", "linear"),
        ("model.layers.0.self_attn.kv_a_proj_with_mqa.weight", "linear"),
        ("model.layers.0.mlp.shared_experts.gate_proj.weight", "linear"),
        ("model.layers.0.mlp.shared_expert.gate_proj.weight", "linear"),
        ("model.layers.0.feed_forward.shared_expert.up_proj.weight", "linear"),
        ("model.layers.0.mlp.gate.weight", "linear"),
        ("backbone.layers.0.mixer.in_proj.weight", "linear"),
        ("transformer.h.0.attn.c_attn.weight", "linear"),
        ("model.layers.3.mlp.experts.17.up_proj.weight", "experts"),
        ("model.layers.3.block_sparse_moe.experts.7.w1.weight", "experts"),
        ("model.layers.3.block_sparse_moe.input_linear.weight", "experts"),
        ("model.layers.3.mlp.experts.gate_up_proj_blocks", "experts"),
        ("language_model.model.layers.1.feed_forward.experts.down_proj", "experts"),
        ("transformer.blocks.0.ffn.experts.mlp.w1", "experts"),
        ("vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", "vision"),
        ("model.visual.blocks.0.attn.qkv.weight", "vision"),
        ("visual.patch_embed.proj.weight", "vision"),
        ("multi_modal_projector.linear_1.weight", "vision"),
        ("model.embed_vision.embedding_projection.weight", "vision"),
        ("model.audio_tower.conformer.0.ffw.weight", "vision"),
        ("mlp1.1.weight", "vision"),
        ("model.image_newline", "vision"),
        ("vision_tower.norm.weight", "vision"),
        ("model.layers.0.input_layernorm.weight", "other"),
        ("model.layers.0.self_attn.q_norm.weight", "other"),
        ("model.norm.weight", "other"),
        ("model.layers.0.self_attn.q_proj.bias", "other"),
        ("model.layers.0.mlp.experts.gate_up_proj_bias", "other"),
        ("model.layers.3.mlp.gate.e_score_correction_bias", "other"),
        ("model.layers.0.self_attn.k_proj.k_scale", "other"),
        ("model.layers.0.self_attn.sinks", "other"),
    ],
)
def test_a_tensor_belongs_to_its_part_by_its_name(name: str, expected: str) -> None:
    assert part(tensor(name)) == expected


@pytest.mark.parametrize(
    "ending", ["qweight", "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_inv", "weight_packed", "weight_shape", "input_scale", "weight.absmax"]
)
@pytest.mark.parametrize(("module", "expected"), [("self_attn.q_proj", "linear"), ("mlp.experts.3.up_proj", "experts")])
def test_what_a_quantization_adds_belongs_to_its_layer_whatever_its_shape(module: str, ending: str, expected: str) -> None:
    assert part(tensor(f"model.layers.0.{module}.{ending}", shape=(1,))) == expected


def test_of_unknown_names_matrices_are_linear_and_vectors_are_other() -> None:
    assert part(tensor("backbone.layers.0.mixer.something")) == "linear"
    assert part(tensor("backbone.layers.0.mixer.A_log", shape=(24,))) == "other"


def test_groups_are_added_up_by_part_and_dtype_largest_first() -> None:
    found = groups(
        [tensor("a.experts.0.w", dtype="U8", size_bytes=7), tensor("a.experts.1.w", dtype="U8", size_bytes=8), tensor("lm_head.weight", size_bytes=10)]
    )
    assert found == [{"part": "experts", "dtype": "U8", "bytes": 15, "count": 2}, {"part": "lmHead", "dtype": "BF16", "bytes": 10, "count": 1}]


def test_more_groups_than_the_facts_may_have_lose_no_bytes() -> None:
    found = groups([tensor(f"{name}.weight", dtype=f"T{number}") for number in range(20) for name in ("lm_head", "wte")])
    assert len(found) == MAX_GROUPS
    assert sum(group["bytes"] for group in found) == 40 * 32
    assert found[-1]["dtype"] == "MIXED"
