"""Flags that extraArgs may not hold, in every spelling that vLLM takes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.vllm.owned import OWNED, REMOVED, flag_name, owner_of, refusals


@pytest.mark.parametrize(
    ("item", "owner"),
    [
        ("--port", "the operator"),
        ("--port=8001", "the operator"),
        ("--po", "the operator"),
        ("-tp", "spec.parallelism.tensor"),
        ("-tp=4", "spec.parallelism.tensor"),
        ("-tp4", "spec.parallelism.tensor"),
        ("-t", "spec.parallelism.tensor"),
        ("--tensor-par=2", "spec.parallelism.tensor"),
        ("--tensor_parallel_size", "spec.parallelism.tensor"),
        ("--tensor_par=2", "spec.parallelism.tensor"),
        ("-pp", "spec.parallelism.pipeline"),
        ("-q", "spec.quantization.method"),
        ("-qawq", "spec.quantization.method"),
        ("-q=awq", "spec.quantization.method"),
        ("--quant", "spec.quantization.method"),
        ("--max-model-len=-1", "spec.model.maxLength"),
        ("--gpu-mem", "spec.engine.memoryUtilization"),
        ("--device-memory-utilization", "spec.engine.memoryUtilization"),
        ("--shutdown-timeout", "spec.rollout.drainTimeout"),
        ("--served-model-name", "spec.model.servedNames"),
        ("--model", "spec.model.source"),
        ("--config", "the operator"),
        ("--api-key", "the operator"),
        ("--ssl-keyfile", "the operator"),
        ("-dp", "the operator"),
        ("-dpl2", "the operator"),
        ("--headless", "the operator"),
    ],
)
def test_an_owned_flag_is_refused_with_its_owner(item: str, owner: str) -> None:
    (refusal,) = refusals([item])
    assert refusal.rule.endswith(f"belongs to {owner}")
    assert refusal.remedy


@pytest.mark.parametrize(
    "item",
    [
        *("--quantization-config", "--kv-cache-dtype-skip-layers", "--model-impl=transformers", "--model-loader-extra-config.x", "--config-format"),
        *("--kv-transfer-config.kv_role", "--compilation-config", "-cc", "-ac", "-sc", "-ep", "-dcp", "-O3", "-O", "--max-num-active-seqs"),
        *("--enable-auto-tool-choice", "--tool-call-parser=hermes", "--no-enable-prefix-caching", "--max-num-queued-reqs", "--tokenizer"),
        *("--trust-remote-code", "--chat-template", "--chat-template={{ a b }}", "--enforce-eager", "--hf-overrides", "--distributed-executor-backend"),
        *("--load-format", "--seed", "--data-x", "--enable-lora", "--max-loras", "--root-path", "--middleware", "--allowed-origins"),
    ],
)
def test_a_flag_of_vllm_that_nobody_owns_is_free(item: str) -> None:
    assert list(refusals([item])) == []


def test_values_are_not_taken_for_flags() -> None:
    assert list(refusals(["--seed", "-1", "--hf-overrides", '{"port": 1}', "--allowed-origins", "port"])) == []


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("--max_model_len=4", "--max-model-len"),
        ("--kv-transfer-config.kv_role", "--kv-transfer-config"),
        ("--x.y+=z_z", "--x"),
        ("--middleware+", "--middleware"),
        ("-tp=4", "-tp"),
        ("-1", None),
        ("-.5", None),
        ("-", None),
        ("value", None),
    ],
)
def test_the_name_of_a_flag_as_vllm_reads_it(item: str, name: str | None) -> None:
    assert flag_name(item) == name


def test_the_place_in_the_list_is_told() -> None:
    assert [(refusal.index, refusal.flag) for refusal in refusals(["--seed", "1", "--port", "8001", "-tp=2"])] == [(2, "--port"), (4, "-tp")]


def test_a_flag_and_its_value_in_one_item_are_refused() -> None:
    (refusal,) = refusals(["--seed 1"])
    assert refusal.remedy == "write two items, or one with '=' between them"


@pytest.mark.parametrize("item", ["--api-key=sk-secret", "--api-k sk-secret"])
def test_a_value_that_may_be_a_key_is_not_repeated(item: str) -> None:
    (refusal,) = refusals([item])
    assert "sk-secret" not in f"{refusal.flag} {refusal.rule} {refusal.remedy}"


def test_a_value_before_the_first_flag_would_be_a_second_model() -> None:
    (refusal,) = refusals(["other/model"])
    assert "second model" in refusal.rule


@pytest.mark.parametrize("flag", sorted(REMOVED))
def test_a_flag_that_vllm_no_longer_has_is_refused_with_what_took_its_place(flag: str) -> None:
    (refusal,) = refusals([f"{flag}=x"])
    assert refusal.rule == "no longer exists in vLLM"
    assert refusal.remedy == REMOVED[flag]


def test_every_flag_has_one_owner() -> None:
    assert [flag for flag, count in Counter(flag for owned in OWNED for flag in owned.flags).items() if count > 1] == []


@given(st.sampled_from([flag for owned in OWNED for flag in owned.flags if flag.startswith("--")]), st.data())
def test_no_spelling_of_an_owned_flag_gets_through(flag: str, data: st.DataObject) -> None:
    length = data.draw(st.integers(min_value=3, max_value=len(flag)))
    spelled = flag[:2] + flag[2:length].translate(str.maketrans("-", data.draw(st.sampled_from("-_"))))
    suffix = data.draw(st.sampled_from(["", "=1", ".key", ".key=1", "+=1"]))
    name = flag_name(spelled + suffix)
    assert name is not None
    assert owner_of(name) is not None
