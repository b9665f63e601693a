"""What weights, activations and graphs take, beside the sizes of public files and what vLLM logged on real GPUs."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.api.facts import ModelFacts
from llmfleet.planning import parameters
from llmfleet.planning.architecture import architecture
from llmfleet.planning.figures import GIB, Range
from tests.unit.planning.models import FACTS, LLAMA_8B, described, device, example, planned

QWEN_7B: dict[str, Any] = example("qwen2.5-7b-instruct").config


@pytest.mark.parametrize(
    ("config", "published"),
    [
        pytest.param(LLAMA_8B, 8_030_261_248, id="Llama-3.1-8B"),
        pytest.param(QWEN_7B, 7_615_616_512, id="Qwen2.5-7B"),
        pytest.param(example("llama-3.3-70b-instruct").config, 70_553_706_496, id="Llama-3.3-70B"),
        pytest.param(example("qwen3-32b").config, 32_762_123_264, id="Qwen3-32B"),
        pytest.param(example("qwen3-30b-a3b").config, 30_532_122_624, id="Qwen3-30B-A3B: experts"),
        pytest.param(example("mistral-small-24b-instruct-2501").config, 23_572_403_200, id="Mistral-Small-24B"),
        pytest.param(example("gpt-oss-20b").config, 20_914_757_184, id="gpt-oss-20b: experts with biases"),
        pytest.param(example("gemma-3-27b-it").config, 27_009_346_304, id="gemma-3-27b without its encoder"),
        pytest.param(
            {
                **LLAMA_8B,
                "model_type": "mixtral",
                "vocab_size": 32_000,
                "num_local_experts": 8,
                "num_experts_per_tok": 2,
            },
            46_702_792_704,
            id="Mixtral-8x7B",
        ),
        pytest.param({**example("deepseek-v3").config, "num_nextn_predict_layers": 0}, 671_026_419_200, id="DeepSeek-V3: latent attention"),
    ],
)
def test_weights_counted_from_shapes_are_the_published_number(config: dict[str, Any], published: int) -> None:
    found = architecture(described(**config))
    assert found is not None
    counted = parameters.count(found)
    assert counted is not None

    total = counted.embedding + counted.head + counted.linear + counted.experts
    assert abs(total - published) / published < parameters.UNCERTAINTY


def test_a_model_with_states_is_not_counted() -> None:
    config = {**LLAMA_8B, "layer_types": ["linear_attention"] * 32, "linear_num_value_heads": 32, "linear_num_key_heads": 16}
    found = architecture(described(**config, linear_key_head_dim=128, linear_value_head_dim=128, linear_conv_kernel_dim=4))

    assert found is not None
    assert parameters.count(found) is None


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("llama-3.1-8b-instruct", 16_060_522_496),
        ("llama-3.3-70b-instruct", 141_107_412_992),
        ("qwen3-32b", 65_524_246_528),
        ("qwen3-30b-a3b", 61_064_245_248),
        ("gpt-oss-20b", 13_761_264_768),
        ("gpt-oss-120b", 65_248_815_744),
    ],
)
def test_the_example_facts_add_up_to_the_size_that_the_models_index_states(name: str, published: int) -> None:
    weights = example(name).weights

    assert weights is not None
    assert weights.bytes == sum(group.bytes for group in weights.tensors) == published


@pytest.mark.parametrize("path", sorted(FACTS.glob("*.json")), ids=lambda path: path.stem)
def test_example_facts_fit_into_a_termination_message(path: Any) -> None:
    assert len(ModelFacts.model_validate_json(path.read_text()).model_dump_json(exclude_unset=True)) <= 4096


def within(value_gib: float, size: Range | None) -> bool:
    """Whether a figure of a log, which is rounded to two decimals at worst, lies in a range."""
    return size is not None and size.low - 0.01 * GIB <= value_gib * GIB <= size.high + 0.01 * GIB


def quantized(facts: ModelFacts, *, linear_bits: float, dtype: str, scales: int, method: str) -> ModelFacts:
    """A checkpoint of which the linear layers are quantized and the rest is not."""
    assert facts.weights is not None
    groups = [group.model_dump() for group in facts.weights.tensors]
    for group in groups:
        if group["part"] == "linear":
            numbers = group["bytes"] // 2
            group.update(dtype=dtype, bytes=int(numbers * linear_bits / 8))
            groups.append({"part": "linear", "dtype": "F16", "bytes": numbers // scales * 2})
            break
    size = sum(group["bytes"] for group in groups)
    return ModelFacts.model_validate(
        {"source": facts.source, "config": facts.config, "quantization": {"quant_method": method}, "weights": {"bytes": size, "tensors": groups}}
    )


@dataclass(frozen=True)
class Log:
    """What a server told at its start. `None` is not told, or told in the terms of an older version."""

    source: str
    version: str
    facts: ModelFacts
    profile: AcceleratorProfile
    parts: dict[str, Any] = field(default_factory=dict)
    weights_gib: float | None = None
    kv_cache_gib: float | None = None
    kv_tokens: int | None = None


L4 = built_in_profiles()["nvidia-l4"]
A10 = built_in_profiles()["nvidia-a10"]
A100_40 = built_in_profiles()["nvidia-a100-40gb"]
A100 = built_in_profiles()["nvidia-a100-80gb"]
H100 = built_in_profiles()["nvidia-h100-80gb"]
RTX_3090 = device(24, "8.6")
RTX_4090 = device(23.99, "8.9")
QWEN_7B_FACTS = example("qwen2.5-7b-instruct")
L4_BLOG = "youwins-lab.github.io/Blog, 2026-08-22, three precisions on one L4"
LENGTH_4096 = {"model": {"maxLength": 4096}, "engine": {"enforceEager": True}}

LOGS = {
    "Qwen2.5-7B on L4, eager": Log(L4_BLOG, "0.27.1", QWEN_7B_FACTS, L4, LENGTH_4096, 14.29, 5.46, 102_288),
    "Qwen2.5-7B on L4, graphs": Log(L4_BLOG, "0.27.1", QWEN_7B_FACTS, L4, {"model": {"maxLength": 4096}}, 14.29, 3.7, 69_328),
    "Qwen2.5-7B FP8 on L4": Log(
        L4_BLOG,
        "0.27.1",
        quantized(QWEN_7B_FACTS, linear_bits=8, dtype="F8_E4M3", scales=3584, method="compressed-tensors"),
        L4,
        LENGTH_4096,
        8.18,
        11.4,
        213_424,
    ),
    "Qwen2.5-7B GPTQ on L4": Log(
        L4_BLOG, "0.27.1", quantized(QWEN_7B_FACTS, linear_bits=4, dtype="I32", scales=128, method="gptq"), L4, LENGTH_4096, 5.27, 14.41, 269_824
    ),
    "Qwen2.5-7B on RTX 4090": Log(
        "a study log of vLLM 0.24.0, model sizes on one 4090",
        "0.24.0",
        QWEN_7B_FACTS,
        RTX_4090,
        {"model": {"maxLength": 2048}, "engine": {"memoryUtilization": 0.85}},
        14.29,
        4.45,
        83_376,
    ),
    "Qwen2.5-0.5B on RTX 4090": Log(
        "the same",
        "0.24.0",
        described(
            **{
                **QWEN_7B,
                "hidden_size": 896,
                "num_hidden_layers": 24,
                "num_attention_heads": 14,
                "num_key_value_heads": 2,
                "intermediate_size": 4864,
                "vocab_size": 151_936,
                "tie_word_embeddings": True,
            }
        ),
        RTX_4090,
        {"model": {"maxLength": 2048}, "engine": {"memoryUtilization": 0.85}},
        None,
        18.08,
        1_579_808,
    ),
    "Llama-3.1-8B on A100 40 GB, eager": Log(
        "github.com/ilseokoh/vllm-gce, a2-highgpu-1g",
        "0.15.1",
        example("llama-3.1-8b-instruct"),
        A100_40,
        {"engine": {"enforceEager": True, "memoryUtilization": 0.9, "maxBatchedTokens": 8192}},
        14.99,
        19.28,
        157_936,
    ),
    "Llama-3.1-8B on RTX 3090": Log(
        "a voice assistant's README of January 2026 (Hermes-3-Llama-3.1-8B)",
        "0.13",
        example("llama-3.1-8b-instruct"),
        RTX_3090,
        {"model": {"maxLength": 16_384}, "engine": {"memoryUtilization": 0.85}},
        14.9889,
        3.78,
        30_960,
    ),
    "gpt-oss-20b on A100": Log(
        "myoceane.fr, 2026-04-18, vLLM on A100",
        "0.19.0",
        example("gpt-oss-20b"),
        A100,
        {"model": {"maxLength": 131_072}, "engine": {"memoryUtilization": 0.65}},
        13.72,
        36.56,
    ),
    "gpt-oss-20b on RTX 3090": Log("vllm-project/vllm#22331", "0.10.1", example("gpt-oss-20b"), RTX_3090, {}, 12.8848),
    "gpt-oss-120b on H100": Log(
        "vllm-project/vllm#27508", "0.11.0", example("gpt-oss-120b"), H100, {"engine": {"memoryUtilization": 0.95, "maxBatchedTokens": 1024}}, 65.9651, 1.71
    ),
    "gpt-oss-120b on H100, Triton": Log(
        "a site's notes of 2026-08-04, one of eight H100",
        "0.25.1",
        example("gpt-oss-120b"),
        H100,
        {"model": {"maxLength": 131_072}, "engine": {"memoryUtilization": 0.95, "maxBatchedTokens": 1024}},
        61.29,
        10.52,
        303_646,
    ),
    "Qwen3-30B-A3B on four A10": Log("vllm-project/vllm#17469", "0.8.5", example("qwen3-30b-a3b"), A10, {"parallelism": {"tensor": 4}}, 14.2474),
}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS.keys())
def test_what_a_server_logged_lies_between_the_bounds(log: Log) -> None:
    plan = planned(log.facts, log.profile, **log.parts)

    assert log.weights_gib is None or within(log.weights_gib, plan.weights), plan.weights
    assert log.kv_cache_gib is None or within(log.kv_cache_gib, plan.kv_cache), plan.kv_cache
    assert log.kv_tokens is None or (plan.kv_tokens is not None and plan.kv_tokens.low <= log.kv_tokens <= plan.kv_tokens.high), plan.kv_tokens


@pytest.mark.parametrize(
    ("facts", "parts", "took_gib"),
    [
        pytest.param(example("llama-3.1-8b-instruct"), {"engine": {"maxSequences": 256, "maxBatchedTokens": 2048}}, 0.55, id="8B, 51 and 35 graphs (0.15)"),
        pytest.param(
            described(**{**LLAMA_8B, "model_type": "mistral", "num_hidden_layers": 40, "hidden_size": 5120, "intermediate_size": 16_384}),
            {"parallelism": {"tensor": 2}},
            0.08,
            id="Ministral-3-14B on two H100, 51 and 51 graphs (0.12)",
        ),
        pytest.param(example("qwen3-32b"), {}, 3.17, id="a 32B of 64 layers (0.8.3, vllm-project/vllm#16301)"),
    ],
)
def test_recorded_graphs_took_what_lies_between_the_bounds(facts: ModelFacts, parts: dict[str, Any], took_gib: float) -> None:
    assert within(took_gib, planned(facts, H100, **parts).cuda_graphs)


@pytest.mark.parametrize(
    ("engine", "bytes_each"),
    [
        pytest.param({}, 6, id="the second model runner samples in place"),
        pytest.param({"speculative": {"method": "suffix", "tokens": 3}}, 18, id="what guesses so has the first"),
        pytest.param({"env": [{"name": "VLLM_USE_V2_MODEL_RUNNER", "value": "0"}]}, 18, id="the first is asked for"),
    ],
)
def test_sampling_takes_what_the_model_runner_keeps(engine: dict[str, Any], bytes_each: int) -> None:
    terms = {term.name: term for term in planned(example("llama-3.1-8b-instruct"), H100, engine=engine).terms}

    assert f"2 to {bytes_each} bytes x 1024 requests x 128256 tokens" in terms["step"].formula


def test_workspaces_of_experts_stay_beside_the_step() -> None:
    dense = planned(example("qwen3-32b"), H100, engine={"maxBatchedTokens": 8192})
    sparse = planned(example("qwen3-30b-a3b"), H100, engine={"maxBatchedTokens": 8192})
    gathered = planned(example("qwen3-30b-a3b"), H100, engine={"maxBatchedTokens": 8192}, parallelism={"data": 2, "expert": True})
    size = {term.name: term.size.high for term in sparse.terms}["workspaces of experts"]

    assert "workspaces of experts" not in [term.name for term in dense.terms]
    # 8 experts x (2048 and 2048 numbers, and half as many quantized) x 2 bytes.
    assert size == 8192 * 8 * (2048 + 2048 + 1024) * 2
    assert {term.name: term.size.high for term in gathered.terms}["workspaces of experts"] == 2 * size


@pytest.mark.parametrize(
    ("width", "profile", "grows"),
    [
        pytest.param(768, "nvidia-h100-80gb", 0.0, id="six tiles of 128"),
        pytest.param(704, "nvidia-h100-80gb", 0.02, id="five and a half"),
        pytest.param(768, "amd-mi300x", 0.15, id="rows apart on AMD"),
    ],
)
def test_experts_grow_where_their_sides_are_no_tiles(width: int, profile: str, grows: float) -> None:
    terms = planned(described(**{**example("qwen3-30b-a3b").config, "moe_intermediate_size": width}), profile).terms
    size = {term.name: term.size for term in terms}["experts"]

    # Counted from shapes, which is exact to half a percent.
    assert size.high / size.low == pytest.approx(1.01 * (1 + grows), abs=0.001)
