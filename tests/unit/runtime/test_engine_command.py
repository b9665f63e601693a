"""How the launcher starts vLLM."""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llmfleet_runtime.engine_command import engine_command

SERVE = ("vllm", "serve", "tiny", "--port", "8000")
SOURCE = str(Path(__file__).parents[3] / "runtime/src")


def started(*arguments: str, **environment: str) -> tuple[list[str], dict[str, str], dict[str, Any]]:
    command, variables = engine_command([*SERVE, *arguments], environment, Path("/tmp/board"), max_request_bytes=1000, admin_token="t0ken")
    return command, variables, json.loads(variables["LLMFLEET_MIDDLEWARE"])


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_the_middleware_is_added_behind_what_the_pod_says() -> None:
    command, _, told = started("--middleware", "mine.Middleware")
    assert command == [*SERVE, "--middleware", "mine.Middleware", "--middleware", "llmfleet_runtime.middleware.Middleware"]
    assert told == {"board": "/tmp/board", "keyDigests": [], "adminDigest": digest("t0ken"), "maxRequestBytes": 1000}


def test_our_package_comes_first_on_the_path_and_the_users_path_stays() -> None:
    assert started()[1]["PYTHONPATH"] == SOURCE
    assert started(PYTHONPATH="")[1]["PYTHONPATH"] == SOURCE
    assert started(PYTHONPATH="/mine:/other")[1]["PYTHONPATH"] == os.pathsep.join([SOURCE, "/mine", "/other"])


def test_every_other_variable_is_handed_on() -> None:
    assert started(HOME="/home/vllm", VLLM_API_KEY="env")[1].items() >= {"HOME": "/home/vllm", "VLLM_API_KEY": "env"}.items()


def test_connections_may_rest_for_longer_than_those_of_gateways_unless_the_pod_says_otherwise() -> None:
    assert int(started()[1]["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"]) > 60
    assert started(VLLM_HTTP_TIMEOUT_KEEP_ALIVE="7")[1]["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"] == "7"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--api-key", "one", "two"),
        ("--api_key", "one", "two"),
        ("--api-k", "one", "two"),
        ("--api-key=one", "two"),
        ("--api-key", "lost", "--api-key", "one", "two"),
        ("--api-key", "one", "two", "--max-num-seqs", "8"),
    ],
)
def test_every_key_is_known_by_its_digest_alone(arguments: tuple[str, ...]) -> None:
    _, variables, told = started(*arguments, VLLM_API_KEY="env")
    assert told["keyDigests"] == [digest("one"), digest("two")]
    assert not {"one", "two", "t0ken"} & set(variables["LLMFLEET_MIDDLEWARE"].split('"'))


def test_the_key_of_the_environment_counts_where_the_arguments_have_none() -> None:
    assert started(VLLM_API_KEY="env")[2]["keyDigests"] == [digest("env")]
    assert started("--api-server-count", "2", VLLM_API_KEY="env")[2]["keyDigests"] == [digest("env")]


def test_an_empty_key_is_none_as_in_vllm() -> None:
    assert started(VLLM_API_KEY="")[2]["keyDigests"] == []
    assert started("--api-key", "", VLLM_API_KEY="env")[2]["keyDigests"] == []


def test_bytes_that_are_no_text_are_digested_as_they_are() -> None:
    assert started("--api-key", os.fsdecode(b"k\xff"))[2]["keyDigests"] == [sha256(b"k\xff").hexdigest()]
