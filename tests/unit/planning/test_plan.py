"""Whether a model fits, in one sentence with the arithmetic, and what to change where it does not."""

from typing import Any

import pytest

from llmfleet.api.facts import ModelFacts
from llmfleet.planning.figures import GIB, MIB, Range
from llmfleet.planning.plan import Plan, Verdict, plan
from tests.unit.planning.models import LLAMA_8B, described, device, example, planned, service

LLAMA = example("llama-3.1-8b-instruct")


def sizes(found: Plan) -> tuple[Range, Range]:
    """Weights and KV cache of a plan that has both."""
    assert found.weights is not None
    assert found.kv_cache is not None
    return found.weights, found.kv_cache


def test_a_model_that_fits_by_every_bound_fits() -> None:
    found = planned(LLAMA, "nvidia-h100-80gb")

    assert found.verdict is Verdict.FITS
    assert (found.accelerators_per_replica, found.max_length, found.kv_bytes_per_token) == (1, 131_072, 131_072)
    assert found.largest_context == Range(131_072, 131_072)
    assert found.alternatives == ()
    assert found.reason.startswith("weights 15.0 to 15.2 GiB and ")
    assert "of 0.92 x 79.65 GiB for the KV cache, which holds " in found.reason


def test_one_that_fits_by_the_optimistic_bound_only_is_tight() -> None:
    found = planned(LLAMA, "nvidia-l4", model={"maxLength": 32_768})

    assert found.verdict is Verdict.TIGHT
    assert found.largest_context is not None
    assert found.largest_context.low < 32_768 <= found.largest_context.high
    assert "may not hold it" in found.reason


def test_one_that_does_not_fit_even_then_does_not_fit() -> None:
    found = planned(LLAMA, "nvidia-l4")

    assert found.verdict is Verdict.DOES_NOT_FIT
    assert found.reason.startswith("one request of 131072 tokens needs 16.00 GiB of KV cache; 0.92 x 22.49 GiB less weights 15.0 to 15.2 GiB")
    assert "which cannot hold it: " in found.reason


def test_weights_that_do_not_fit_leave_no_figures_of_the_kv_cache() -> None:
    found = planned(example("llama-3.3-70b-instruct"), "nvidia-h100-80gb")

    assert found.verdict is Verdict.DOES_NOT_FIT
    assert "per accelerator do not fit into 0.92 x 79.65 GiB" in found.reason
    assert found.kv_cache == Range(0, 0)
    assert found.kv_tokens is None


def test_the_bill_adds_up() -> None:
    found = planned(example("gemma-3-27b-it"), "nvidia-h200-141gb", parallelism={"tensor": 2}, adapters={"maxLoaded": 2})

    weights, _ = sizes(found)
    assert found.activations is not None
    assert found.cuda_graphs is not None
    assert found.overhead is not None
    besides = found.activations.high + found.cuda_graphs.high + found.overhead.high
    assert sum(term.size.high for term in found.terms) == pytest.approx(weights.high + besides, abs=100)
    assert all(term.size.low <= term.size.high for term in found.terms)
    assert all(term.formula and term.source for term in found.terms)


@pytest.mark.parametrize(
    ("facts", "profile", "reason"),
    [
        (None, "nvidia-h100-80gb", "the model was not looked at"),
        (described(model_type="llama"), "nvidia-h100-80gb", "its config.json does not say how many layers and heads it has"),
        (LLAMA, "nvidia", "the accelerator's profile does not say how much memory it has"),
        (described(**LLAMA_8B, is_encoder_decoder=True), "nvidia-h100-80gb", "neither its files nor its config.json tell how large its weights are"),
    ],
)
def test_what_is_not_known_is_never_refused(facts: ModelFacts | None, profile: str, reason: str) -> None:
    found = planned(facts, profile)

    assert found.verdict is Verdict.UNKNOWN
    assert found.reason.startswith(reason)
    assert found.alternatives == ()


def test_a_cache_that_is_not_modelled_is_unknown_but_weights_that_do_not_fit_are_refused() -> None:
    facts = described(**{**LLAMA_8B, "layer_types": ["something_new"] * 32}).model_copy(update={"weights": LLAMA.weights})

    assert planned(facts, "nvidia-h100-80gb").verdict is Verdict.UNKNOWN
    assert "so what it holds is not known" in planned(facts, "nvidia-h100-80gb").reason
    assert planned(facts, "nvidia-t4").verdict is Verdict.DOES_NOT_FIT


def test_the_size_of_the_files_is_enough_where_their_headers_could_not_be_read() -> None:
    facts = LLAMA.model_copy(
        update={"quantization": {"quant_method": "gptq"}, "weights": LLAMA.weights.model_copy(update={"tensors": []}) if LLAMA.weights else None}
    )

    weights, _ = sizes(planned(facts, "nvidia-h100-80gb"))

    assert weights.low == 16_060_522_496


def test_shapes_are_enough_where_nothing_is_known_of_the_files() -> None:
    weights, _ = sizes(planned(described(**LLAMA_8B), "nvidia-h100-80gb"))

    assert weights.low < 16_060_522_496 < weights.high


def test_tensor_ranks_share_the_weights_and_the_heads() -> None:
    one, two = planned(LLAMA, "nvidia-h100-80gb"), planned(LLAMA, "nvidia-h100-80gb", parallelism={"tensor": 2})

    assert sizes(two)[0].low == pytest.approx(sizes(one)[0].low / 2, rel=0.001)
    assert two.kv_bytes_per_token == 65_536
    assert two.accelerators_per_replica == 2


def test_the_largest_stage_counts() -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", parallelism={"pipeline": 2})

    # Half of the layers, and the embedding or the output layer.
    assert sizes(found)[0].low == pytest.approx((16_060_522_496 - 2 * 1_050_673_152) / 2 + 1_050_673_152, rel=0.001)
    assert found.accelerators_per_replica == 2


def test_the_last_stage_of_a_tied_model_has_an_embedding_of_its_own() -> None:
    found = planned(example("gemma-3-27b-it"), device(80), parallelism={"pipeline": 2})

    assert [term.name for term in found.terms if term.name in ("embedding", "output layer")] == ["embedding"]
    assert planned(example("gemma-3-27b-it"), device(80)).weights is not None


def test_data_parallel_ranks_share_the_experts_and_copy_the_rest() -> None:
    one = planned(example("qwen3-30b-a3b"), "nvidia-h100-80gb")
    two = planned(example("qwen3-30b-a3b"), "nvidia-h100-80gb", parallelism={"data": 2, "expert": True})

    experts = {group.part: group.bytes for group in example("qwen3-30b-a3b").weights.tensors}["experts"]  # type: ignore[union-attr]
    assert sizes(one)[0].low - sizes(two)[0].low == pytest.approx(experts / 2, rel=0.001)
    assert two.accelerators_per_replica == 2


def test_an_online_method_halves_what_it_converts_and_nothing_else() -> None:
    plain, fp8 = planned(LLAMA, "nvidia-h100-80gb"), planned(LLAMA, "nvidia-h100-80gb", quantization={"method": "fp8_per_tensor"})

    linear = {group.part: group.bytes for group in LLAMA.weights.tensors}["linear"] if LLAMA.weights else 0
    assert sizes(plain)[0].low - sizes(fp8)[0].low == linear // 2


@pytest.mark.parametrize(
    ("quantization", "converted"),
    [
        ({"method": "experts_int8"}, {"experts": 0.5}),
        ({"method": "mxfp4"}, {"experts": 17 / 64, "linear": 17 / 64}),
        ({"method": "online", "config": {"moe": "mxfp8"}}, {"experts": 33 / 64}),
        ({"method": "online", "config": {"linear": {"weight": "fp8_per_channel_static"}}}, {"linear": 0.5}),
        ({"method": "fp8_per_tensor", "config": {"moe": "mxfp4"}}, {"experts": 17 / 64, "linear": 0.5}),
    ],
)
def test_which_parts_an_online_method_converts(quantization: dict[str, Any], converted: dict[str, float]) -> None:
    facts = example("qwen3-30b-a3b")
    groups = {group.part: group.bytes for group in facts.weights.tensors} if facts.weights else {}

    weights, _ = sizes(planned(facts, "nvidia-h100-80gb", quantization=quantization))

    # Norms count with their share of the tensor ranks, which is all.
    assert weights.low == pytest.approx(sum(size * converted.get(part, 1) for part, size in groups.items()), rel=0.0001)


def test_weights_in_float32_are_loaded_in_the_dtype_that_is_served() -> None:
    assert LLAMA.weights is not None
    groups = [group.model_copy(update={"dtype": "F32", "bytes": group.bytes * 2}) for group in LLAMA.weights.tensors]
    facts = LLAMA.model_copy(update={"weights": LLAMA.weights.model_copy(update={"tensors": groups, "bytes": LLAMA.weights.bytes * 2})})

    assert sizes(planned(facts, "nvidia-h100-80gb"))[0].low == pytest.approx(16_060_522_496, rel=0.0001)
    assert sizes(planned(facts, "nvidia-h100-80gb", model={"dtype": "float32"}))[0].low == pytest.approx(2 * 16_060_522_496, rel=0.0001)


def test_an_output_layer_that_is_tied_is_not_loaded() -> None:
    facts = LLAMA.model_copy(update={"config": {**LLAMA.config, "tie_word_embeddings": True}})

    assert sizes(planned(LLAMA, "nvidia-h100-80gb"))[0].low - sizes(planned(facts, "nvidia-h100-80gb"))[0].low == 1_050_673_152


def test_layers_that_predict_further_tokens_may_stay_out() -> None:
    facts, eight = example("deepseek-v3"), {"tensor": 8}

    plain = sizes(planned(facts, "nvidia-h200-141gb", parallelism=eight))[0]
    guessing = sizes(planned(facts, "nvidia-h200-141gb", parallelism=eight, engine={"speculative": {"method": "mtp", "tokens": 1}}))[0]

    assert plain.low < guessing.low
    # The published 671 billion weights, an eighth of them, in a byte each, and the latents that loading unfolds.
    assert plain.low / GIB == pytest.approx(671e9 / 8 / GIB, rel=0.02)


def test_room_for_adapters_grows_with_their_number_and_rank() -> None:
    def room(**adapters: Any) -> int:
        found = planned(LLAMA, "nvidia-h100-80gb", adapters=adapters)
        return next((term.size.low for term in found.terms if term.name == "adapters"), 0)

    assert room() == 0
    assert room(maxLoaded=2, maxRank=16) == 2 * room(maxLoaded=1, maxRank=16)
    assert room(maxLoaded=1, maxRank=64) == 4 * room(maxLoaded=1)
    # Four places where nothing is said, however many adapters there are.
    assert room(items=[{"name": "a", "source": "hf://a/b"}]) == room(maxRank=16) == room(maxLoaded=4)
    # 32 layers x rank 16 x 2 bytes: A of q, k, v and o 4 x 4096, B 4096 + 1024 + 1024 + 4096, A and B of three matrices 2 x 4096 + 3 x 14336 + 4096.
    assert room(maxLoaded=1) == 32 * 16 * 2 * (4 * 4096 + 10_240 + 3 * 4096 + 3 * 14_336)


def test_a_kv_cache_of_a_given_size_is_taken_as_it_is() -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", model={"maxLength": 4096}, engine={"kvCacheMemory": "8Gi"})

    assert found.verdict is Verdict.FITS
    assert found.kv_cache == Range(8 * GIB, 8 * GIB)
    assert found.kv_tokens == Range(65_536, 65_536)
    assert found.concurrency == Range(16, 16)


@pytest.mark.parametrize(("size", "verdict"), [("56Gi", Verdict.FITS), ("62Gi", Verdict.TIGHT), ("70Gi", Verdict.DOES_NOT_FIT)])
def test_a_kv_cache_of_a_given_size_must_fit_beside_the_rest(size: str, verdict: Verdict) -> None:
    assert planned(LLAMA, "nvidia-h100-80gb", model={"maxLength": 4096}, engine={"kvCacheMemory": size}).verdict is verdict


def test_a_kv_cache_of_a_given_size_must_hold_one_request() -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", engine={"kvCacheMemory": "8Gi"})

    assert found.verdict is Verdict.DOES_NOT_FIT
    assert "there are 8.0 GiB per accelerator, which cannot hold it: 65520 tokens fit" in found.reason


def test_a_kv_cache_of_a_given_size_needs_no_memory_of_the_profile() -> None:
    found = planned(LLAMA, "nvidia", model={"maxLength": 4096}, engine={"kvCacheMemory": "8Gi"})

    assert found.verdict is Verdict.FITS
    assert found.kv_tokens == Range(65_536, 65_536)


def test_a_cpu_keeps_what_its_profile_says() -> None:
    found = planned(LLAMA, "cpu", model={"maxLength": 4096})

    assert found.verdict is Verdict.FITS
    assert found.kv_tokens == Range(32_768, 32_768)
    assert found.cuda_graphs == Range(0, 0)
    assert "4.0 GiB of KV cache hold 32768 tokens, 8 requests of 4096" in found.reason


def test_the_environment_of_the_engine_overrides_the_profile() -> None:
    found = planned(LLAMA, "cpu", model={"maxLength": 4096}, engine={"env": [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "8"}]})

    assert found.kv_tokens == Range(65_536, 65_536)


def test_a_cpu_without_a_size_is_unknown() -> None:
    profile = device(1).model_copy(update={"vendor": "cpu", "memory": None})

    assert planned(LLAMA, profile).verdict is Verdict.UNKNOWN


def test_auto_takes_what_fits() -> None:
    found = planned(LLAMA, "nvidia-l4", model={"maxLength": "auto"})

    assert found.verdict is Verdict.FITS
    assert found.largest_context is not None
    assert 0 < found.largest_context.low < 131_072
    assert found.concurrency is not None
    assert found.concurrency.low == 1


@pytest.mark.parametrize(("written", "tokens"), [(4096, 4096), ("16k", 16_000), ("16K", 16_384), ("1m", 1_000_000)])
def test_a_length_is_read_as_vllm_reads_it(written: int | str, tokens: int) -> None:
    assert planned(LLAMA, "nvidia-h100-80gb", model={"maxLength": written}).max_length == tokens


@pytest.mark.parametrize(
    ("quantization", "asked", "token_bytes"),
    [
        pytest.param(None, None, 131_072, id="that of the model"),
        pytest.param({"quant_method": "gptq"}, None, 131_072, id="a checkpoint that says nothing of it"),
        pytest.param({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}, None, 65_536, id="modelopt"),
        pytest.param({"quant_method": "modelopt_fp4", "kv_cache_quant_algo": "NVFP4"}, None, 36_864, id="modelopt in four bits"),
        pytest.param({"quant_method": "compressed-tensors", "kv_cache_scheme": {"type": "float", "num_bits": 8}}, None, 65_536, id="compressed-tensors"),
        pytest.param({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}, "bfloat16", 131_072, id="what is asked goes first"),
    ],
)
def test_the_type_of_the_kv_cache_is_the_checkpoints_unless_asked(quantization: dict[str, Any] | None, asked: str | None, token_bytes: int) -> None:
    facts = LLAMA.model_copy(update={"quantization": quantization})

    assert planned(facts, "nvidia-h100-80gb", quantization={"kvCache": asked} if asked else {}).kv_bytes_per_token == token_bytes


@pytest.mark.parametrize(("profile", "token_bytes"), [("nvidia-h200-141gb", 61 * (656 + 132)), ("nvidia-b200-192gb", 61 * (576 + 132))])
def test_sparse_attention_packs_an_fp8_latent_on_hopper(profile: str, token_bytes: int) -> None:
    facts = example("deepseek-v3")
    sparse = facts.model_copy(update={"config": {**facts.config, "model_type": "deepseek_v32", "index_head_dim": 128}})

    found = planned(sparse, profile, quantization={"kvCache": "fp8"}, parallelism={"tensor": 8})

    assert found.kv_bytes_per_token == token_bytes


def test_values_that_the_service_puts_into_the_config_count() -> None:
    assert planned(LLAMA, "nvidia-h100-80gb", model={"configOverrides": {"max_position_embeddings": 8192}}).max_length == 8192
    gemma = planned(example("gemma-3-27b-it"), "nvidia-h200-141gb", model={"configOverrides": {"text_config": {"max_position_embeddings": 8192}}})
    assert gemma.max_length == 8192
    assert gemma.kv_bytes_per_token == planned(example("gemma-3-27b-it"), "nvidia-h200-141gb").kv_bytes_per_token


def test_an_encoder_keeps_nothing_of_a_request() -> None:
    config = {**LLAMA_8B, "model_type": "xlm-roberta", "num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
    found = planned(described(**config), "nvidia-t4", model={"runner": "pooling"})

    assert found.verdict is Verdict.FITS
    assert found.reason.endswith("per accelerator fit, and it keeps nothing of a request")


def test_offloaded_weights_leave_the_accelerator() -> None:
    plain, offloaded = planned(LLAMA, "nvidia-l4"), planned(LLAMA, "nvidia-l4", engine={"cpuOffload": "5Gi"})

    assert sizes(plain)[0].low - sizes(offloaded)[0].low == 5 * GIB


def test_an_offloaded_kv_cache_changes_nothing_on_the_accelerator() -> None:
    assert planned(LLAMA, "nvidia-h100-80gb", engine={"kvOffload": {"memory": "40Gi"}}) == planned(LLAMA, "nvidia-h100-80gb")


def test_eager_records_no_graphs() -> None:
    assert planned(LLAMA, "nvidia-h100-80gb", engine={"enforceEager": True}).cuda_graphs == Range(0, 0)
    assert planned(LLAMA, "nvidia-h100-80gb", engine={"optimizationLevel": 0}).cuda_graphs == Range(0, 0)


@pytest.mark.parametrize(
    ("engine", "graphs"),
    [
        # vLLM 0.18, 256 sequences: "PIECEWISE=51 (largest=512), FULL=35 (largest=256)".
        pytest.param({"maxSequences": 256, "maxBatchedTokens": 2048}, 51 + 35, id="256 sequences"),
        # "PIECEWISE=3 (largest=4), FULL=2 (largest=2)".
        pytest.param({"maxSequences": 2, "maxBatchedTokens": 2048}, 3 + 2, id="2 sequences"),
        pytest.param({"maxSequences": 256, "maxBatchedTokens": 2048, "optimizationLevel": 1}, 51, id="parts only"),
        # 1 to 32, then 40 to 248 by 8, then 256 to 512 by 16.
        pytest.param({"maxSequences": 256, "maxBatchedTokens": 2048, "performanceMode": "interactivity"}, 32 + 27 + 17 + 32 + 27 + 1, id="interactivity"),
    ],
)
def test_as_many_graphs_as_vllm_tells(engine: dict[str, Any], graphs: int) -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", engine=engine).cuda_graphs

    assert found is not None
    assert found.low == graphs * MIB // 2


def test_gpt_oss_records_graphs_of_up_to_1024_tokens() -> None:
    # "the number of CUDA graphs from 67 to 83" is 51 to 83 with today's sizes, and 35 of whole steps.
    found = planned(example("gpt-oss-20b"), "nvidia-h100-80gb", engine={"maxSequences": 256, "maxBatchedTokens": 2048}).cuda_graphs

    assert found is not None
    assert found.low == (83 + 35) * MIB // 2


@pytest.mark.parametrize(
    ("profile", "engine", "step"),
    [
        ("nvidia-l4", {}, (2048, 256)),
        ("nvidia-a100-80gb", {}, (2048, 256)),
        ("nvidia-h100-80gb", {}, (8192, 1024)),
        ("nvidia-b200-192gb", {}, (16_384, 1024)),
        ("nvidia-l4", {"performanceMode": "throughput"}, (4096, 512)),
        ("nvidia-l4", {"maxSequences": 8, "maxBatchedTokens": 512}, (512, 8)),
    ],
)
def test_a_step_is_as_large_as_vllm_makes_it_on_the_device(profile: str, engine: dict[str, Any], step: tuple[int, int]) -> None:
    found = planned(LLAMA, profile, engine=engine)

    formula = next(term.formula for term in found.terms if term.name == "step")
    assert f"a layer over {step[0]} tokens" in formula
    assert f"x {step[1]} requests x" in formula


def test_inputs_other_than_text_need_room_unless_they_are_turned_off() -> None:
    facts = example("gemma-3-27b-it")

    assert "encoded inputs" in [term.name for term in planned(facts, "nvidia-h100-80gb").terms]
    assert "encoded inputs" not in [term.name for term in planned(facts, "nvidia-h100-80gb", engine={"multimodal": {"limits": {"image": 0}}}).terms]


def test_an_encoder_of_videos_too_runs_until_both_are_turned_off() -> None:
    facts = described(**{**LLAMA_8B, "model_type": "qwen3_vl"}, vision_config={"hidden_size": 1152, "spatial_merge_size": 2})
    half, none = (
        {term.name for term in planned(facts, "nvidia-h100-80gb", engine={"multimodal": {"limits": off}}).terms}
        for off in ({"image": 0}, {"image": 0, "video": 0})
    )

    assert "encoded inputs" in half
    assert "encoded inputs" not in none


def test_what_may_stay_unloaded_is_not_in_the_optimistic_bound() -> None:
    facts = example("gemma-3-27b-it")
    loaded, _ = sizes(planned(facts, "nvidia-h200-141gb"))
    unloaded, _ = sizes(planned(facts, "nvidia-h200-141gb", engine={"multimodal": {"limits": {"image": 0}}}))

    assert unloaded.low < loaded.low
    assert unloaded.high == loaded.high


@pytest.mark.parametrize("parts", [{"model": {"runner": "pooling"}}, {"parallelism": {"pipeline": 2}}])
def test_what_does_not_sample_on_every_accelerator_has_no_least_of_it(parts: dict[str, Any]) -> None:
    settings = {"maxBatchedTokens": 1024, "maxSequences": 1024, "enforceEager": True}
    plain, other = (planned(LLAMA, "nvidia-h100-80gb", engine=settings, **given).activations for given in ({}, parts))

    assert plain is not None
    assert other is not None
    assert other.low < plain.low


@pytest.mark.parametrize(("method", "costs"), [("ngram", False), ("eagle3", True), ("medusa", True), ("draft_model", True)])
def test_what_guesses_may_have_weights_of_its_own(method: str, costs: bool) -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", engine={"speculative": {"method": method, "tokens": 3}})

    assert ("draft" in [term.name for term in found.terms]) is costs


@pytest.mark.parametrize("spelled", ["--disable-hybrid-kv-cache-manager", "--disable_hybrid_kv_cache_manager", "--disable-hybrid"])
def test_windows_that_are_kept_whole_hold_fewer_tokens(spelled: str) -> None:
    facts = example("gpt-oss-20b")
    plain = planned(facts, "nvidia-h100-80gb", engine={"extraArgs": ["--no-disable-hybrid-kv-cache-manager"]})
    whole = planned(facts, "nvidia-h100-80gb", engine={"extraArgs": [spelled]})

    assert plain.kv_tokens is not None
    assert whole.kv_tokens is not None
    assert whole.kv_tokens.high < plain.kv_tokens.high


@pytest.mark.parametrize(
    ("share", "tensor", "verdict"),
    [
        pytest.param(0.98, 1, Verdict.FITS, id="1.6 GiB of 80 are free of vLLM"),
        pytest.param(0.994, 1, Verdict.TIGHT, id="half a GiB, about what a CUDA context takes"),
        pytest.param(1.0, 1, Verdict.DOES_NOT_FIT, id="nothing is free"),
        pytest.param(0.98, 2, Verdict.TIGHT, id="ranks connect before they measure"),
    ],
)
def test_vllm_does_not_start_where_its_share_is_not_free(share: float, tensor: int, verdict: Verdict) -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", engine={"memoryUtilization": share}, parallelism={"tensor": tensor})

    assert found.verdict is verdict
    assert ("must be free when vLLM starts" in found.reason) is (verdict is not Verdict.FITS)


def test_a_share_that_starts_is_offered_and_fits() -> None:
    found = planned(LLAMA, "nvidia-h100-80gb", engine={"memoryUtilization": 1.0})

    offered = {alternative.field: alternative for alternative in found.alternatives}["spec.engine.memoryUtilization"]
    assert offered.value == "0.99"
    assert offered.verdict is Verdict.FITS


def test_a_kv_cache_of_a_size_leaves_room_for_the_context() -> None:
    room = planned(LLAMA, "nvidia-l4", engine={"kvCacheMemory": "4Gi", "enforceEager": True}, model={"maxLength": 4096})
    larger = planned(LLAMA, "nvidia-l4", engine={"kvCacheMemory": "7Gi", "enforceEager": True}, model={"maxLength": 4096})

    assert room.verdict is Verdict.FITS
    assert larger.verdict is Verdict.DOES_NOT_FIT


@pytest.mark.parametrize("engine", [{"extraArgs": ["--kv-transfer-config", "{}"]}, {"kvOffload": {"memory": "10Gi", "backend": "lmcache"}}])
def test_a_connector_that_may_keep_windows_whole_counts_for_the_pessimistic_bound(engine: dict[str, Any]) -> None:
    plain = planned(example("gpt-oss-20b"), "nvidia-h100-80gb")
    found = planned(example("gpt-oss-20b"), "nvidia-h100-80gb", engine=engine)

    assert plain.kv_tokens is not None
    assert found.kv_tokens is not None
    assert found.kv_tokens.low < plain.kv_tokens.low
    assert found.kv_tokens.high == plain.kv_tokens.high


def test_chunks_are_kept_whole_beside_an_eagle() -> None:
    facts = described(**{**LLAMA_8B, "model_type": "llama4_text", "attention_chunk_size": 8192})
    plain = planned(facts, "nvidia-h200-141gb")
    guessed = planned(facts, "nvidia-h200-141gb", engine={"speculative": {"method": "eagle3", "tokens": 3}})

    assert plain.kv_tokens is not None
    assert guessed.kv_tokens is not None
    assert guessed.kv_tokens.high < plain.kv_tokens.low


class TestAlternatives:
    """Each change is computed through."""

    def changes(self, found: Plan) -> dict[str, str]:
        """Fields and values of the alternatives."""
        return {alternative.field: alternative.value for alternative in found.alternatives}

    def test_a_shorter_context_and_more_accelerators(self) -> None:
        assert self.changes(planned(LLAMA, "nvidia-l4")) == {"spec.model.maxLength": "16384", "spec.parallelism.tensor": "2"}

    def test_smaller_numbers(self) -> None:
        found = planned(LLAMA, "nvidia-l4", model={"maxLength": 32_768})

        assert self.changes(found)["spec.quantization.method"] == "fp8_per_tensor"
        assert self.changes(planned(LLAMA, device(36, "8.9")))["spec.quantization.kvCache"] == "fp8"

    @pytest.mark.parametrize("name", ["llama-3.1-8b-instruct", "qwen3-32b", "gpt-oss-120b", "gemma-3-27b-it"])
    @pytest.mark.parametrize("profile", ["nvidia-l4", "nvidia-l40s", "nvidia-a100-80gb"])
    def test_each_leads_where_it_says(self, name: str, profile: str) -> None:
        facts = example(name)
        for alternative in planned(facts, profile).alternatives:
            parts: dict[str, dict[str, object]] = {}
            for path, value in zip(alternative.field.split(" and "), alternative.value.split(" and "), strict=True):
                part, field = path.removeprefix("spec.").split(".")
                parts.setdefault(part, {})[field] = int(value) if value.isdecimal() else value

            assert planned(facts, profile, **parts).verdict is alternative.verdict

    def test_a_context_of_the_pessimistic_bound_fits_for_certain(self) -> None:
        found = planned(LLAMA, "nvidia-l4", model={"maxLength": 32_768})
        shorter = next(alternative for alternative in found.alternatives if alternative.field == "spec.model.maxLength")

        assert shorter.verdict is Verdict.FITS
        assert int(shorter.value) % 1024 == 0

    def test_two_changes_together_where_none_alone_is_enough(self) -> None:
        found = planned(example("llama-3.3-70b-instruct"), device(80, perNode=2))

        assert ("spec.parallelism.tensor and spec.quantization.method", "2 and fp8_per_tensor") in self.changes(found).items()

    def test_no_more_accelerators_than_a_node_has(self) -> None:
        found = planned(LLAMA, device(24, "8.9", perNode=1))

        assert found.verdict is Verdict.DOES_NOT_FIT
        assert not [field for field in self.changes(found) if "parallelism" in field]

    def test_only_sizes_that_divide_the_heads(self) -> None:
        # 40 heads: 2, 4 and 8 do.
        found = planned(described(**{**LLAMA_8B, "num_attention_heads": 36, "num_key_value_heads": 4, "hidden_size": 4608}), "nvidia-t4")

        assert int(self.changes(found)["spec.parallelism.tensor"]) in (2, 4)

    def test_no_fp8_cache_where_the_device_has_no_kernel_for_it(self) -> None:
        assert "spec.quantization.kvCache" not in self.changes(planned(LLAMA, "nvidia-t4", model={"maxLength": 1024}))

    def test_no_online_method_for_a_checkpoint_that_is_quantized(self) -> None:
        assert "spec.quantization.method" not in self.changes(planned(example("deepseek-v3"), "nvidia-h100-80gb", parallelism={"tensor": 8}))

    def test_nothing_is_said_where_nothing_helps(self) -> None:
        assert planned(example("deepseek-v3"), "nvidia-t4").alternatives == ()

    def test_no_tensor_size_that_vllm_refuses_is_offered(self) -> None:
        shape = {**example("qwen3-30b-a3b").config, "num_attention_heads": 64, "hidden_size": 4096, "moe_intermediate_size": 1536, "num_hidden_layers": 94}
        files = {"bytes": 236 * 10**9, "tensors": [{"part": "experts", "dtype": "F8_E4M3", "bytes": 236 * 10**9}]}
        quantization = {"quant_method": "fp8", "weight_block_size": [128, 128]}
        facts = ModelFacts.model_validate({"source": "hf://owner/model", "config": shape, "quantization": quantization, "weights": files})

        offered = [alternative.value for alternative in planned(facts, device(40, "9.0"), parallelism={"tensor": 2}).alternatives]

        # 1536 / 8 = 192 is one block and a half.
        assert not any("8" in value.split(" and ") for value in offered)
        assert "8" in {alternative.value for alternative in planned(facts, device(40, "9.0"), parallelism={"tensor": 2, "expert": True}).alternatives}


@pytest.mark.parametrize("name", ["llama-3.1-8b-instruct", "qwen3-30b-a3b", "gpt-oss-20b", "gemma-3-27b-it", "deepseek-v3"])
@pytest.mark.parametrize("tensor", [1, 2, 8])
def test_lower_bounds_are_below_upper_ones(name: str, tensor: int) -> None:
    found = planned(example(name), "nvidia-h200-141gb", parallelism={"tensor": tensor})

    ranges = [found.weights, found.activations, found.cuda_graphs, found.overhead, found.kv_cache, found.kv_tokens, found.concurrency, found.largest_context]
    assert all(size.low <= size.high for size in ranges if size is not None)


def test_the_plan_is_that_of_any_version() -> None:
    profile = device(80)

    assert plan(service(), LLAMA, profile, "0.29.0").verdict is plan(service(), LLAMA, profile, "0.32.0").verdict
