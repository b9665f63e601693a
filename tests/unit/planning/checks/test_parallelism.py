"""How a replica is spread."""

from typing import Any

import pytest

from llmfleet.planning.checks import parallelism
from tests.unit.planning.checks.subjects import CPU, DEEPSEEK, MIXTRAL, QWEN, device, facts, refused, said, warned


def spread(**fields: Any) -> dict[str, Any]:
    return {"parallelism": fields}


def test_several_nodes_need_a_workload_that_does_not_exist_yet() -> None:
    assert "needs the LeaderWorkerSet workload" in refused(parallelism.several_nodes, **spread(nodes=2))
    assert said(parallelism.several_nodes, **spread(nodes=1)) == ()


def test_ray_needs_a_cluster_and_uni_runs_one_rank() -> None:
    assert "needs a Ray cluster" in refused(parallelism.executor, **spread(executor="ray"))
    assert "tensor x pipeline is 4" in refused(parallelism.executor, **spread(executor="uni", tensor=2, pipeline=2))
    assert said(parallelism.executor, CPU, **spread(executor="uni", tensor=2)) == ()
    assert said(parallelism.executor, **spread(executor="uni")) == said(parallelism.executor, **spread(executor="mp", tensor=2)) == ()


def test_more_accelerators_than_a_node_has_are_refused() -> None:
    assert refused(parallelism.more_than_a_node, device(per_node=8), **spread(tensor=4, pipeline=2, data=2)) == (
        "spec.parallelism: tensor 4 x pipeline 2 x data 2 = 16 accelerators, and a node of device has 8: the replica could never be scheduled; "
        "lower them to 8 or less together"
    )
    assert said(parallelism.more_than_a_node, device(per_node=8), **spread(tensor=4, pipeline=2)) == ()
    assert said(parallelism.more_than_a_node, device(), **spread(tensor=64)) == ()


def test_a_tensor_size_that_does_not_divide_heads_is_refused_with_those_that_do() -> None:
    assert refused(parallelism.tensor_divides_attention_heads, device(per_node=8), facts(), **spread(tensor=8)) == (
        "spec.parallelism.tensor '8': 28 attention heads cannot be shared by 8 accelerators; use 1, 2, 4, 7, 14 or 28 (perNode 8: 1, 2, 4 or 7)"
    )
    assert said(parallelism.tensor_divides_attention_heads, device(per_node=8), facts(), **spread(tensor=4)) == ()
    assert said(parallelism.tensor_divides_attention_heads, **spread(tensor=8)) == ()


def test_kv_heads_are_shared_or_copied_evenly() -> None:
    odd = facts(num_attention_heads=24, num_key_value_heads=8, hidden_size=3072)
    message = refused(parallelism.tensor_divides_kv_heads, known=odd, **spread(tensor=12))
    assert message.endswith("8 key-value heads can neither be shared by 12 accelerators nor each be copied equally often; use 1, 2, 4, 8 or 24")
    assert said(parallelism.tensor_divides_kv_heads, known=odd, **spread(tensor=8)) == ()
    assert said(parallelism.tensor_divides_kv_heads, known=odd, **spread(tensor=24)) == ()
    assert said(parallelism.tensor_divides_kv_heads, known=facts(), **spread(tensor=8)) == ()


def test_the_vocabulary_is_shared_evenly() -> None:
    assert "padded to 152064" in refused(parallelism.tensor_divides_the_vocabulary, known=facts(), **spread(tensor=7))
    assert said(parallelism.tensor_divides_the_vocabulary, known=facts(), **spread(tensor=4)) == ()


def test_a_width_that_is_not_shared_evenly_is_worth_a_word() -> None:
    assert "width 18945" in warned(parallelism.tensor_divides_the_vocabulary, known=facts(intermediate_size=18945), **spread(tensor=2))


def test_groups_of_a_quantized_checkpoint_are_not_cut() -> None:
    """The width of Qwen2.5-72B; its quantized checkpoints are padded for this reason."""
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128}
    large = facts(QWEN, quantization=awq, intermediate_size=29568, num_attention_heads=64, num_key_value_heads=8)
    assert refused(parallelism.blocks_across_ranks, known=large, **spread(tensor=8)) == (
        "spec.parallelism.tensor '8': feed-forward layers of width 29568 are quantized with awq in blocks of 128, "
        "and 29568 / 8 = 3696 is no whole number of them; use 1"
    )
    assert said(parallelism.blocks_across_ranks, known=large) == ()
    assert said(parallelism.blocks_across_ranks, known=facts(QWEN, intermediate_size=29568, num_attention_heads=64), **spread(tensor=8)) == ()


def test_blocks_of_experts_are_not_cut_but_where_whole_ones_are_spread() -> None:
    fp8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    known = facts(DEEPSEEK, quantization=fp8)
    assert "or spread whole experts" in refused(parallelism.blocks_across_ranks, known=known, **spread(tensor=8, data=4))
    assert said(parallelism.blocks_across_ranks, known=known, **spread(tensor=8, data=4, expert=True)) == ()
    assert said(parallelism.blocks_across_ranks, known=known, **spread(tensor=16)) == ()


def test_copied_kv_heads_are_worth_a_word_with_their_cost() -> None:
    message = warned(parallelism.copied_kv_heads, known=facts(num_attention_heads=32, hidden_size=4096), **spread(tensor=8))
    # 28 layers x 2 x 4 heads x 128 x 2 bytes, kept once more.
    assert "4 key-value heads, so each token is kept 2 times, 57344 bytes more in 16 bit" in message
    assert said(parallelism.copied_kv_heads, known=facts(), **spread(tensor=4)) == ()


def test_a_latent_is_copied_to_every_tensor_rank() -> None:
    # 61 layers x (512 + 64) x 2 bytes, kept three times more.
    assert f"{61 * 576 * 2 * 3} bytes more" in warned(parallelism.copied_kv_heads, known=facts(DEEPSEEK), **spread(tensor=4))
    assert said(parallelism.copied_kv_heads, known=facts(DEEPSEEK), **spread(tensor=4, decodeContext=4)) == ()


def test_a_stage_has_a_layer() -> None:
    assert "(28)" in refused(parallelism.pipeline_within_layers, known=facts(), **spread(pipeline=29))
    assert said(parallelism.pipeline_within_layers, known=facts(), **spread(pipeline=28)) == ()


def test_data_parallel_copies_of_a_dense_model_are_worth_a_word() -> None:
    assert "spec.replicas" in warned(parallelism.data_without_experts, known=facts(), **spread(data=2))
    assert said(parallelism.data_without_experts, known=facts(MIXTRAL), **spread(data=2)) == ()
    assert said(parallelism.data_without_experts, **spread(data=2)) == ()


def test_a_dense_model_has_no_experts_to_spread() -> None:
    assert "the model has no experts" in refused(parallelism.experts, known=facts(), **spread(expert=True, tensor=2))
    assert said(parallelism.experts, known=facts(MIXTRAL), **spread(expert=True, tensor=2)) == ()
    assert said(parallelism.experts, **spread(expert=True, tensor=2)) == ()


def test_experts_on_one_rank_are_worth_a_word() -> None:
    assert "nothing to spread" in warned(parallelism.experts, known=facts(MIXTRAL), **spread(expert=True))


def test_decode_context_divides_tensor() -> None:
    assert "use a divisor of 4" in refused(parallelism.decode_context, **spread(tensor=4, decodeContext=3))
    assert said(parallelism.decode_context, **spread(tensor=4, decodeContext=2)) == ()


@pytest.mark.parametrize(
    ("config", "tensor", "size", "words"),
    [
        (QWEN, 4, 2, "needs a tensor size above the model's 4 key-value heads"),
        ({**QWEN, "num_attention_heads": 32}, 8, 4, "is more than the 2 copies that tensor 8 makes of 4 key-value heads"),
        ({**QWEN, "num_attention_heads": 12}, 12, 2, "does not divide the 3 query heads"),
    ],
)
def test_decode_context_shares_what_would_be_copies(config: dict[str, Any], tensor: int, size: int, words: str) -> None:
    assert words in refused(parallelism.decode_context, known=facts(config), **spread(tensor=tensor, decodeContext=size))


def test_decode_context_for_copies_and_for_latents_is_taken() -> None:
    assert said(parallelism.decode_context, known=facts(num_attention_heads=32), **spread(tensor=8, decodeContext=2)) == ()
    assert said(parallelism.decode_context, known=facts(DEEPSEEK), **spread(tensor=8, decodeContext=8)) == ()


def test_ranks_on_the_cpu_share_a_machine() -> None:
    assert "2 ranks" in warned(parallelism.ranks_on_the_cpu, CPU, **spread(tensor=2))
    assert said(parallelism.ranks_on_the_cpu, CPU) == said(parallelism.ranks_on_the_cpu, device(), **spread(tensor=2)) == ()


def test_experts_on_the_cpu_are_on_every_rank() -> None:
    assert "remove it" in refused(parallelism.experts_apart_on_the_cpu, CPU, **spread(tensor=2, expert=True))
    assert "spec.replicas" in refused(parallelism.experts_apart_on_the_cpu, CPU, **spread(data=2))
    assert said(parallelism.experts_apart_on_the_cpu, CPU, **spread(tensor=2)) == ()
    assert said(parallelism.experts_apart_on_the_cpu, device(), **spread(tensor=2, expert=True)) == ()
