"""Speculative decoding."""

from typing import Any

import pytest

from llmfleet.planning.checks import speculative
from tests.unit.planning.checks.subjects import CPU, DEEPSEEK, device, facts, refused, said, warned

ADAPTER = {"items": [{"name": "sql", "source": "hf://a/sql"}]}


def guess(method: str = "ngram", *, tokens: int = 3, **fields: Any) -> dict[str, Any]:
    return {"engine": {"speculative": {"method": method, "tokens": tokens, **fields}}}


@pytest.mark.parametrize("method", ["eagle", "eagle3", "medusa", "draft_model", "dflash", "mlp_speculator"])
def test_a_method_with_a_model_of_its_own_needs_it(method: str) -> None:
    assert "guesses with a model of its own" in refused(speculative.draft_model, **guess(method))
    assert said(speculative.draft_model, **guess(method, model="hf://a/draft")) == ()


@pytest.mark.parametrize("method", ["ngram", "ngram_gpu", "suffix"])
def test_a_model_for_a_method_without_one_would_be_ignored(method: str) -> None:
    assert "would be ignored" in refused(speculative.draft_model, **guess(method, model="hf://a/draft"))
    assert said(speculative.draft_model, **guess(method)) == ()


def test_the_models_own_layers_need_no_other_model() -> None:
    assert said(speculative.draft_model, **guess("mtp")) == said(speculative.draft_model) == ()


def test_a_class_of_the_images_own_has_no_field() -> None:
    assert "no field here names" in refused(speculative.draft_model, **guess("custom_class"))


def test_lengths_of_ngrams_are_for_ngram() -> None:
    assert refused(speculative.lookup, **guess("eagle3", model="hf://a/d", lookupMax=4)) == (
        "spec.engine.speculative.lookupMax '4': would be ignored: it is for the method ngram, and the method is eagle3; remove it"
    )
    assert said(speculative.lookup, **guess(lookupMax=4, lookupMin=2)) == ()


def test_the_shortest_ngram_is_not_above_the_longest() -> None:
    assert "is above lookupMax (2)" in refused(speculative.lookup, **guess(lookupMax=2, lookupMin=4))
    assert said(speculative.lookup, **guess(lookupMin=4)) == ()


def test_a_draft_model_runs_on_one_rank_or_on_all() -> None:
    draft = guess("eagle3", model="hf://a/d", tensor=2)
    assert "is neither 1 nor the model's tensor size (4)" in refused(speculative.draft_tensor, parallelism={"tensor": 4}, **draft)
    assert said(speculative.draft_tensor, parallelism={"tensor": 2}, **draft) == ()
    assert said(speculative.draft_tensor, parallelism={"tensor": 4}, **guess("eagle3", model="hf://a/d", tensor=1)) == ()
    assert "would be ignored" in refused(speculative.draft_tensor, **guess(tensor=1))


def test_mtp_needs_layers_that_the_model_brings() -> None:
    assert "names none" in refused(speculative.predicting_layers, known=facts(), **guess("mtp", tokens=1))
    assert "names none" in warned(speculative.predicting_layers, known=facts(model_type="longcat_flash"), **guess("mtp", tokens=1))
    assert said(speculative.predicting_layers, known=facts(DEEPSEEK), **guess("mtp", tokens=3)) == ()
    assert said(speculative.predicting_layers, **guess("mtp")) == said(speculative.predicting_layers, known=facts(), **guess()) == ()


def test_layers_that_predict_are_used_a_whole_number_of_times() -> None:
    two = facts(DEEPSEEK, num_nextn_predict_layers=2)
    assert "use 2, or a multiple of it" in refused(speculative.predicting_layers, known=two, **guess("mtp", tokens=3))
    assert said(speculative.predicting_layers, known=two, **guess("mtp", tokens=4)) == ()


def test_with_adapters_a_step_holds_all_guesses() -> None:
    engine = {"maxBatchedTokens": 512, "maxSequences": 256, **guess()["engine"]}
    assert "256 x (3 + 1) = 1024 tokens" in refused(speculative.room_in_a_step, adapters=ADAPTER, engine=engine)
    assert "1024 tokens" in refused(speculative.room_in_a_step, adapters={"maxRank": 8}, engine=engine), "room for adapters to come counts too"
    assert said(speculative.room_in_a_step, engine=engine) == ()
    assert said(speculative.room_in_a_step, adapters=ADAPTER, engine={**engine, "maxBatchedTokens": 1024}) == ()


def test_vllms_own_batches_count_where_none_are_given() -> None:
    small = device("8.9", memory="24Gi")
    assert "raise spec.engine.maxBatchedTokens to 2816" in refused(speculative.room_in_a_step, small, facts(), adapters=ADAPTER, **guess(tokens=10))
    assert said(speculative.room_in_a_step, small, facts(), adapters=ADAPTER, **guess(tokens=7)) == ()
    assert said(speculative.room_in_a_step, adapters=ADAPTER, **guess(tokens=10)) == ()


def test_options_are_vllms_own_and_of_no_field() -> None:
    assert refused(speculative.options, **guess(options={"prompt_lookup_max": 4})) == (
        "spec.engine.speculative.options.prompt_lookup_max: belongs to spec.engine.speculative.lookupMax; set spec.engine.speculative.lookupMax"
    )
    assert "spec.engine.speculative.options.draft_sample" in refused(speculative.options, **guess(options={"draft_sample": "greedy"}))
    assert said(speculative.options, **guess(options={"draft_sample_method": "greedy"})) == ()


def test_adaptive_verification_knows_neither_adapters_nor_stages() -> None:
    adaptive = guess("dspark", options={"enable_adaptive_verification": True})
    assert "adapters" in refused(speculative.adaptive_verification, adapters=ADAPTER, **adaptive)
    assert "adapters" in refused(speculative.adaptive_verification, adapters={"maxLoaded": 1}, **adaptive)
    assert "pipeline" in refused(speculative.adaptive_verification, parallelism={"pipeline": 2}, **adaptive)
    assert said(speculative.adaptive_verification, **adaptive) == said(speculative.adaptive_verification, adapters=ADAPTER, **guess()) == ()


def test_a_pooling_model_has_nothing_to_guess() -> None:
    assert "generates none" in warned(speculative.pooling_model, model={"runner": "pooling"}, **guess())
    assert said(speculative.pooling_model, **guess()) == ()


def test_the_cpu_looks_tokens_up_itself() -> None:
    assert "choose ngram" in warned(speculative.lookup_on_the_gpu, CPU, **guess("ngram_gpu"))
    assert said(speculative.lookup_on_the_gpu, device(), **guess("ngram_gpu")) == ()
