"""What happens in each state of the launcher when a signal comes, a process of the engine is killed, or one hangs. docs/engine-pod.md has it as a table.

The engine is a fake, so that every state lasts as long as a test needs; test_states_of_vllm.py has the rows that are vLLM's own behaviour.
"""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.runtime.launched import PATIENCE_SECONDS, Launched, eventually, launched

STOPS = [signal.SIGTERM, signal.SIGINT]
LONG = "--drain-timeout-seconds=60"
STALL = "--stall-timeout-seconds=0.3"


def ends(launch: Launched) -> tuple[int, str, str]:
    """Exit code, reason and the state in which it failed."""
    code = launch.exit_code()
    told = launch.termination()
    assert told["exitCode"] == code
    return code, told["reason"], told["state"]


def stopped_cleanly(launch: Launched) -> bool:
    return launch.exit_code() == 0 and not launch.termination_log.exists()


def pid_in(file: Path) -> int:
    return int(eventually(lambda: file.read_text() if file.exists() else ""))


def kill(file: Path, number: int = signal.SIGKILL) -> None:
    os.kill(pid_in(file), number)


# --- Preflight ---------------------------------------------------------------------------------------------------------


@contextmanager
def in_preflight(directory: Path) -> Iterator[Launched]:
    """A file server that does not answer: whoever reads the model's index waits for ever."""
    model = directory / "model"
    model.mkdir()
    (model / "config.json").touch()
    (model / "model.safetensors").touch()
    os.mkfifo(model / "model.safetensors.index.json")
    with launched(directory, "serve", str(model)) as launch:
        launch.until_state("Preflight")
        yield launch


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_in_preflight_stops_before_anything_is_started(tmp_path: Path, number: int) -> None:
    with in_preflight(tmp_path) as launch:
        launch.signal(number)
        _, stderr = launch.process.communicate(timeout=PATIENCE_SECONDS)
        assert stopped_cleanly(launch)
        assert b"state Starting" not in stderr


def test_a_preflight_that_hangs_is_gone_on_without(tmp_path: Path) -> None:
    with in_preflight(tmp_path) as launch:
        assert launch.get("/readyz")[0] == 503
        assert launch.get("/livez")[0] == 200
        launch.until_ready()


def test_what_the_preflight_refuses_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with launched(tmp_path, "serve", "/no/model") as launch:
        assert ends(launch) == (1, "ModelNotFound", "Preflight")
        assert launch.termination()["message"] == "there is no /no/model in the engine's container"


# --- Starting ----------------------------------------------------------------------------------------------------------


@contextmanager
def in_starting(directory: Path, *engine: str, options: tuple[str, ...] = ()) -> Iterator[Launched]:
    with launched(directory, f"--listens-when={directory / 'never'}", f"--pid={directory / 'server'}", *engine, options=options) as launch:
        launch.until_state("Starting")
        pid_in(directory / "server")
        yield launch


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("engine", [(), ("--ignores-sigterm",)], ids=["the engine obeys", "the engine has lost the signal"])
def test_a_signal_in_starting_stops_at_once(tmp_path: Path, number: int, engine: tuple[str, ...]) -> None:
    with in_starting(tmp_path, *engine) as launch:
        launch.signal(number)
        assert stopped_cleanly(launch)


def test_a_server_killed_in_starting_is_a_failure(tmp_path: Path) -> None:
    with in_starting(tmp_path) as launch:
        kill(tmp_path / "server")
        assert ends(launch) == (137, "EngineDied", "Starting")


def test_a_start_that_hangs_is_ended_with_the_phase_in_which_it_hung(tmp_path: Path) -> None:
    line = "INFO 11-21 16:05:51 [cpu_model_runner.py:68] Starting to load model /models/tiny...\n"
    with in_starting(tmp_path, f"--says={line}", options=("--start-timeout-seconds=10",)) as launch:
        kill(tmp_path / "server", signal.SIGSTOP)
        assert ends(launch) == (1, "StartTimeout", "Starting")
        assert "come to the phase Weights" in launch.termination()["message"]


# --- Warming -----------------------------------------------------------------------------------------------------------


@contextmanager
def in_warming(directory: Path, *options: str) -> Iterator[Launched]:
    engine = ("--completions=500", f"--pid={directory / 'server'}", f"--core={directory / 'core'}")
    with launched(directory, *engine, options=options) as launch:
        launch.until_state("Warming")
        yield launch


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_in_warming_stops_at_once(tmp_path: Path, number: int) -> None:
    with in_warming(tmp_path) as launch:
        launch.signal(number)
        assert stopped_cleanly(launch)


def test_a_server_killed_in_warming_is_a_failure(tmp_path: Path) -> None:
    with in_warming(tmp_path) as launch:
        kill(tmp_path / "server")
        assert ends(launch) == (137, "EngineDied", "Warming")


def test_an_engine_killed_in_warming_is_a_failure_though_vllm_ends_with_0(tmp_path: Path) -> None:
    with in_warming(tmp_path) as launch:
        kill(tmp_path / "core")
        assert ends(launch) == (1, "EngineDied", "Warming")


@pytest.mark.parametrize("process", ["server", "core"])
def test_a_warming_that_hangs_is_ended(tmp_path: Path, process: str) -> None:
    with in_warming(tmp_path, "--start-timeout-seconds=6") as launch:
        kill(tmp_path / process, signal.SIGSTOP)
        assert ends(launch) == (1, "StartTimeout", "Warming")
        assert "come to the phase Warming" in launch.termination()["message"]


@contextmanager
def waiting_for_an_adapter(directory: Path) -> Iterator[Launched]:
    """Warming, the real request answered: the adapter's file server does not answer."""
    adapter = directory / "sql"
    adapter.mkdir()
    os.mkfifo(adapter / "adapter_config.json")
    (directory / "adapters.json").write_text(json.dumps([{"name": "sql", "path": str(adapter)}]))
    with launched(directory, f"--pid={directory / 'server'}", options=(STALL, f"--adapters={directory / 'adapters.json'}")) as launch:
        eventually(lambda: str(launch.get("/readyz")[1].get("reason")), lambda reason: reason.startswith("adapters are being loaded"))
        yield launch


def test_a_file_server_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with waiting_for_an_adapter(tmp_path) as launch:
        launch.signal()
        assert stopped_cleanly(launch)


def test_a_server_that_hangs_after_its_first_answer_is_not_alive(tmp_path: Path) -> None:
    """The start timeout is only for the first answer: adapters may take long."""
    with waiting_for_an_adapter(tmp_path) as launch:
        kill(tmp_path / "server", signal.SIGSTOP)
        eventually(lambda: launch.status("/livez"), lambda status: status == 503)
        launch.signal()
        assert ends(launch) == (1, "EngineStalled", "Draining")


# --- Serving -----------------------------------------------------------------------------------------------------------


@contextmanager
def serving(directory: Path, *engine: str, options: tuple[str, ...] = (LONG,)) -> Iterator[Launched]:
    with launched(directory, "--counts", f"--pid={directory / 'server'}", f"--core={directory / 'core'}", *engine, options=options) as launch:
        launch.until_ready()
        yield launch


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_in_serving_drains_and_stops(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as launch:
        stream = launch.open_stream()
        launch.signal(number)
        launch.until_state("Draining")
        assert launch.steer()["orders"] == 1, "every answer closes its connection"
        assert launch.report()["requests"]["inFlight"] == 1
        launch.steer(go_on=True)
        assert b"[DONE]" in stream.read()
        assert stopped_cleanly(launch)


def test_a_server_killed_in_serving_is_a_failure(tmp_path: Path) -> None:
    with serving(tmp_path) as launch:
        kill(tmp_path / "server")
        assert ends(launch) == (137, "EngineDied", "Serving")


def test_an_engine_killed_in_serving_is_a_failure_though_vllm_ends_with_0(tmp_path: Path) -> None:
    with serving(tmp_path) as launch:
        stream = launch.open_stream()
        kill(tmp_path / "core")
        with suppress(http.client.HTTPException, OSError):
            assert b"[DONE]" not in stream.read()
        assert ends(launch) == (1, "EngineDied", "Serving")


def test_an_engine_that_hangs_with_requests_is_not_alive_and_ends_as_stalled(tmp_path: Path) -> None:
    with serving(tmp_path, options=(STALL, LONG)) as launch:
        launch.open_stream()
        kill(tmp_path / "core", signal.SIGSTOP)
        eventually(lambda: launch.status("/livez"), lambda status: status == 503)
        assert launch.status("/readyz") == 503
        launch.signal()
        assert ends(launch) == (1, "EngineStalled", "Draining")


def test_an_engine_that_hangs_before_its_requests_come_is_found_by_a_request_of_ours(tmp_path: Path) -> None:
    with serving(tmp_path, options=(STALL, LONG)) as launch:
        kill(tmp_path / "core", signal.SIGSTOP)
        connection = http.client.HTTPConnection("127.0.0.1", launch.engine_port, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/v1/completions", '{"model": "tiny", "max_tokens": 1}')
        eventually(lambda: launch.status("/livez"), lambda status: status == 503)
        assert "not for a request of our own" in launch.get("/livez")[1]["reason"]
        launch.signal()
        assert ends(launch) == (1, "EngineStalled", "Draining")


def test_a_slow_client_is_no_reason_to_restart_an_engine(tmp_path: Path) -> None:
    with serving(tmp_path, options=("--stall-timeout-seconds=3", LONG)) as launch:
        launch.steer(shows_streams=False)
        launch.open_stream()
        asked = launch.steer()["asked"].count("POST /v1/completions")
        eventually(lambda: launch.steer()["asked"].count("POST /v1/completions"), lambda count: count >= asked + 2)
        assert launch.status("/livez") == 200


def test_a_server_that_hangs_loses_its_traffic_and_is_not_alive(tmp_path: Path) -> None:
    with serving(tmp_path, options=(STALL, LONG)) as launch:
        kill(tmp_path / "server", signal.SIGSTOP)
        eventually(lambda: launch.status("/livez"), lambda status: status == 503)
        assert "used no processor" in launch.get("/livez")[1]["reason"]
        assert launch.status("/readyz") == 503
        launch.signal()
        eventually(launch.signal, lambda _: launch.process.poll() is not None)
        assert ends(launch) == (1, "EngineStalled", "Draining")


# --- Draining ----------------------------------------------------------------------------------------------------------


@contextmanager
def in_draining(directory: Path, *engine: str, options: tuple[str, ...] = (LONG,)) -> Iterator[Launched]:
    """With one stream that goes on until it is told."""
    with serving(directory, *engine, options=options) as launch:
        launch.open_stream()
        launch.signal()
        launch.until_state("Draining")
        yield launch


@pytest.mark.parametrize("number", STOPS)
def test_a_second_signal_in_draining_cuts_and_counts(tmp_path: Path, number: int) -> None:
    with in_draining(tmp_path) as launch:
        launch.signal(number)
        _, stderr = launch.process.communicate(timeout=PATIENCE_SECONDS)
        assert stopped_cleanly(launch)
        assert b"1 requests in flight are cut: a second signal came" in stderr


def test_the_limit_of_the_drain_cuts_counts_and_tells(tmp_path: Path) -> None:
    with in_draining(tmp_path, "--ignores-sigterm", options=("--drain-timeout-seconds=0.5",)) as launch:
        assert eventually(launch.report, lambda report: report["cut"] == 1)["state"] == "Draining"
        eventually(launch.signal, lambda _: launch.process.poll() is not None)
        assert stopped_cleanly(launch)


def test_a_third_signal_in_draining_kills(tmp_path: Path) -> None:
    with in_draining(tmp_path, "--ignores-sigterm") as launch:
        eventually(launch.signal, lambda _: launch.process.poll() is not None)
        assert stopped_cleanly(launch)


def test_who_comes_when_the_engine_stops_is_sent_elsewhere(tmp_path: Path) -> None:
    with in_draining(tmp_path, "--ignores-sigterm") as launch:
        launch.signal()
        eventually(lambda: launch.steer()["orders"], lambda orders: orders == 2)
        connection = http.client.HTTPConnection("127.0.0.1", launch.engine_port, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/v1/completions", "{}")
        response = connection.getresponse()
        assert (response.status, response.getheader("Retry-After"), response.getheader("Connection")) == (503, "1", "close")
        launch.signal()
        assert stopped_cleanly(launch)


def test_a_server_killed_in_draining_is_a_failure(tmp_path: Path) -> None:
    with in_draining(tmp_path) as launch:
        kill(tmp_path / "server")
        assert ends(launch) == (137, "EngineDied", "Draining")


def test_an_engine_killed_in_draining_is_a_failure(tmp_path: Path) -> None:
    with in_draining(tmp_path) as launch:
        kill(tmp_path / "core")
        assert ends(launch) == (1, "EngineDied", "Draining")


def test_an_engine_that_hangs_in_draining_is_not_waited_for(tmp_path: Path) -> None:
    with in_draining(tmp_path, options=(STALL, LONG)) as launch:
        kill(tmp_path / "core", signal.SIGSTOP)
        assert ends(launch) == (1, "EngineStalled", "Draining")


def test_a_server_that_hangs_in_draining_is_not_waited_for(tmp_path: Path) -> None:
    with in_draining(tmp_path, options=(STALL, LONG)) as launch:
        kill(tmp_path / "server", signal.SIGSTOP)
        assert ends(launch) == (1, "EngineStalled", "Draining")


def test_a_server_that_does_not_stop_when_it_is_told_is_killed(tmp_path: Path) -> None:
    with in_draining(tmp_path, options=("--drain-timeout-seconds=0.5",)) as launch:
        server = pid_in(tmp_path / "server")
        os.kill(server, signal.SIGSTOP)
        assert stopped_cleanly(launch)
        assert not Path(f"/proc/{server}").exists()


# --- Stopped, Failed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_after_the_engine_s_end_does_not_change_how_it_ended(tmp_path: Path, number: int) -> None:
    escaped = tmp_path / "escaped"
    with launched(tmp_path, f"--escaped-worker={escaped}") as launch:
        launch.until_ready()
        launch.end_engine(3, "ValueError: the last words\n")
        eventually(lambda: launch.get("/readyz")[1].get("reason"), lambda reason: reason == "the engine has ended")
        launch.signal(number)
        kill(escaped)
        assert ends(launch) == (3, "EngineFailed", "Serving")


# --- The launcher itself ----------------------------------------------------------------------------------------------


def test_a_launcher_that_hangs_answers_no_probe_and_its_engine_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, options=(STALL, LONG)) as launch:
        launch.signal(signal.SIGSTOP)
        connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=1)  # as the kubelet's probes
        connection.request("GET", "/livez")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        stream = launch.open_stream()
        launch.steer(go_on=True)
        assert b"[DONE]" in stream.read()
        launch.signal(signal.SIGCONT)
        assert launch.status("/livez") == 200, "the time in which nobody looked is not held against the engine"
        launch.signal()
        assert stopped_cleanly(launch)


# --- The container before ----------------------------------------------------------------------------------------------


def test_a_failure_is_told_by_the_next_container_of_the_pod(tmp_path: Path) -> None:
    with launched(tmp_path, "--exits=1", "--says=torch.OutOfMemoryError: CUDA out of memory.\n") as launch:
        assert launch.exit_code() == 1
    with launched(tmp_path) as launch:
        launch.until_ready()
        previous = launch.report()["previousFailure"]
        assert (previous["reason"], previous["state"]) == ("OutOfMemory", "Starting")
        launch.signal()
        assert launch.exit_code() == 0
    with launched(tmp_path) as launch:
        launch.until_ready()
        assert launch.report()["previousFailure"] is None


def test_a_container_that_is_killed_whole_is_told_by_the_next_one(tmp_path: Path) -> None:
    with launched(tmp_path) as launch:
        launch.until_ready()
        launch.kill_container()
        assert launch.exit_code() == -signal.SIGKILL
    with launched(tmp_path) as launch:
        launch.until_ready()
        previous = launch.report()["previousFailure"]
        assert (previous["reason"], previous["state"]) == ("EngineDied", "Serving")
