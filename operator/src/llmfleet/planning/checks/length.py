"""Lengths and batches: what the model can, what the scheduler needs."""

from collections.abc import Iterator
from typing import Final

from llmfleet.planning import engine
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

ALLOW_LONG: Final = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
"""Variable that turns vLLM's refusal of a longer context into a warning (config/model.py, _get_and_verify_max_len)."""


@check("model.maxLength", "model.configOverrides")
def longer_than_the_model(subject: Subject) -> Iterator[Violation]:
    """A context longer than the model was made for is refused by vLLM (config/model.py, _get_and_verify_max_len).

    The model's own length is max_position_embeddings after rotary scaling; configOverrides may change both, so with them nothing is said.
    """
    asked, architecture = subject.spec.model.max_length, subject.architecture
    if asked is None or asked == "auto" or architecture is None or architecture.max_length is None or subject.spec.model.config_overrides:
        return
    wanted, own = engine.tokens(asked), architecture.max_length
    if wanted <= own:
        return
    rule = f"is longer than the {own} tokens that the model was made for"
    if subject.environment.get(ALLOW_LONG, "").lower() in ("1", "true"):
        yield Violation("spec.model.maxLength", str(asked), rule, f"{ALLOW_LONG} allows it: answers beyond may be noise", warning=True)
    else:
        remedy = f"lower it to {own}, scale its positions by spec.model.configOverrides (rope_parameters), or set {ALLOW_LONG}=1 in spec.engine.env"
        yield Violation("spec.model.maxLength", str(asked), rule, remedy)


@check("engine.maxBatchedTokens", "engine.maxSequences")
def batch_below_sequences(subject: Subject) -> Iterator[Violation]:
    """Each running request takes at least one token of a step (config/scheduler.py, verify_max_model_len)."""
    tokens, sequences = subject.spec.engine.max_batched_tokens, subject.spec.engine.max_sequences
    if tokens is not None and sequences is not None and tokens < sequences:
        rule = f"is less than maxSequences ({sequences}), and each running request takes a token of a step"
        yield Violation("spec.engine.maxBatchedTokens", str(tokens), rule, f"raise it to {sequences} or more, or lower maxSequences to {tokens}")


@check("engine.maxBatchedTokens", "engine.chunkedPrefill", "model.maxLength")
def batch_below_length(subject: Subject) -> Iterator[Violation]:
    """Without chunked prefill a prompt is taken in one step, so a step must hold the longest (config/scheduler.py, verify_max_model_len)."""
    tokens = subject.spec.engine.max_batched_tokens
    length = _length(subject)
    if subject.spec.engine.chunked_prefill is False and tokens is not None and length is not None and tokens < length:
        rule = f"is less than the longest context ({length}), which must fit one step where chunkedPrefill is false"
        yield Violation(
            "spec.engine.maxBatchedTokens", str(tokens), rule, f"raise it to {length}, lower spec.model.maxLength to {tokens}, or turn chunkedPrefill on"
        )


@check("engine.chunkedPrefill")
def prefill_in_one_piece(subject: Subject) -> Iterator[Violation]:
    """Turning chunked prefill off is not officially supported for generating models (engine/arg_utils.py)."""
    if subject.spec.engine.chunked_prefill is False and subject.spec.model.runner != "pooling":
        rule = "is off, which vLLM does not officially support for models that generate: the engine may crash"
        yield Violation("spec.engine.chunkedPrefill", "", rule, "remove it unless you know why", warning=True)


@check("engine.maxQueuedRequests", "engine.maxSequences")
def queue_below_sequences(subject: Subject) -> Iterator[Violation]:
    """The limit counts running requests too (v1/engine/async_llm.py), so below maxSequences slots stay empty."""
    queued, sequences = subject.spec.engine.max_queued_requests, subject.spec.engine.max_sequences
    if queued is not None and sequences is not None and queued < sequences * subject.spec.parallelism.data:
        together = sequences * subject.spec.parallelism.data
        rule = f"counts running requests too and is less than the {together} that can run: further ones get 503 while slots are free"
        yield Violation("spec.engine.maxQueuedRequests", str(queued), rule, f"raise it above {together}", warning=True)


def _length(subject: Subject) -> int | None:
    """The longest context; None where neither service nor model says it."""
    asked = subject.spec.model.max_length
    if asked is not None and asked != "auto":
        return engine.tokens(asked)
    return subject.architecture.max_length if subject.architecture else None
