"""Speculative decoding: the method against its draft model, the model and the device.

Source: vLLM 0.32.0, config/speculative.py (__post_init__, _verify_args, _verify_and_get_draft_tp), engine/arg_utils.py (create_engine_config).
"""

from collections.abc import Iterator
from typing import Final

from llmfleet.api.accelerator import Vendor
from llmfleet.planning import engine
from llmfleet.planning.architecture import text_config
from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm.arguments import TYPED
from llmfleet.vllm.json_values import faults

FIELD: Final = "spec.engine.speculative"

LOOKUPS: Final = frozenset({"ngram", "ngram_gpu"})
"""Methods that look tokens up in the prompt."""

WITHOUT_MODEL: Final = LOOKUPS | {"suffix", "extract_hidden_states"}
"""Methods that guess without a model; vLLM passes over one that is given."""

WITH_MODEL: Final = frozenset({"eagle", "eagle3", "medusa", "mlp_speculator", "draft_model", "dflash"})
"""Methods that guess with a model or a head of its own."""

PREDICTED: Final = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers", "n_predict", "mtp_num_layers")
"""Fields of a config.json that count the layers that predict further tokens (config/speculative.py, hf_config_override)."""

UNPREDICTED: Final = frozenset(
    {
        "llama",
        "qwen2",
        "qwen2_moe",
        "qwen3",
        "qwen3_moe",
        "mixtral",
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "phi",
        "phi3",
        "gpt_oss",
        "gpt2",
        "opt",
        "falcon",
    }
)
"""Families that have no such layers in any of their models; vLLM refuses them ("Unsupported speculative method")."""

KEYS: Final = frozenset(typed.key for typed in TYPED if typed.flag == "--speculative-config" and typed.key is not None)
"""Keys of vLLM's configuration that fields of their own say."""


@check("engine.speculative.method", "engine.speculative.model")
def draft_model(subject: Subject) -> Iterator[Violation]:
    """Some methods guess with a model of their own, some without any, and mtp with the model's own layers."""
    given = subject.spec.engine.speculative
    if given is None:
        return
    if given.method in WITH_MODEL and given.model is None:
        rule = f"is missing: the method {given.method} guesses with a model of its own"
        yield Violation(f"{FIELD}.model", "", rule, "set it to the draft model, or choose ngram, which needs none")
    elif given.method in WITHOUT_MODEL and given.model is not None:
        yield Violation(f"{FIELD}.model", given.model, f"would be ignored: the method {given.method} guesses without a model", "remove it")
    elif given.method == "custom_class":
        rule = "runs a class that engine and image bring, which no field here names"
        yield Violation(f"{FIELD}.method", given.method, rule, "choose another method")


@check("engine.speculative.method", "engine.speculative.lookupMax", "engine.speculative.lookupMin")
def lookup(subject: Subject) -> Iterator[Violation]:
    """The lengths of n-grams are for ngram, the shortest not above the longest."""
    given = subject.spec.engine.speculative
    if given is None:
        return
    for field, length in (("lookupMax", given.lookup_max), ("lookupMin", given.lookup_min)):
        if length is not None and given.method not in LOOKUPS:
            yield Violation(f"{FIELD}.{field}", str(length), f"would be ignored: it is for the method ngram, and the method is {given.method}", "remove it")
            return
    if given.lookup_max is not None and given.lookup_min is not None and given.lookup_min > given.lookup_max:
        rule = f"is above lookupMax ({given.lookup_max})"
        yield Violation(f"{FIELD}.lookupMin", str(given.lookup_min), rule, f"lower it to {given.lookup_max} or less")


@check("engine.speculative.tensor", "engine.speculative.method", "parallelism.tensor")
def draft_tensor(subject: Subject) -> Iterator[Violation]:
    """A draft model runs on one rank or on all (config/speculative.py, _verify_and_get_draft_tp)."""
    given, tensor = subject.spec.engine.speculative, subject.spec.parallelism.tensor
    if given is None or given.tensor is None:
        return
    if given.method in WITHOUT_MODEL:
        yield Violation(f"{FIELD}.tensor", str(given.tensor), f"would be ignored: the method {given.method} guesses without a model", "remove it")
    elif given.tensor not in (1, tensor):
        yield Violation(f"{FIELD}.tensor", str(given.tensor), f"is neither 1 nor the model's tensor size ({tensor})", "set it to one of them, or remove it")


@check("engine.speculative.method", "engine.speculative.tokens", "model.source")
def predicting_layers(subject: Subject) -> Iterator[Violation]:
    """The method mtp guesses with layers that the model itself brings, a whole number of times (config/speculative.py, n_predict)."""
    given = subject.spec.engine.speculative
    if given is None or given.model is not None or subject.facts is None or not (given.method == "mtp" or given.method.endswith("_mtp")):
        return
    config = text_config(subject.facts.config)
    counts = [count for name in PREDICTED if isinstance(count := config.get(name, subject.facts.config.get(name)), int) and count > 0]
    if not counts:
        rule = "guesses with layers that the model brings, and its config.json names none"
        certain = str(subject.facts.config.get("model_type")) in UNPREDICTED
        yield Violation(f"{FIELD}.method", given.method, rule, "choose another method, or a model with such layers", warning=not certain)
    elif given.tokens > counts[0] and given.tokens % counts[0]:
        rule = f"is no multiple of the {counts[0]} layers that predict tokens"
        yield Violation(f"{FIELD}.tokens", str(given.tokens), rule, f"use {counts[0]}, or a multiple of it")


@check("engine.speculative.tokens", "engine.maxBatchedTokens", "engine.maxSequences", "adapters.items")
def room_in_a_step(subject: Subject) -> Iterator[Violation]:
    """A step must hold all guesses of all running requests, where adapters are served (engine/arg_utils.py, create_engine_config)."""
    given, adapters = subject.spec.engine.speculative, subject.spec.adapters
    batch = _batch(subject)
    if given is None or batch is None or not adapters.enabled:
        return
    tokens, sequences = batch
    wanted = sequences * (given.tokens + 1)
    if tokens < wanted:
        rule = f"makes steps of up to {sequences} x ({given.tokens} + 1) = {wanted} tokens with adapters, and a step holds {tokens}"
        remedy = f"raise spec.engine.maxBatchedTokens to {wanted}, or lower spec.engine.maxSequences to {max(1, tokens // (given.tokens + 1))}"
        yield Violation(f"{FIELD}.tokens", str(given.tokens), rule, remedy)


@check("engine.speculative.options")
def options(subject: Subject) -> Iterator[Violation]:
    """Further settings are vLLM's own, and none of them is said by a field already."""
    given, known = subject.spec.engine.speculative, subject.catalogue
    if given is None or not given.options:
        return
    twice = sorted(KEYS & given.options.keys())
    for key in twice:
        field = next(typed.field for typed in TYPED if typed.flag == "--speculative-config" and typed.key == key)
        yield Violation(f"{FIELD}.options.{key}", "", f"belongs to spec.{field}", f"set spec.{field}")
    if known is not None and (name := known.flags["--speculative-config"].late_object):
        rest = {key: value for key, value in given.options.items() if key not in KEYS}
        for fault in faults(rest, name, known):
            if not (fault.pluggable and subject.own_image):
                yield Violation(f"{FIELD}.options.{fault.path}".rstrip("."), "", fault.rule, fault.remedy)


@check("engine.speculative.options", "adapters.items", "parallelism.pipeline")
def adaptive_verification(subject: Subject) -> Iterator[Violation]:
    """Verification that adapts itself knows neither adapters nor stages (config/vllm.py, _validate_adaptive_verification)."""
    given, field = subject.spec.engine.speculative, f"{FIELD}.options.enable_adaptive_verification"
    if given is None or given.options.get("enable_adaptive_verification") is not True:
        return
    if subject.spec.adapters.enabled:
        yield Violation(field, "", "does not go with adapters", "remove it, or spec.adapters")
    if subject.spec.parallelism.pipeline > 1:
        yield Violation(field, "", "does not go with pipeline above 1", "remove it, or set spec.parallelism.pipeline to 1")


@check("engine.speculative.method", "model.runner", "model.convert")
def pooling_model(subject: Subject) -> Iterator[Violation]:
    """A pooling model generates no tokens, so there is nothing to guess."""
    given, model = subject.spec.engine.speculative, subject.spec.model
    if given is not None and (model.runner == "pooling" or model.convert in ("embed", "classify")):
        yield Violation(FIELD, "", "guesses tokens, and a pooling model generates none", "remove it", warning=True)


@check("engine.speculative.method", "accelerator.profile")
def lookup_on_the_gpu(subject: Subject) -> Iterator[Violation]:
    """The method ngram_gpu looks tokens up on an accelerator."""
    given = subject.spec.engine.speculative
    if given is not None and given.method == "ngram_gpu" and subject.vendor is Vendor.CPU:
        yield Violation(f"{FIELD}.method", "ngram_gpu", "looks tokens up on an accelerator, and the profile is a CPU", "choose ngram", warning=True)


def _batch(subject: Subject) -> tuple[int, int] | None:
    """Tokens and requests of one step; None where neither service nor model and device say them."""
    given = subject.spec.engine
    if given.max_batched_tokens is not None and given.max_sequences is not None:
        return given.max_batched_tokens, given.max_sequences
    architecture, profile = subject.architecture, subject.profile
    if architecture is None or profile is None or profile.memory is None:
        return None
    settled = engine.engine(subject.spec, architecture, profile)
    return settled.max_batched_tokens, settled.max_sequences
