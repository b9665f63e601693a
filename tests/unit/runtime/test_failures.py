import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import lists, text

from llmfleet_runtime.failure_patterns import PATTERNS, REMEDIES, RUN, Pattern, Reason
from llmfleet_runtime.failures import (
    MESSAGE_BYTES,
    MESSAGE_CHARACTERS,
    RAISE_MEMORY_LIMIT,
    Failure,
    classify,
    container_exit_code,
    remedy_of,
    row_of,
    steady,
    without_secrets,
    write_termination_message,
)
from llmfleet_runtime.output import ErrorLines

KV_TOO_SMALL = (  # vLLM 0.32 on a CPU, --kv-cache-memory-bytes 100000, as logged.
    "(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510] EngineCore failed to start.",
    "(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510] Traceback (most recent call last):",
    '(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510]   File "/x/core.py", line 1484, in run_engine_core',
    "(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510] ValueError: To serve at least one request with the model's max seq len (1024), (0.0 GiB KV "
    "cache is needed, which is larger than the available KV cache memory (0.0 GiB). Try decreasing `max_model_len` when initializing the engine.",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
)


TABLE = pytest.mark.parametrize("row", PATTERNS, ids=lambda row: f"{row.reason}: {row.pattern[:60]}")


def errors(*lines: str) -> list[str]:
    kept = ErrorLines(lambda: 0.0)
    for line in lines:
        kept.feed(line)
    return kept.lines()


@TABLE
def test_every_row_of_the_table_finds_its_own_line_and_no_other_row_does_before_it(row: Pattern) -> None:
    lines = errors(*row.example.splitlines())
    assert [row_of(line) for line in lines] == [row]
    failure = classify(1, lines)
    assert failure.reason is row.reason
    assert failure.message
    assert "[type=" not in failure.message


@TABLE
def test_every_remedy_is_one_sentence_that_names_a_field_or_a_thing_to_do(row: Pattern) -> None:
    failure = classify(1, errors(*row.example.splitlines()))
    assert "{" not in failure.remedy
    assert not failure.remedy.endswith((".", " "))
    assert ". " not in failure.remedy
    assert len(failure.remedy) <= 200
    assert re.search(r"\b(spec\.[a-z]|kubectl|node)", failure.remedy)


FIELDS = set(re.findall(r"^\| `(spec\.[\w.\[\]]+)` \|", (Path(__file__).parents[3] / "docs/reference.md").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("remedy", [*REMEDIES.values(), *(row.remedy for row in PATTERNS), RAISE_MEMORY_LIMIT])
def test_every_field_that_a_remedy_names_exists(remedy: str) -> None:
    for field in re.findall(r"spec(?:\.\w+)+", remedy):
        known = field.startswith(("spec.template.spec.", "spec.engine.env")) or field in FIELDS or f"{field}[]" in FIELDS
        assert known, field


def test_every_reason_that_output_can_tell_has_a_row_and_every_reason_a_remedy() -> None:
    assert set(REMEDIES) == set(Reason)
    assert {row.reason for row in PATTERNS} == set(Reason)


def test_the_table_has_no_two_rows_with_one_pattern() -> None:
    assert len({row.pattern for row in PATTERNS}) == len(PATTERNS)


def test_every_row_says_where_its_line_comes_from() -> None:
    for row in PATTERNS:
        assert row.source == RUN or re.search(r"\d", row.source) or "Linux" in row.source, row.source


def test_the_root_cause_is_told_and_not_what_follows_from_it() -> None:
    failure = classify(1, errors(*KV_TOO_SMALL))
    assert failure.reason is Reason.KV_CACHE_TOO_SMALL
    assert failure.message.startswith("To serve at least one request with the model's max seq len (1024)")
    assert "\x1b" not in failure.message
    assert "core.py" not in failure.message


def test_an_unknown_error_is_told_in_its_own_words() -> None:
    lines = errors("Traceback (most recent call last):", '  File "x"', "KeyError: 'rope_theta'", "RuntimeError: Engine core initialization failed.")
    assert classify(1, lines) == Failure(Reason.ENGINE_FAILED, "KeyError: 'rope_theta'", remedy_of(Reason.ENGINE_FAILED), 1)


def test_an_argument_that_the_parser_refuses_is_told_without_the_usage() -> None:
    lines = errors("usage: vllm [-h] [-v]", "            ...", "vllm: error: unrecognized arguments: --wrong-flag")
    remedy = "take --wrong-flag out of spec.engine.extraArgs, or choose a spec.engine.version that has it"
    assert classify(2, lines) == Failure(Reason.INVALID_ARGUMENT, "unrecognized arguments: --wrong-flag", remedy, 2)


def test_exit_code_2_without_a_word_is_the_parser() -> None:
    assert classify(2, []).reason is Reason.INVALID_ARGUMENT


def test_an_engine_that_ends_unasked_with_0_has_died() -> None:
    failure = classify(0, [])
    assert (failure.reason, failure.exit_code) == (Reason.ENGINE_DIED, 1)
    assert "exit code 0" in failure.message


def test_a_killed_engine_points_to_the_memory_limit() -> None:
    failure = classify(-9, [])
    assert (failure.reason, failure.exit_code) == (Reason.ENGINE_DIED, 137)
    assert "memory limit" in failure.message


def test_a_generic_line_is_better_than_none() -> None:
    line = "(APIServer pid=1) ERROR 11-21 09:30:12 [core_client.py:710] Engine core proc EngineCore died unexpectedly, shutting down client."
    failure = classify(0, errors(line))
    assert failure.reason is Reason.ENGINE_DIED
    assert failure.message == "Engine core proc EngineCore died unexpectedly, shutting down client."


def test_an_engine_process_that_was_killed_while_serving_is_a_dead_engine() -> None:
    prefix = "(APIServer pid=30788) ERROR 11-21 09:32:51 [async_llm.py:906] "  # vLLM 0.32, EngineCore killed: exit code 0.
    dead = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."
    failure = classify(0, errors(f"{prefix}AsyncLLM output_handler failed.", f"{prefix}Traceback (most recent call last):", prefix + dead))
    assert (failure.reason, failure.message, failure.exit_code) == (Reason.ENGINE_DIED, dead, 1)


def test_a_worker_that_crashed_is_told_and_not_what_the_engine_dumps_of_its_last_step() -> None:
    prefix = "(EngineCore pid=31) ERROR 11-21 13:17:45 "  # vLLM 0.32.0 on the CPU: a worker that ended with SIGSEGV.
    failure = classify(
        0,
        errors(
            f"{prefix}[multiproc_executor.py:315] Worker proc VllmWorker-1 died unexpectedly (exit code: -11), shutting down executor.",
            f"{prefix}[dump_input.py:72] Dumping input data for V1 LLM engine (v0.32.0) with config: model='/models/tiny', speculative_config=None",
            f"{prefix}[dump_input.py:79] Dumping scheduler output for model execution: SchedulerOutput(scheduled_new_reqs=[])",
            f"{prefix}[core.py:1512] EngineCore encountered a fatal error.",
            f"{prefix}[core.py:1512] RuntimeError: cancelled",
        ),
    )
    assert failure.reason is Reason.ENGINE_DIED
    assert failure.message == "Worker proc VllmWorker-1 died unexpectedly (exit code: -11)"


def test_secrets_are_not_told() -> None:
    failure = classify(2, ["vllm: error: unrecognized arguments: --api-keys sk-123"], secrets=["sk-123"])
    assert failure.message == "unrecognized arguments: --api-keys ***"


@pytest.mark.parametrize(("engine", "container"), [(0, 1), (1, 1), (2, 2), (-9, 137), (-15, 143)])
def test_the_container_ends_as_the_engine_does_but_never_with_0(engine: int, container: int) -> None:
    assert container_exit_code(engine) == container


@pytest.mark.parametrize(
    "message", ["short", "x" * 10_000, "ü" * 10_000, '"\\\n' * 3000, "\ud800" * 5000], ids=["short", "long", "two bytes", "escaped", "broken"]
)
def test_a_termination_message_is_json_and_fits(tmp_path: Path, message: str) -> None:
    path = tmp_path / "log"
    write_termination_message(path, Failure(Reason.OUT_OF_MEMORY, message, "do this", 1), "Serving")
    content = path.read_bytes()
    document = json.loads(content)
    assert len(content) <= MESSAGE_BYTES
    assert len(content) > MESSAGE_BYTES * 0.9 or document["message"] == message
    assert document == {"reason": "OutOfMemory", "message": document["message"], "remedy": "do this", "state": "Serving", "exitCode": 1}


def test_the_largest_length_that_fits_is_the_remedy() -> None:
    row = PATTERNS[0]
    failure = classify(1, errors(row.example))
    assert failure.message.endswith("which is larger than the available KV cache memory (0.0 GiB)")
    assert failure.remedy.startswith("lower spec.model.maxLength to 640; to keep it, raise ")


def test_what_pydantic_refuses_is_told_with_the_field() -> None:
    lines = errors(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for SpeculativeConfig",
        "nonsense",
        "  Unexpected keyword argument [type=unexpected_keyword_argument, input_value=1, input_type=int]",
        "    For further information visit https://errors.pydantic.dev/2.14/v/unexpected_keyword_argument",
    )
    failure = classify(1, lines)
    assert (failure.reason, failure.message) == (Reason.INVALID_ARGUMENT, "nonsense: Unexpected keyword argument")
    assert failure.remedy.startswith("correct nonsense in the JSON")


def test_what_only_follows_from_an_end_is_not_its_cause() -> None:
    lines = errors("asyncio.exceptions.CancelledError", "KeyError: 'rope_theta'", "ERROR:    Application startup failed. Exiting.")
    assert classify(1, lines).message == "KeyError: 'rope_theta'"


def test_the_first_cause_counts_where_one_leads_to_another() -> None:
    lines = errors(
        "(Worker pid=3) ERROR 11-21 16:00:00 [multiproc_executor.py:953] WorkerProc failed to start.",
        "(Worker pid=3) ERROR 11-21 16:00:00 [multiproc_executor.py:953] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "(EngineCore pid=2) ERROR 11-21 16:00:01 [core.py:1510] RuntimeError: NCCL error: remote process exited or there was a network error",
    )
    assert classify(1, lines).reason is Reason.OUT_OF_MEMORY


@pytest.mark.parametrize("lines", [[], ["Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor."]])
def test_what_the_kernel_killed_is_told_where_nobody_says_more(lines: list[str]) -> None:
    failure = classify(0, lines, kernel_kills=2)
    assert (failure.reason, failure.exit_code) == (Reason.OUT_OF_MEMORY, 1)
    assert failure.message == "the kernel killed 2 processes of the engine at the container's memory limit"
    assert failure.remedy == RAISE_MEMORY_LIMIT


def test_a_cause_in_the_log_goes_before_what_the_kernel_killed() -> None:
    assert classify(1, ["OSError: [Errno 28] No space left on device: '/cache'"], kernel_kills=1).reason is Reason.DISK_FULL


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GatedRepoError: 403 Client Error. (Request ID: Root=1-69;aa)", "GatedRepoError: 403 Client Error. (Request ID: Root=1-70;bb)"),
        ("RuntimeError: tcp://127.0.0.1:45121 of process 12 at 0x7f001c", "RuntimeError: tcp://127.0.0.1:45123 of process 999 at 0x7f002d"),
        ("ValueError: no {'b', 'a', 'c'}", "ValueError: no {'c', 'a', 'b'}"),
        ("OSError: '/psm_1a2b3c4d' of /tmp/tmpabc1", "OSError: '/psm_99887766' of /tmp/tmpxyz2"),
        ("ValueError: request 0123456789abcdef0123456789abcdef failed", "ValueError: request fedcba9876543210fedcba9876543210 failed"),
        ("ValueError: since 2026-11-21 16:00:00,123", "ValueError: since 2026-11-21 16:10:00,456"),
    ],
)
def test_the_same_failure_reads_the_same_at_every_attempt(one: str, other: str) -> None:
    assert classify(1, [one]) == classify(1, [other])


def test_free_memory_is_not_told_for_it_is_another_at_every_attempt() -> None:
    told = {
        classify(1, [row.example.replace("19.06", free).replace("3.04", free)])
        for row in PATTERNS
        for free in ("1.23", "4.56")
        if "on startup is" in row.example
    }
    assert len(told) == 2


@given(text())
def test_what_is_steady_stays_as_it_is(words: str) -> None:
    assert steady(steady(words)) == steady(words)


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: token hf_abcdefghijklmnopqrstuvwxyz is invalid",
        "ValueError: Authorization: Bearer sk-abcdefghijkl refused",
        "OSError: https://bucket.s3.amazonaws.com/x?X-Amz-Credential=AKIAABCDEFGHIJKLMNOP&X-Amz-Signature=deadbeefdeadbeef",
        "OSError: cannot read http://user:hunter2hunter2@proxy:3128",
        "vllm: error: unrecognized arguments: --api-key=hunter2hunter2",
    ],
)
def test_what_looks_like_a_secret_is_not_told(line: str) -> None:
    failure = classify(1, errors(line))
    for secret in ("abcdefghijkl", "deadbeef", "hunter2", "AKIAABCDEFGHIJKLMNOP"):
        assert secret not in failure.message + failure.remedy


@given(lists(text(alphabet="abcdefghij", min_size=6), max_size=3), text())
def test_no_secret_that_is_known_is_ever_told(secrets: list[str], around: str) -> None:
    line = "ValueError: " + around + around.join(secrets)
    told = without_secrets(line, secrets)
    assert not any(secret in told for secret in secrets)


def test_a_long_list_of_what_else_there_is_is_cut() -> None:
    assert len(classify(1, ["ValueError: " + "x" * 5000]).message) == MESSAGE_CHARACTERS


@given(text(), text(max_size=250))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_remedy_is_never_cut(tmp_path: Path, message: str, remedy: str) -> None:
    write_termination_message(tmp_path / "log", Failure(Reason.OUT_OF_MEMORY, message * 100, remedy, 1), "Starting")
    content = (tmp_path / "log").read_bytes()
    assert len(content) <= MESSAGE_BYTES
    assert json.loads(content).get("remedy", "") == remedy.encode(errors="replace").decode()
