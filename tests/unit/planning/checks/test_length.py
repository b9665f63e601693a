"""Lengths and batches."""

import pytest

from llmfleet.planning.checks import length
from tests.unit.planning.checks.subjects import facts, refused, said, warned


@pytest.mark.parametrize("asked", [32769, "33k", "64K"])
def test_a_context_longer_than_the_models_is_refused(asked: int | str) -> None:
    message = refused(length.longer_than_the_model, known=facts(), model={"maxLength": asked})
    assert message.startswith(f"spec.model.maxLength '{asked}': is longer than the 32768 tokens that the model was made for; lower it to 32768")


@pytest.mark.parametrize("asked", [32768, "32k", "32K", "auto", None])
def test_a_context_within_the_models_is_taken(asked: int | str | None) -> None:
    assert said(length.longer_than_the_model, known=facts(), model={"maxLength": asked} if asked else {}) == ()


def test_scaled_positions_count() -> None:
    scaled = facts(rope_scaling={"rope_type": "linear", "factor": 4.0})
    assert said(length.longer_than_the_model, known=scaled, model={"maxLength": 131072}) == ()
    assert "131072" in refused(length.longer_than_the_model, known=scaled, model={"maxLength": 131073})


def test_a_longer_context_may_be_allowed_by_vllms_own_variable() -> None:
    env = [{"name": "VLLM_ALLOW_LONG_MAX_MODEL_LEN", "value": "1"}]
    assert "noise" in warned(length.longer_than_the_model, known=facts(), model={"maxLength": 40000}, engine={"env": env})


def test_overrides_of_the_configuration_and_unknown_models_silence_it() -> None:
    overrides = {"rope_parameters": {"rope_type": "yarn", "factor": 4}}
    assert said(length.longer_than_the_model, known=facts(), model={"maxLength": 131072, "configOverrides": overrides}) == ()
    assert said(length.longer_than_the_model, model={"maxLength": 10_000_000}) == ()


def test_a_step_holds_a_token_of_each_running_request() -> None:
    assert "raise it to 256 or more, or lower maxSequences to 128" in refused(
        length.batch_below_sequences, engine={"maxBatchedTokens": 128, "maxSequences": 256}
    )
    assert said(length.batch_below_sequences, engine={"maxBatchedTokens": 256, "maxSequences": 256}) == ()


def test_without_chunked_prefill_a_step_holds_the_longest_prompt() -> None:
    engine = {"maxBatchedTokens": 8192, "chunkedPrefill": False}
    assert "(16384)" in refused(length.batch_below_length, model={"maxLength": "16K"}, engine=engine)
    assert "(32768)" in refused(length.batch_below_length, known=facts(), engine=engine)
    assert said(length.batch_below_length, model={"maxLength": 8192}, engine=engine) == ()
    assert said(length.batch_below_length, model={"maxLength": "16K"}, engine={"maxBatchedTokens": 8192}) == ()
    assert said(length.batch_below_length, engine=engine) == ()


def test_chunked_prefill_off_is_worth_a_word() -> None:
    assert "may crash" in warned(length.prefill_in_one_piece, engine={"chunkedPrefill": False})
    assert said(length.prefill_in_one_piece, engine={"chunkedPrefill": False}, model={"runner": "pooling"}) == ()
    assert said(length.prefill_in_one_piece, engine={"chunkedPrefill": True}) == ()


def test_a_queue_below_the_slots_leaves_slots_empty() -> None:
    assert "raise it above 256" in warned(length.queue_below_sequences, engine={"maxQueuedRequests": 100, "maxSequences": 256})
    assert "raise it above 512" in warned(length.queue_below_sequences, engine={"maxQueuedRequests": 300, "maxSequences": 256}, parallelism={"data": 2})
    assert said(length.queue_below_sequences, engine={"maxQueuedRequests": 512, "maxSequences": 256}) == ()
