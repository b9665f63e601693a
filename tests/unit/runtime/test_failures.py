import json
from pathlib import Path

import pytest

from llmfleet_runtime.failure_patterns import PATTERNS, Pattern, Reason
from llmfleet_runtime.failures import MESSAGE_BYTES, Failure, classify, container_exit_code, remedy_of, write_termination_message
from llmfleet_runtime.output import error_of

KV_TOO_SMALL = (  # vLLM 0.32 on a CPU, --kv-cache-memory-bytes 100000, as logged.
    "(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510] EngineCore failed to start.",
    "(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510] Traceback (most recent call last):",
    '(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510]   File "/x/core.py", line 1484, in run_engine_core',
    "(EngineCore pid=6201) ERROR 11-21 09:27:07 [core.py:1510] ValueError: To serve at least one request with the model's max seq len (1024), (0.0 GiB KV "
    "cache is needed, which is larger than the available KV cache memory (0.0 GiB). Try decreasing `max_model_len` when initializing the engine.",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
)


def errors(*lines: str) -> list[str]:
    return [error for line in lines if (error := error_of(line)) is not None]


@pytest.mark.parametrize("row", PATTERNS, ids=lambda row: f"{row.reason}: {row.pattern[:40]}")
def test_every_row_of_the_table_finds_its_own_line(row: Pattern) -> None:
    failure = classify(1, errors(row.example))
    assert failure.reason is row.reason
    assert failure.message
    assert "[type=" not in failure.message


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
    assert classify(2, lines) == Failure(Reason.INVALID_ARGUMENT, "unrecognized arguments: --wrong-flag", remedy_of(Reason.INVALID_ARGUMENT), 2)


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
    assert failure == Failure(Reason.ENGINE_DIED, dead, remedy_of(Reason.ENGINE_DIED), 1)


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
    assert failure.message == "Worker proc VllmWorker-1 died unexpectedly (exit code: -11), shutting down executor."


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
