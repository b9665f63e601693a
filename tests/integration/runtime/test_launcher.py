"""The launcher as the kubelet, the operator and a client see it, with a fake engine as its child."""

import json
import os
import signal
import socket
import urllib.request
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest

from tests.integration.runtime.launched import PATIENCE_SECONDS, Launched, eventually, launched

LONG = ("--drain-timeout-seconds=60",)


def alive(pid: int) -> bool:
    with suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def told(launch: Launched) -> tuple[str, str, str, int]:
    """The termination message, but for the remedy, which every failure has."""
    found = launch.termination()
    assert found["remedy"]
    return found["reason"], found["message"], found["state"], found["exitCode"]


def _blocked(pid: int, number: int) -> bool:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigBlk"], 16) >> (number - 1) & 1)


# --- Readiness ---------------------------------------------------------------------------------------------------------


def test_an_engine_is_ready_only_after_a_real_answer(tmp_path: Path) -> None:
    listens = tmp_path / "listens"
    with launched(tmp_path, f"--listens-when={listens}", "--completions=500") as launch:
        launch.until_state("Starting")
        assert launch.get("/readyz")[0] == 503
        assert launch.get("/livez")[0] == 200
        listens.touch()
        launch.until_state("Warming")
        status, body = eventually(lambda: launch.get("/readyz"), lambda answer: "500" in answer[1]["reason"])
        assert (status, body["ready"], body["state"]) == (503, False, "Warming")
        launch.steer(completions=200)
        launch.until_ready()
        assert launch.get("/readyz")[1] == {"ready": True, "state": "Serving", "reason": None}


def test_the_real_request_is_made_once(tmp_path: Path) -> None:
    with launched(tmp_path) as launch:
        launch.until_ready()
        health_checks = eventually(lambda: launch.steer()["asked"], lambda asked: asked.count("GET /health") >= 3)
        assert health_checks.count("POST /v1/completions") == 1


def test_a_model_that_does_not_generate_is_asked_for_an_embedding(tmp_path: Path) -> None:
    with launched(tmp_path, "--completions=400", "--embeddings=200") as launch:
        launch.until_ready()
        assert "POST /v1/embeddings" in launch.steer()["asked"]


@pytest.mark.parametrize(
    ("arguments", "environment", "key"),
    [((), {"VLLM_API_KEY": "sk-env"}, "bearer sk-env"), (("--api-key", "sk-arg"), {"VLLM_API_KEY": "sk-env"}, "bearer sk-arg"), ((), {}, "")],
)
def test_the_engine_s_key_is_shown_to_it(tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], key: str) -> None:
    with launched(tmp_path, *arguments, environment=environment) as launch:
        launch.until_ready()
        assert set(launch.steer()["authorizations"]) == {key}


def test_an_engine_that_stops_answering_health_loses_its_traffic_and_lives(tmp_path: Path) -> None:
    with launched(tmp_path) as launch:
        launch.until_ready()
        launch.steer(health=500)
        eventually(lambda: launch.status("/readyz"), lambda status: status == 503)
        assert launch.status("/livez") == 200
        assert launch.report()["state"] == "Serving"
        launch.steer(health=200)
        launch.until_ready()


def test_an_engine_that_calls_itself_dead_is_not_alive(tmp_path: Path) -> None:
    with launched(tmp_path) as launch:
        launch.until_ready()
        launch.steer(health=503)
        eventually(lambda: launch.status("/livez"), lambda status: status == 503)
        launch.signal()
        assert launch.exit_code() == 1, "the kubelet's kill leaves a trace"
        assert told(launch) == ("EngineDied", "vLLM says that its engine is dead: /health answers 503", "Draining", 1)


def test_an_engine_whose_steps_have_stopped_is_not_alive(tmp_path: Path) -> None:
    with launched(tmp_path, options=("--stall-timeout-seconds=0.3", *LONG)) as launch:
        launch.until_ready()
        launch.steer(running=2)
        eventually(lambda: launch.status("/livez"), lambda status: status == 503)
        assert "no step" in launch.get("/readyz")[1]["reason"]
        launch.signal()
        assert launch.exit_code() == 1, "there is nothing to wait for in an engine that stands still, and its end is a failure"
        assert launch.termination()["reason"] == "EngineStalled"
        assert "no step" in launch.termination()["message"]


def test_the_report_is_as_documented(tmp_path: Path) -> None:
    schema = json.loads((Path(__file__).parents[3] / "docs/report.schema.json").read_text())
    with launched(tmp_path, "--api-key", "sk-secret", "--max-num-seqs=8") as launch:
        launch.until_ready()
        launch.steer(running=3, waiting=2)
        report = eventually(launch.report, lambda found: found["requests"] == {"running": 3, "waiting": 2, "inFlight": None})
        jsonschema.validate(report, schema)
        assert report["engine"]["version"] == "0.32.0"
        assert "sk-secret" not in json.dumps(report)
        assert report["model"] == {"names": ["tiny"], "maxLength": 1024}
        assert report["kvCache"] == {"tokens": 131072, "blocks": 1024, "blockSize": 128}
        assert report["limits"] == {"maxSequences": 8}


def test_the_launcher_s_own_metrics_are_prometheus_text(tmp_path: Path) -> None:
    with launched(tmp_path, "--counts") as launch:
        launch.until_ready()
        with urllib.request.urlopen(f"http://127.0.0.1:{launch.port}/metrics", timeout=PATIENCE_SECONDS) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            page = answer.read().decode()
        assert 'llmfleet_launcher_state{state="Serving"} 1\n' in page
        assert 'llmfleet_launcher_state{state="Starting"} 0\n' in page
        assert "llmfleet_launcher_requests_in_flight 0\n" in page


# --- Before the start, and before serving -----------------------------------------------------------------------------


def test_accelerators_that_are_not_there_are_told_before_anything_is_started(tmp_path: Path) -> None:
    with launched(tmp_path, options=("--accelerators=99", "--minimum-capability=8.0")) as launch:
        assert launch.exit_code() == 1
        assert told(launch)[::2] == ("AcceleratorMissing", "Preflight")
        assert launch.termination()["message"].startswith("99 accelerators are asked for, and ")


@pytest.mark.parametrize("option", ["--minimum-capability=8", "--accelerators=0", "--max-request-bytes=-1", "--start-timeout-seconds=-1"])
def test_options_that_make_no_sense_are_refused(tmp_path: Path, option: str) -> None:
    with launched(tmp_path, options=(option,)) as launch:
        assert launch.exit_code() == 2


def test_adapters_are_loaded_before_the_engine_serves_and_while_it_does(tmp_path: Path) -> None:
    def wants(*names: str) -> None:
        items = json.dumps([{"name": name, "path": str(tmp_path / name)} for name in names])
        (tmp_path / "new").write_text(items)
        (tmp_path / "new").replace(tmp_path / "adapters.json")

    for name in ("sql", "fr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text('{"r": 8}')
        (tmp_path / name / "adapter_model.safetensors").touch()
    wants("sql", "gone")
    with launched(tmp_path, options=(f"--adapters={tmp_path / 'adapters.json'}",)) as launch:
        launch.until_ready()
        report = launch.report()
        assert [(adapter["name"], adapter["state"]) for adapter in report["adapters"]] == [("sql", "Loaded"), ("gone", "Failed")]
        assert report["model"]["names"] == ["tiny", "sql"]
        wants("fr")
        eventually(lambda: launch.steer()["adapters"], lambda loaded: loaded == {"fr": str(tmp_path / "fr")})


# --- The end that we were told ----------------------------------------------------------------------------------------


def test_a_running_stream_is_finished_before_the_end(tmp_path: Path) -> None:
    with launched(tmp_path, options=LONG) as launch:
        launch.until_ready()
        stream = launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        assert launch.get("/readyz")[1] == {"ready": False, "state": "Draining", "reason": "told to stop"}
        assert launch.status("/livez") == 200
        eventually(launch.report, lambda report: report["requests"]["running"] == 1)
        launch.steer(go_on=True)
        assert b"[DONE]" in stream.read()
        assert launch.exit_code() == 0
        assert not launch.termination_log.exists()


@pytest.mark.parametrize("engine", [(), ("--metrics=0",)], ids=["gauges miss it", "no gauges"])
def test_a_stream_that_the_gauges_do_not_show_is_not_cut(tmp_path: Path, engine: tuple[str, ...]) -> None:
    with launched(tmp_path, *engine, options=LONG) as launch:
        launch.until_ready()
        launch.steer(shows_streams=False)
        stream = launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        reads = launch.steer()["asked"].count("GET /metrics/")
        eventually(lambda: launch.steer()["asked"].count("GET /metrics/"), lambda count: count >= reads + 4)
        launch.steer(go_on=True)
        assert b"[DONE]" in stream.read()
        assert launch.exit_code() == 0


def test_a_request_that_comes_while_draining_is_served(tmp_path: Path) -> None:
    with launched(tmp_path, options=LONG) as launch:
        launch.until_ready()
        first = launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        second = launch.open_stream()
        launch.steer(go_on=True)
        assert b"[DONE]" in first.read()
        assert b"[DONE]" in second.read()
        assert launch.exit_code() == 0


def test_the_drain_is_bounded(tmp_path: Path) -> None:
    with launched(tmp_path, options=("--drain-timeout-seconds=0.3",)) as launch:
        launch.until_ready()
        launch.open_stream()
        launch.signal()
        assert launch.exit_code() == 0


def test_a_second_signal_ends_the_drain(tmp_path: Path) -> None:
    with launched(tmp_path, options=LONG) as launch:
        launch.until_ready()
        launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        launch.signal(signal.SIGINT)
        assert launch.exit_code() == 0


def test_an_idle_connection_to_the_launcher_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with launched(tmp_path) as launch:
        launch.until_ready()
        with socket.create_connection(("127.0.0.1", launch.port)):
            launch.status("/livez")  # Accepted after the idle one.
            launch.signal()
            _, stderr = launch.process.communicate(timeout=8)
        assert launch.exit_code() == 0
        assert b"Traceback" not in stderr


def test_a_signal_in_the_first_moment_is_not_lost(tmp_path: Path) -> None:
    """As pid 1 it would be: here the process is only slow to start, and whether the signal comes before or after its handlers is all the same."""
    with launched(tmp_path, f"--listens-when={tmp_path / 'never'}") as launch:
        eventually(lambda: _blocked(launch.process.pid, signal.SIGTERM) or launch.report() != {})
        launch.signal()
        assert launch.exit_code() == 0


def test_an_engine_told_to_stop_while_it_starts_is_killed_with_all_its_processes(tmp_path: Path) -> None:
    worker = tmp_path / "worker"
    with launched(tmp_path, f"--listens-when={tmp_path / 'never'}", "--ignores-sigterm", f"--worker={worker}") as launch:
        pid = int(eventually(lambda: worker.read_text() if worker.exists() else ""))
        assert alive(pid)
        launch.signal()
        assert launch.exit_code() == 0
        assert not alive(pid)
        assert not launch.termination_log.exists()


def test_a_third_signal_kills_an_engine_that_does_not_stop(tmp_path: Path) -> None:
    with launched(tmp_path, "--ignores-sigterm", options=LONG) as launch:
        launch.until_ready()
        launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        eventually(launch.signal, lambda _: launch.process.poll() is not None)
        assert launch.exit_code() == 0


# --- The end that nobody told -----------------------------------------------------------------------------------------


def test_an_engine_that_ends_with_0_unasked_has_failed(tmp_path: Path) -> None:
    with launched(tmp_path) as launch:
        launch.until_ready()
        launch.end_engine(0)
        assert launch.exit_code() == 1
        assert launch.termination()["reason"] == "EngineDied"


def test_an_engine_that_dies_while_draining_has_failed(tmp_path: Path) -> None:
    with launched(tmp_path, options=LONG) as launch:
        launch.until_ready()
        launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        launch.end_engine(1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.\n")
        assert launch.exit_code() == 1
        assert told(launch) == ("OutOfMemory", "CUDA out of memory. Tried to allocate 2 GiB.", "Draining", 1)


def test_an_engine_that_calls_itself_dead_while_draining_ends_the_drain(tmp_path: Path) -> None:
    with launched(tmp_path, options=LONG) as launch:
        launch.until_ready()
        launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        launch.steer(health=503)
        assert launch.exit_code() == 1
        assert launch.termination()["reason"] == "EngineDied"


def test_a_start_that_fails_passes_on_code_words_and_output(tmp_path: Path) -> None:
    words = "usage: vllm serve\nvllm serve: error: argument --dtype: invalid choice: 'sk-env'\n"
    with launched(tmp_path, f"--says={words}", "--exits=2", environment={"VLLM_API_KEY": "sk-env"}) as launch:
        _, stderr = launch.process.communicate(timeout=PATIENCE_SECONDS)
        assert launch.exit_code() == 2
        assert told(launch) == ("InvalidArgument", "argument --dtype: invalid choice: '***'", "Starting", 2)
        assert words.encode() in stderr


def test_an_engine_killed_by_someone_else_ends_as_shells_tell_it(tmp_path: Path) -> None:
    with launched(tmp_path, f"--killed-by={int(signal.SIGKILL)}") as launch:
        assert launch.exit_code() == 128 + signal.SIGKILL
        assert launch.termination()["exitCode"] == 137


def test_workers_that_outlive_their_engine_are_killed(tmp_path: Path) -> None:
    worker = tmp_path / "worker"
    with launched(tmp_path, f"--worker={worker}", "--exits=1") as launch:
        assert launch.exit_code() == 1
        assert not alive(int(worker.read_text()))


def test_orphans_of_the_engine_are_the_launcher_s_and_are_reaped(tmp_path: Path) -> None:
    orphan = tmp_path / "orphan"
    with launched(tmp_path, f"--orphan={orphan}") as launch:
        launch.until_ready()
        pid = int(orphan.read_text())
        assert f"PPid:\t{launch.process.pid}\n" in Path(f"/proc/{pid}/status").read_text()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        assert launch.status("/readyz") == 200


def test_an_engine_that_has_ended_gets_no_traffic_while_its_last_words_are_read(tmp_path: Path) -> None:
    escaped = tmp_path / "escaped"
    with launched(tmp_path, f"--escaped-worker={escaped}") as launch:
        launch.until_ready()
        launch.end_engine(1, "ValueError: the last words\n")
        status, body = eventually(lambda: launch.get("/readyz"), lambda answer: answer[0] != 200)
        os.kill(int(escaped.read_text()), signal.SIGKILL)
        assert (status, body["reason"]) == (503, "the engine has ended")
        assert launch.exit_code() == 1
        assert told(launch) == ("EngineFailed", "ValueError: the last words", "Serving", 1)


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with launched(tmp_path, program=("/no/vllm", "serve")) as launch:
        assert launch.exit_code() == 127
        assert told(launch) == ("CommandNotFound", "/no/vllm: No such file or directory", "Starting", 127)


def test_wrong_options_of_our_own_are_told_on_stderr_alone(tmp_path: Path) -> None:
    """The pod's terminationMessagePolicy makes the message of it."""
    with launched(tmp_path, options=("--no-such-option",)) as launch:
        _, stderr = launch.process.communicate(timeout=PATIENCE_SECONDS)
        assert launch.exit_code() == 2
        assert b"--no-such-option" in stderr
        assert not launch.termination_log.exists()


def test_what_a_dead_container_left_in_shared_memory_is_removed_before_the_start(tmp_path: Path) -> None:
    left = tmp_path / "shm" / "psm_left"
    left.parent.mkdir()
    left.touch()
    with launched(tmp_path, environment={"LLMFLEET_SHARED_MEMORY": str(left.parent)}) as launch:
        launch.until_state("Starting")
        eventually(lambda: not left.exists())
