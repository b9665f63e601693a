"""Flags that extraArgs may not hold, in every spelling that vLLM takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.vllm import versions
from llmfleet.vllm.arguments import TYPED
from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.command_line import read
from llmfleet.vllm.owned import OWNED, OWNED_KEYS, owner_of

NEWEST = catalogue(versions.DEFAULT)


def owners(*items: str) -> list[str]:
    return [owner.name for occurrence in read(items, NEWEST).occurrences if (owner := owner_of(occurrence))]


@pytest.mark.parametrize(
    ("items", "owner"),
    [
        (["--port", "8001"], "the operator"),
        (["--port=8001"], "the operator"),
        (["--port"], "the operator"),
        (["-tp", "4"], "spec.parallelism.tensor"),
        (["-tp=4"], "spec.parallelism.tensor"),
        (["-tp4"], "spec.parallelism.tensor"),
        (["-t", "4"], "spec.parallelism.tensor"),
        (["--tensor-par=2"], "spec.parallelism.tensor"),
        (["--tensor_parallel_size", "2"], "spec.parallelism.tensor"),
        (["--tensor_par=2"], "spec.parallelism.tensor"),
        (["-pp", "2"], "spec.parallelism.pipeline"),
        (["-q", "awq"], "spec.quantization.method"),
        (["-qawq"], "spec.quantization.method"),
        (["-q=awq"], "spec.quantization.method"),
        (["--max-model-len=-1"], "spec.model.maxLength"),
        (["--gpu-mem", "0.5"], "spec.engine.memoryUtilization"),
        (["--device-memory-utilization", "0.5"], "spec.engine.memoryUtilization"),
        (["--kv_cache_memory_bytes=1G"], "spec.engine.kvCacheMemory"),
        (["--shutdown-timeout", "5"], "spec.rollout.drainTimeout"),
        (["--served-model-name", "a", "b"], "spec.model.servedNames"),
        (["--model", "a/b"], "spec.model.source"),
        (["--hf-token", "x"], "spec.model.credentials"),
        (["--api-key", "a"], "spec.access.apiKeys"),
        (["--lora-modules", "a=b"], "spec.adapters.items"),
        (["--no-enable-prefix-caching"], "spec.engine.prefixCaching"),
        (["-O3"], "spec.engine.optimizationLevel"),
        (["--speculative-config.method", "ngram"], "spec.engine.speculative"),
        (["-sc", "{}"], "spec.engine.speculative"),
        (["--spec-method", "ngram"], "spec.engine.speculative.method"),
        (["--attention-config.backend=FLASHINFER"], "spec.engine.attentionBackend"),
        (["--config", "x.yaml"], "the operator"),
        (["--ssl-keyfile", "x"], "the operator"),
        (["--no-enable-ssl-refresh"], "the operator"),
        (["-dp", "2"], "spec.parallelism.data"),
        (["-dpl=2"], "the operator"),
        (["-asc", "4"], "the operator"),
        (["--headless"], "the operator"),
        (["--enable-sleep-mode"], "the operator"),
        (["-h"], "the operator"),
        (["--help=all"], "the operator"),
    ],
)
def test_an_owned_flag_has_its_owner_in_every_spelling(items: list[str], owner: str) -> None:
    assert owners(*items) == [owner]


@pytest.mark.parametrize(
    "items",
    [
        ["--kv-cache-dtype-skip-layers", "sliding_window"],
        ["--model-impl=transformers"],
        ["--model-loader-extra-config.x", "1"],
        ["--config-format", "hf"],
        ["--kv-transfer-config.kv_role", "kv_both"],
        ["-cc.mode=3"],
        ["--attention-config.use_trtllm_attention", "true"],
        ["--max-num-active-seqs", "4"],
        ["--root-path", "/llm"],
        ["--middleware", "a.b"],
        ["--allowed-origins", '["*"]'],
        ["--enable-log-requests"],
        ["--disable-uvicorn-access-log"],
        ["--max-cpu-loras", "4"],
    ],
)
def test_a_flag_of_vllm_that_nobody_owns_is_free(items: list[str]) -> None:
    assert owners(*items) == []


def test_values_are_not_taken_for_flags() -> None:
    assert owners("--kv-cache-dtype-skip-layers", "port", "-1", "--additional-config", '{"port": 1}') == []


def test_every_owned_flag_is_one_of_vllm() -> None:
    assert {*OWNED} - NEWEST.flags.keys() == set()
    for flag, key in OWNED_KEYS:
        assert key in NEWEST.objects[NEWEST.flags[flag].object or ""].fields


def test_every_typed_field_owns_its_flag() -> None:
    operators = {typed.flag for typed in TYPED if not OWNED[typed.flag].name.startswith("spec.")}
    assert operators == {"--api-server-count"}  # a field says it too, but nobody sets it


def test_every_owner_tells_what_to_do_instead() -> None:
    assert all(owner.remedy for owner in OWNED.values())


@given(st.sampled_from(sorted(OWNED)), st.data())
def test_no_spelling_of_an_owned_flag_gets_through(name: str, data: st.DataObject) -> None:
    """What is not read as the flag is refused: an ambiguous beginning, or a value where none may be."""
    spelling = data.draw(st.sampled_from(NEWEST.flags[name].spellings))
    length = data.draw(st.integers(min_value=min(3, len(spelling)), max_value=len(spelling)))
    spelled = spelling[:2] + spelling[2:length].translate(str.maketrans("-", data.draw(st.sampled_from("-_"))))
    reading = read([spelled + data.draw(st.sampled_from(["", "=1", ".key=1", ".key+=1"]))], NEWEST)
    assert reading.problems or any(owner_of(occurrence) for occurrence in reading.occurrences)
