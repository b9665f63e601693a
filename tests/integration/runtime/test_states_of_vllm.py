"""The rows of the table of states that are vLLM's own behaviour, with a real vLLM as the launcher's child."""

import http.client
import json
import os
import re
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.runtime.launched import Launched, eventually
from tests.integration.runtime.real_vllm import launched_vllm, serving

START_SECONDS = 180
"""A start takes 10 s on an idle machine."""

pytestmark = pytest.mark.timeout(START_SECONDS + 60)


def vllm(directory: Path, *options: str) -> AbstractContextManager[Launched]:
    """A launcher whose vLLM has just been started."""
    return launched_vllm(directory, options=("--drain-timeout-seconds=120", *options))


def stream(launch: Launched, tokens: int) -> http.client.HTTPResponse:
    """A stream whose first chunk has arrived."""
    connection = http.client.HTTPConnection("127.0.0.1", launch.engine_port, timeout=60)
    request = {"model": "tiny", "prompt": "The quick", "max_tokens": tokens, "ignore_eos": True, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(request), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.readline().startswith(b"data: {")
    return response


def pid_of(launch: Launched, process: str) -> int:
    """Of the engine or the worker, by the name that vLLM gives it in its log."""

    def found() -> list[str]:
        text = launch.output.read_text()
        assert launch.process.poll() is None, text[-5000:]
        return re.findall(rf"\({process} pid=(\d+)\)", text)

    return int(eventually(found, within_seconds=START_SECONDS)[-1])


def ended(launch: Launched) -> tuple[int, str, str]:
    code = launch.process.wait(60)
    told = launch.termination()
    return code, told["reason"], told["state"]


def test_a_signal_while_vllm_initialises_stops_at_once(tmp_path: Path) -> None:
    """It loses the signal (facts: six of six), so its processes are killed."""
    with vllm(tmp_path) as launch:
        engine = pid_of(launch, "EngineCore")
        launch.signal()
        assert launch.process.wait(30) == 0
        assert not Path(f"/proc/{engine}").exists()
        assert not launch.termination_log.exists()


def test_the_death_of_the_engine_while_it_initialises_is_a_failure(tmp_path: Path) -> None:
    with vllm(tmp_path) as launch:
        os.kill(pid_of(launch, "EngineCore"), signal.SIGKILL)
        assert ended(launch) == (1, "EngineFailed", "Starting")
        # Which process it was vLLM says only where that has been reaped by then: "Failed core proc(s): {}" otherwise.
        assert "Engine core initialization failed" in launch.termination()["message"]


def test_streams_are_finished_and_no_later_one_is_lost(tmp_path: Path) -> None:
    with vllm(tmp_path) as launch:
        serving(launch, START_SECONDS)
        report = launch.report()
        assert report["requests"]["inFlight"] == 0, "vLLM counts with the middleware"
        assert [phase["name"] for phase in report["phases"]] == ["Preflight", "Imports", "Weights", "KVCache", "Warming"]
        running = stream(launch, 1500)
        launch.signal()
        launch.until_state("Draining")
        later = stream(launch, 4)
        assert later.getheader("Connection") == "close"
        for response in (later, running):
            text = response.read().decode()
            assert text.endswith("data: [DONE]\n\n")
            assert '"finish_reason":"length"' in text
        assert launch.process.wait(60) == 0


@pytest.mark.parametrize("process", ["EngineCore", "Worker"])
def test_the_death_of_a_process_is_a_failure_though_vllm_ends_with_0(tmp_path: Path, process: str) -> None:
    with vllm(tmp_path) as launch:
        serving(launch, START_SECONDS)
        running = stream(launch, 2000)
        os.kill(pid_of(launch, process), signal.SIGKILL)
        assert ended(launch) == (1, "EngineDied", "Serving")
        assert b'"finish_reason":"length"' not in running.read()


def test_an_engine_that_hangs_is_not_alive_with_or_without_requests_and_ends_as_stalled(tmp_path: Path) -> None:
    with vllm(tmp_path, "--stall-timeout-seconds=5") as launch:
        serving(launch, START_SECONDS)
        engine = pid_of(launch, "EngineCore")
        running = stream(launch, 1500)
        os.kill(engine, signal.SIGSTOP)
        reason = eventually(lambda: launch.get("/livez")[1].get("reason"), within_seconds=60)
        assert str(reason).startswith("requests run, but the engine has made no step")
        os.kill(engine, signal.SIGCONT)
        assert running.read().endswith(b"data: [DONE]\n\n")
        eventually(lambda: launch.status("/livez"), lambda status: status == 200)
        eventually(launch.report, lambda report: report["requests"]["running"] == 0)

        os.kill(engine, signal.SIGSTOP)
        connection = http.client.HTTPConnection("127.0.0.1", launch.engine_port, timeout=60)
        connection.request("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": "The"}), {"Content-Type": "application/json"})
        eventually(lambda: launch.get("/livez")[1].get("reason") or "", lambda reason: "not for a request of our own" in reason, within_seconds=60)
        assert launch.report()["requests"]["running"] == 0, "which is why it takes a request of our own"
        launch.signal()
        assert ended(launch) == (1, "EngineStalled", "Draining")
        assert not Path(f"/proc/{engine}").exists()
