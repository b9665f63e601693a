"""Arguments as vLLM reads them. Every case here was tried on the parser of vLLM 0.32.0, unless the test says that vLLM ignores something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.command_line import read
from llmfleet.vllm.reading import Reading
from llmfleet.vllm.tokens import Problem

NEWEST = catalogue("0.32.0")


def reading(*items: str) -> Reading:
    return read(items, NEWEST)


def only(*items: str) -> Problem:
    (problem,) = reading(*items).problems
    return problem


@pytest.mark.parametrize(
    ("items", "flag", "values"),
    [
        # Spellings.
        (["--max-num-seqs", "4"], "--max-num-seqs", (4,)),
        (["--max-num-seqs=4"], "--max-num-seqs", (4,)),
        (["--max_num_seqs=4"], "--max-num-seqs", (4,)),
        (["--max-num-se", "4"], "--max-num-seqs", (4,)),
        (["--device-memory-utilization", ".5"], "--gpu-memory-utilization", (0.5,)),
        (["-tp", "4"], "--tensor-parallel-size", (4,)),
        (["-tp=4"], "--tensor-parallel-size", (4,)),
        (["-t", "4"], "--tensor-parallel-size", (4,)),
        (["-n2"], "--nnodes", (2,)),
        (["-qawq"], "--quantization", ("awq",)),
        (["-O3"], "--optimization-level", ("3",)),
        (["-O=3"], "--optimization-level", ("3",)),
        (["-O", "3"], "--optimization-level", ("3",)),
        # Values that look like flags, and values with signs and blanks.
        (["--additional-config", "-"], "--additional-config", ("-",)),
        (["--max-logprobs", "-1"], "--max-logprobs", (-1,)),
        (["--seed", " 5 "], "--seed", (5,)),
        (["--seed", "1_000"], "--seed", (1000,)),
        (["--chat-template=--x"], "--chat-template", ("--x",)),
        (["--chat-template", "--a b"], "--chat-template", ("--a b",)),
        (["--chat-template", "{{ a }}"], "--chat-template", ("{{ a }}",)),
        # How many values.
        (["--served-model-name", "a", "b"], "--served-model-name", ("a", "b")),
        (["--served-model-name=a"], "--served-model-name", ("a",)),
        (["--hf-token"], "--hf-token", ()),
        (["--hf-token", "x"], "--hf-token", ("x",)),
        # Human-readable integers.
        (["--max-model-len", "16k"], "--max-model-len", (16000,)),
        (["--max-model-len", "16K"], "--max-model-len", (16384,)),
        (["--max-model-len", "25.6k"], "--max-model-len", (25600,)),
        (["--max-model-len", "auto"], "--max-model-len", (-1,)),
        (["--kv-cache-memory-bytes=2G"], "--kv-cache-memory-bytes", (2 * 1024**3,)),
        # Nothing.
        (["--tokenizer-revision", "None"], "--tokenizer-revision", (None,)),
        (["--kv-cache-memory-bytes="], "--kv-cache-memory-bytes", (None,)),
        # JSON.
        (["--hf-overrides", '{"a": 1}'], "--hf-overrides", ({"a": 1},)),
        (["--additional-config", "text"], "--additional-config", ("text",)),
        (["-cc", '{"mode": 3}'], "--compilation-config", ({"mode": 3},)),
        (["--kv-events-config", '{"hwm": 16k}'], "--kv-events-config", ({"hwm": 16000},)),
        # Lowered names.
        (["--moe-backend", "DEEP-GEMM"], "--moe-backend", ("deep_gemm",)),
        # Adapters.
        (["--lora-modules", "a=b", '{"name": "c", "path": "d"}'], "--lora-modules", ("a=b", '{"name": "c", "path": "d"}')),
    ],
)
def test_what_vllm_takes_is_read_as_vllm_reads_it(items: list[str], flag: str, values: tuple[object, ...]) -> None:
    found = reading(*items)
    assert found.problems == ()
    assert [(occurrence.flag.name, occurrence.values) for occurrence in found.occurrences] == [(flag, values)]


@pytest.mark.parametrize(
    ("items", "value"),
    [
        (["--compilation-config.mode", "3"], {"mode": 3}),
        (["--compilation-config.mode=3", "--compilation_config.pass_config.eliminate_noops", "true"], {"mode": 3, "pass_config": {"eliminate_noops": True}}),
        (["--compilation-config.cache_dir=/a.b"], {"cache_dir": "/a.b"}),
        (["--compilation-config.custom_ops+", "+rms_norm,none"], {"custom_ops": ["+rms_norm", "none"]}),
        (["--compilation-config.custom_ops+=none", "--compilation-config.custom_ops+=+rms_norm"], {"custom_ops": ["none", "+rms_norm"]}),
        (["-cc.max_cudagraph_capture_size", "1k"], {"max_cudagraph_capture_size": 1000}),
        (["--compil.mode", "3"], {"mode": 3}),
    ],
)
def test_dotted_keys_make_one_json_value(items: list[str], value: object) -> None:
    found = reading(*items)
    assert found.problems == ()
    assert [(occurrence.index, occurrence.values) for occurrence in found.occurrences] == [(0, (value,))]


def test_both_forms_of_a_pair_are_told_apart() -> None:
    assert reading("--enable-lora").is_on("--enable-lora")
    assert not reading("--no-enable-lora").is_on("--enable-lora")
    assert [occurrence.negated for occurrence in reading("--no-enable-lor").of("--enable-lora")] == [True]


def test_the_place_and_the_spelling_are_told() -> None:
    found = reading("--seed", "1", "--max_num_seqs=8", "-tp", "2")
    assert [(occurrence.index, occurrence.spelled) for occurrence in found.occurrences] == [(0, "--seed"), (2, "--max_num_seqs"), (3, "-tp")]


def test_an_unknown_flag_is_told_with_the_nearest_three() -> None:
    problem = only("--max-num-seq-s", "4")
    assert (problem.index, problem.flag, problem.rule) == (0, "--max-num-seq-s", "is no flag of vLLM 0.32.0")
    assert problem.remedy.startswith("did you mean --max-num-seqs")
    assert problem.remedy.count("--") == 3


def test_values_of_an_unknown_flag_are_not_told_too() -> None:
    assert [problem.index for problem in reading("--nonsense", "a", "b", "--seed", "x").problems] == [0, 3]


def test_the_beginning_of_several_flags_is_told_with_them() -> None:
    problem = only("--max-num-queued", "4")
    assert problem.remedy == "write one of --max-num-queued-reqs, --max-num-queued-tokens"


def test_a_flag_that_is_gone_is_told_before_flags_that_it_begins() -> None:
    assert only("--device", "cuda").remedy == "choose it by spec.accelerator.profile"


def test_a_flag_of_a_newer_version_is_told_with_that_version() -> None:
    (problem,) = read(["--grpc-port", "9000"], catalogue("0.31.0")).problems
    assert problem.rule == "exists only from vLLM 0.32.0 on, and this service runs 0.31.0"


def test_a_value_attached_to_a_flag_of_several_letters_is_told_and_the_flag_known_all_the_same() -> None:
    found = reading("-tp4")
    assert [problem.remedy for problem in found.problems] == ["write two items: -tp and its value"]
    assert [occurrence.flag.name for occurrence in found.occurrences] == ["--tensor-parallel-size"]


@pytest.mark.parametrize("item", ["--enable-lora=true", "--headless=1", "-ep=", "--no-enable-lora=false"])
def test_a_switch_takes_no_value(item: str) -> None:
    assert only(item).rule == "takes no value"


@pytest.mark.parametrize("items", [["--seed"], ["--seed", "--enable-lora"], ["--served-model-name"], ["--seed", "-x"], ["--compilation-config.mode"]])
def test_a_flag_without_its_value_is_told(items: list[str]) -> None:
    assert reading(*items).problems[0].rule == "is given no value"


@pytest.mark.parametrize(
    ("items", "index"), [(["other/model"], 0), (["--enable-lora", "other/model"], 1), (["--seed", "1", "x", "y"], 2), (["--seed=1", "2"], 1)]
)
def test_a_value_that_belongs_to_no_flag_would_be_a_second_model(items: list[str], index: int) -> None:
    problem = only(*items)
    assert problem.index == index
    assert "second model" in problem.rule


def test_the_end_of_the_flags_is_told() -> None:
    assert "second model" in only("--seed", "1", "--", "x", "--nonsense").rule


def test_a_flag_and_its_value_in_one_item_are_told() -> None:
    problem = only("--seed 1")
    assert (problem.flag, problem.remedy) == ("--seed", "write two items, or one with '=' between them")


def test_a_negative_decimal_of_its_own_is_taken_for_a_dotted_key_by_vllm() -> None:
    assert only("--dp-supervisor-probe-timeout-s", "-0.5", "--enable-lora").remedy == "join it to its flag with '='"
    assert reading("--dp-supervisor-probe-timeout-s=-0.5").problems == ()


def test_two_dashes_as_a_value_are_dropped_by_vllm() -> None:
    assert only("--chat-template=--").rule == "is given -- as its value, which vLLM drops"


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        (["--seed", "x"], "takes an integer"),
        (["--seed", "1.5"], "takes an integer"),
        (["--seed", "1k"], "takes an integer"),
        (["--watermark", "x"], "takes a number"),
        (["--max-num-batched-tokens", "1.5K"], "takes an integer, or one such as 16k (16000) or 16K (16384)"),
        (["--max-model-len", "all"], 'takes an integer, or one such as 16k (16000) or 16K (16384), or "auto"'),
        (["--override-generation-config", "{'a': 1}"], 'takes JSON: double quotes round texts, no comma at the end, as in {"key": "value"}'),
        (["--lora-modules", "a"], "takes name=path, or JSON"),
        (["--lora-modules", '{"name": "a"}'], "takes an object with name and path"),
    ],
)
def test_a_wrong_type_is_told_with_what_is_allowed(items: list[str], rule: str) -> None:
    assert only(*items).rule == rule


def test_a_wrong_choice_is_told_with_the_nearest() -> None:
    assert only("--kv-cache-dtype", "fp8_e4m4").remedy.startswith("did you mean fp8_e4m3")
    assert only("--max-lora-rank", "7").remedy == "choose one of 1, 128, 16, 256, 32, 320, 512, 64, 8"


@pytest.mark.parametrize(
    ("item", "rule"),
    [("--max-num-seqs=0", "must be at least 1"), ("--gpu-memory-utilization=1.5", "must be at most 1"), ("--watermark=1", "must be less than 1")],
)
def test_a_number_out_of_the_engines_bounds_is_told(item: str, rule: str) -> None:
    assert only(item).rule == rule


@pytest.mark.parametrize(
    ("items", "near"),
    [
        (["--load-format", "safetensor"], "safetensors"),
        (["--quantization", "fp8_per_tensr"], "fp8_per_tensor"),
        (["--attention-backend", "FLASHINFR"], "FLASHINFER"),
        (["--tool-call-parser", "herms"], "hermes"),
        (["--reasoning-parser", "deepseek-r1"], "deepseek_r1"),
        (["--attention-config.backend", "FLASH_ATN"], "FLASH_ATTN"),
    ],
)
def test_a_name_that_the_engine_would_not_find_is_told_before_it_starts(items: list[str], near: str) -> None:
    problem = only(*items)
    assert problem.pluggable
    assert near in problem.remedy


@pytest.mark.parametrize("items", [["--attention-backend", "flashinfer"], ["--load-format", "SafeTensors"], ["--attention-backend", "auto"], ["-O2"]])
def test_names_are_found_as_the_engine_finds_them(items: list[str]) -> None:
    assert reading(*items).problems == ()


def test_a_parser_from_a_plugin_file_may_have_any_name() -> None:
    assert reading("--tool-call-parser", "mine", "--tool-parser-plugin", "/x.py").problems == ()
    assert reading("--reasoning-parser", "mine", "--reasoning-parser-plugin", "/x.py").problems == ()


@pytest.mark.parametrize(
    ("items", "flag", "rule"),
    [
        (["--kv-transfer-config", "[]"], "--kv-transfer-config", "takes an object"),
        (["--kv-transfer-config", "null"], "--kv-transfer-config", "takes an object"),
        (["--kv-transfer-config.kv_rolle", "kv_both"], "--kv-transfer-config.kv_rolle", "is no field of vLLM 0.32.0's KVTransferConfig"),
        (["--kv-transfer-config.kv_role", "both"], "--kv-transfer-config.kv_role", "is none of its values"),
        (["--kv-transfer-config.kv_port", "x"], "--kv-transfer-config.kv_port", "takes an integer"),
        (["--kv-transfer-config.kv_connector", "NixlConnector"], "--kv-transfer-config.kv_connector", "wants kv_role beside it"),
        (["-cc.pass_config.fuse_all", "true"], "--compilation-config.pass_config.fuse_all", "is no field of vLLM 0.32.0's PassConfig"),
        (["-cc.cudagraph_mode", "FULLL"], "--compilation-config.cudagraph_mode", "is none of its values"),
        (["-cc.compile_sizes", "[1.5]"], "--compilation-config.compile_sizes.0", "takes an integer or a text"),
        (["--profiler-config.active_iterations", "0"], "--profiler-config.active_iterations", "must be at least 1"),
        (["--speculative-config", '{"method": "ngrm"}'], "--speculative-config.method", "is none of its values"),
        (["--speculative-config", '{"tokens": 3}'], "--speculative-config.tokens", "is no field of vLLM 0.32.0's SpeculativeConfig"),
        (["--speculative-config", '{"target_model_config": {}}'], "--speculative-config.target_model_config", "is no field of vLLM 0.32.0's SpeculativeConfig"),
    ],
)
def test_what_is_wrong_inside_json_is_told_with_its_path(items: list[str], flag: str, rule: str) -> None:
    problem = only(*items)
    assert (problem.flag, problem.rule) == (flag, rule)


@pytest.mark.parametrize(
    "item",
    [
        '{"hwm": "5", "buffer_steps": 5.0, "enable_kv_cache_events": "yes"}',
        '{"enable_kv_cache_events": 1, "replay_endpoint": null}',
        "{}",
    ],
)
def test_json_is_read_as_generously_as_pydantic_reads_it(item: str) -> None:
    assert reading("--kv-events-config", item).problems == ()


@pytest.mark.parametrize(
    "items",
    [
        ["--seed", "1", "--seed", "2"],
        ["--enable-lora", "--no-enable-lora"],
        ["-tp", "1", "--tensor-parallel-size", "2"],
        ["-cc", '{"mode": 3}', "-cc.cache_dir", "x"],
        ["-cc.mode", "3", "--compilation-config.cache_dir", "x"],
        ["--compilation-config.mode", "3", "--compilation-config.mode", "0"],
        ["--allowed-media-domains", "a", "--allowed-media-domains", "b"],
    ],
)
def test_of_what_is_said_twice_vllm_ignores_one_without_a_word(items: list[str]) -> None:
    assert "ignores the other" in only(*items).rule


def test_a_flag_that_is_collected_may_be_given_again() -> None:
    assert reading("--middleware", "a.b", "--middleware", "c.d").problems == ()


@pytest.mark.parametrize(
    "items",
    [
        ["--api-key=sk-secret", "--api-key=sk-secret"],
        ["--api-k sk-secret"],
        ["--enable-lora", "sk-secret"],
        ["--seed", "sk-secret"],
        ["--load-format", "sk-secret"],
        ["--kv-transfer-config.kv_role", "sk-secret"],
        ["--override-generation-config", "sk-secret"],
        ["--nonsense=sk-secret"],
        ["-xyzsk-secret=sk-secret", "sk-secret"],
        ["-qsk-secret"],
        ["sk-secret"],
        ["-cc.mode", "sk-secret", "-cc.mode", "sk-secret"],
        ["--max-num-seqs=1.5K", "--kv-events-config", '{"hwm": 1.5K, "topic": "sk-secret"}'],
    ],
)
def test_a_value_that_may_be_a_key_is_not_repeated(items: list[str]) -> None:
    found = reading(*items)
    assert found.problems
    told = " ".join(f"{problem.flag} {problem.rule} {problem.remedy}" for problem in found.problems)
    assert "sk-secret" not in told


@pytest.mark.parametrize(
    "items",
    [
        ["--additional-config", "{" * 4000 + "}"],
        ["--hf-overrides", "[" * 4000],
        ["--lora-modules", "[" * 4000 + ","],
        ["-cc.a", "[" * 4000],
        ["-cc" + ".a" * 2000, "1"],
        *(["-cc" + ".a" * 16, "[" * depth + "]" * depth] for depth in range(900, 1000, 5)),
        *(["--hf-overrides", '{"a":' * depth + "1" + "}" * depth] for depth in (100, 600)),
        ["--kv-events-config", '{"hwm": ' + "9" * 4000 + "}"],
        ["--kv-events-config", '{"hwm": "' + "9" * 4000 + '"}'],
        ["--kv-events-config", '{"hwm": 1e999}'],
        ["--max-num-batched-tokens", "9" * 400 + "k"],
        ["--max-num-batched-tokens", "9" * 4000],
        ["--seed", "9" * 5000],
    ],
)
def test_nothing_that_a_person_may_write_is_too_much(items: list[str]) -> None:
    reading(*items)


WRITTEN = st.one_of(st.sampled_from(sorted(NEWEST.spellings)), st.text(alphabet='-_.=+aO139kK{}[]": ', max_size=12), st.text(max_size=8))


@given(st.lists(st.tuples(WRITTEN, WRITTEN).map("".join) | WRITTEN, max_size=6))
def test_whatever_is_written_is_read(items: list[str]) -> None:
    assert all(0 <= problem.index < len(items) for problem in reading(*items).problems)


def test_problems_are_told_as_far_as_anybody_reads() -> None:
    assert len(reading(*[f"--nonsense-{number}" for number in range(128)]).problems) == 128
    assert len(reading("--kv-events-config", "{" + ", ".join(f'"k{number}": 1' for number in range(300)) + "}").problems) == 16


@pytest.mark.parametrize(
    ("refused", "taken", "flag"),
    [
        (["--enable-log-outputs"], ["--enable-log-outputs", "--enable-log-requests"], "--enable-log-outputs"),
        (["--enable-log-outputs", "--no-enable-log-requests"], ["--no-enable-log-outputs"], "--enable-log-outputs"),
        (["--enable-auto-tool-choice"], ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"], "--enable-auto-tool-choice"),
        (["--enable-auto-tool-choice", "--tool-call-parser", ""], ["--tool-call-parser", "hermes"], "--enable-auto-tool-choice"),
        (["--sse-keep-alive-interval", "-1"], ["--sse-keep-alive-interval", "0"], "--sse-keep-alive-interval"),
        (["--enable-per-request-metrics", "--disable-log-stats"], ["--enable-per-request-metrics"], "--enable-per-request-metrics"),
    ],
)
def test_what_several_flags_say_together(refused: list[str], taken: list[str], flag: str) -> None:
    assert only(*refused).flag == flag
    assert reading(*taken).problems == ()


def test_a_union_is_told_as_one_list() -> None:
    assert only("--pooler-config.pooling_type", "1").rule == "takes one of CLS, LAST, MEAN, ALL, STEP or null"
