import socket
import threading
from pathlib import Path

import pytest

from llmfleet_runtime.failure_patterns import REMEDIES, Reason
from llmfleet_runtime.failures import Failure
from llmfleet_runtime.preflight import CHECKS, api_key_can_be_shown, engine_port_is_free, in_thread, leftovers_are_removed, preflight
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.settings import Settings

SETTINGS = Settings(command=("vllm", "serve", "acme/tiny"))


def test_the_first_check_that_refuses_is_told_and_the_others_are_not_asked() -> None:
    asked = []

    def passes(_: Settings) -> Refusal | None:
        asked.append("passes")
        return None

    def refuses(_: Settings) -> Refusal | None:
        return Refusal(Reason.DISK_FULL, "it is full")

    assert preflight(SETTINGS, (passes, refuses, passes)) == Failure(Reason.DISK_FULL, "it is full", REMEDIES[Reason.DISK_FULL], 1)
    assert asked == ["passes"]


def test_a_check_may_know_a_better_remedy() -> None:
    failure = preflight(SETTINGS, (lambda _: Refusal(Reason.DISK_FULL, "it is full", "delete something"),))
    assert failure is not None
    assert failure.remedy == "delete something"


def test_a_check_that_fails_itself_does_not_keep_an_engine_from_starting() -> None:
    def broken(_: Settings) -> Refusal | None:
        raise ZeroDivisionError

    assert preflight(SETTINGS, (broken,)) is None


def test_leftovers_are_removed_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "psm_left").touch()
    assert CHECKS[0] is leftovers_are_removed
    assert leftovers_are_removed(Settings(command=(), shared_memory=tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_someone_listens_on_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(command=("vllm", "serve", "acme/tiny"), engine_port=port)
        assert engine_port_is_free(settings) == Refusal(Reason.PORT_IN_USE, f"the engine's port {port} is taken by another process")
    assert engine_port_is_free(settings) is None


@pytest.mark.parametrize("arguments", [(), ("--api-key=sk-1",), ("--api-key", "", "sk-1"), ("--api-key", "sk-1", "sk-2\n"), ("--api-key", "two words")])
def test_a_key_that_can_be_shown_passes(arguments: tuple[str, ...]) -> None:
    assert api_key_can_be_shown(Settings(command=("vllm", "serve", "m", *arguments))) is None
    assert api_key_can_be_shown(Settings(command=("vllm", "serve", "m", *arguments), api_key="sk-3")) is None


@pytest.mark.parametrize("key", ["sk-1\n", " sk-1", "sk-\r1", "schlüssel"])
def test_a_key_that_nobody_can_show_is_told_and_not_shown(key: str) -> None:
    for settings in (Settings(command=("vllm", "serve", "m", "--api-key", key)), Settings(command=("vllm", "serve", "m"), api_key=key)):
        refusal = api_key_can_be_shown(settings)
        assert refusal is not None
        assert (refusal.reason, key.strip() in refusal.message) == (Reason.INVALID_ARGUMENT, False)
        assert "spec.access.apiKeys" in refusal.remedy


@pytest.mark.parametrize("arguments", [("--api-key", "-Xk3y9aZ"), ("--api-key", "sk-1", "--Xk3y9aZ", "--max-num-seqs=8")])
def test_a_key_that_vllm_takes_for_an_option_is_told_and_not_shown(arguments: tuple[str, ...]) -> None:
    """vLLM itself writes it into its log: `unrecognized arguments`."""
    refusal = api_key_can_be_shown(Settings(command=("vllm", "serve", "m", *arguments)))
    assert refusal is not None
    assert "begins with a dash" in refusal.message
    assert "Xk3y" not in refusal.message


@pytest.mark.parametrize("arguments", [("--api-key=",), ("--api-key", ""), ("--api-key",)])
def test_empty_keys_are_refused_for_vllm_would_serve_whoever_comes(arguments: tuple[str, ...]) -> None:
    refusal = api_key_can_be_shown(Settings(command=("vllm", "serve", "m", *arguments)))
    assert refusal is not None
    assert refusal.message == "the API key is empty"


def test_a_port_on_another_address_is_not_the_engine_s() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        settings = Settings(command=("vllm", "serve", "m", "--host=127.0.0.1"), engine_port=taken.getsockname()[1])
        assert engine_port_is_free(settings) is None


def test_a_check_that_never_comes_back_holds_up_nobody() -> None:
    told: list[Failure | None] = []

    def tell(failure: Failure | None) -> None:
        told.append(failure)
        done.set()

    go_on, done = threading.Event(), threading.Event()

    def hangs(_: Settings) -> Refusal | None:
        go_on.wait()
        return None

    in_thread(SETTINGS, tell, (hangs,))
    assert told == []
    go_on.set()
    assert done.wait(10)
    assert told == [None]
