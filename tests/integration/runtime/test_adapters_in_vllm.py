"""Adapters that come, go, change and fail under a real vLLM with real weights: one server for all, in the order of the tests."""

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.launched import Launched, eventually
from tests.integration.runtime.loras import write_lora
from tests.integration.runtime.real_vllm import launched_vllm, serving

START_SECONDS = 420
KEY = "sk-users"
STREAM_TOKENS = 300

pytestmark = pytest.mark.timeout(START_SECONDS + 60)


@dataclass
class Pod:
    """An engine with the volumes of its adapters."""

    launch: Launched
    list: Path
    claim: Path
    fetched: Path

    def wants(self, **adapters: str) -> None:
        """Name to directory on the claim, or to the digest of what a sidecar fetches."""
        items = [
            {"name": name, "path": str(self.fetched / place), "source": f"hf://acme/{name}", "fetcher": 0}
            if place.isdigit()
            else {"name": name, "path": str(self.claim / place)}
            for name, place in adapters.items()
        ]
        scratch = self.list.with_name("new")
        scratch.write_text(json.dumps(items))
        scratch.replace(self.list)

    def states(self) -> dict[str, str]:
        return {adapter["name"]: adapter["state"] for adapter in self.launch.report()["adapters"]}

    def message(self, name: str) -> str:
        return str(next(adapter["message"] for adapter in self.launch.report()["adapters"] if adapter["name"] == name))

    def until(self, **states: str) -> None:
        eventually(self.states, lambda found: found == states, within_seconds=60)

    def ask(self, model: str, tokens: int = 12, *, stream: bool = False) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.launch.engine_port, timeout=60)
        request = {"model": model, "prompt": "The quick", "max_tokens": tokens, "ignore_eos": True, "temperature": 0, "stream": stream}
        request |= {"stream_options": {"include_usage": True}} if stream else {}
        connection.request("POST", "/v1/completions", json.dumps(request), {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"})
        return connection.getresponse()

    def answer(self, model: str, tokens: int = 12) -> str:
        response = self.ask(model, tokens)
        document = json.loads(response.read())
        assert response.status == 200, document
        return str(document["choices"][0]["text"])


class Stream(threading.Thread):
    """A stream that somebody reads; its first chunk is there."""

    def __init__(self, pod: Pod, model: str) -> None:
        super().__init__(daemon=True)
        self.tokens, self.whole = 0, False
        self._response = pod.ask(model, STREAM_TOKENS, stream=True)
        assert self._response.status == 200
        assert self._response.readline().startswith(b"data: {")
        self.start()

    def run(self) -> None:
        for line in self._response:
            if line == b"data: [DONE]\n":
                self.whole = True
            elif line.startswith(b"data: "):
                document: dict[str, Any] = json.loads(line[6:])
                self.tokens = (document.get("usage") or {}).get("completion_tokens", self.tokens)

    def end(self) -> None:
        """Wait for it; AssertionError where it was cut."""
        self.join(120)
        assert self.whole
        assert self.tokens == STREAM_TOKENS


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    directory = tmp_path_factory.mktemp("pod")
    mounted, claim, fetched = (directory / name for name in ("adapter-list", "claim", "adapters"))
    mounted.mkdir()
    fetched.mkdir()
    for seed, name in enumerate(("sql", "fr", "fr-next", "de"), start=1):
        write_lora(claim / name, seed)
    write_lora(claim / "large", 5, rank=16)
    write_lora(claim / "alien", 6, modules={"nose_proj": (128, 128)})
    write_lora(claim / "wide", 7, modules={"q_proj": (256, 128)})
    lora = ("--enable-lora", "--max-loras=2", "--max-lora-rank=8")
    file = mounted / "adapters.json"
    file.write_text("[]")
    environment = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"}
    with launched_vllm(directory, f"--api-key={KEY}", *lora, options=(f"--adapters={file}",), environment=environment) as launch:
        yield Pod(launch, file, claim, fetched)


def test_a_pod_is_ready_with_every_adapter_that_can_be_had(pod: Pod) -> None:
    pod.wants(sql="sql", fr="fr", de="de", alien="alien", large="large", wide="wide", nowhere="nowhere")
    serving(pod.launch, START_SECONDS)
    good = dict.fromkeys(("sql", "fr", "de"), "Loaded")
    assert pod.states() == good | dict.fromkeys(("alien", "large", "wide", "nowhere"), "Failed")
    assert pod.message("large") == "rank 16 exceeds adapters.maxRank 8: raise it"
    assert pod.message("alien").startswith(f"vLLM refuses it: While loading {pod.claim / 'alien'}, expected target modules in ")
    assert pod.message("wide") == "vLLM refuses it: The size of tensor a (128) must match the size of tensor b (256) at non-singleton dimension 1"
    assert pod.message("nowhere").startswith(f"there is no directory {pod.claim / 'nowhere'}: correct the path")
    answers = {pod.answer(model) for model in ("tiny", *good)}
    assert len(answers) == 4, "each answers in its own way, with more of them than places in the accelerator's memory"


def test_an_adapter_that_is_added_answers(pod: Pod) -> None:
    pod.wants(sql="sql", fr="fr")
    pod.until(sql="Loaded", fr="Loaded")
    assert eventually(lambda: pod.ask("de").status, lambda status: status == 404)
    pod.wants(sql="sql", fr="fr", de="de")
    pod.until(sql="Loaded", fr="Loaded", de="Loaded")
    assert pod.answer("de") not in (pod.answer("tiny"), pod.answer("sql"))


def test_a_stream_of_an_adapter_that_is_removed_goes_on_to_its_end(pod: Pod) -> None:
    stream = Stream(pod, "sql")
    pod.wants(fr="fr", de="de")
    eventually(lambda: pod.ask("sql").status, lambda status: status == 404)
    assert pod.answer("fr") != pod.answer("de"), "others need the places meanwhile"
    assert not stream.whole
    stream.end()


def test_a_version_is_exchanged_when_the_streams_of_the_one_before_are_done(pod: Pod) -> None:
    before = pod.answer("fr")
    stream = Stream(pod, "fr")
    pod.wants(fr="fr-next", de="de")
    pod.until(fr="Loading", de="Loaded")
    assert pod.ask("fr").status == 200, "the version before still answers"
    stream.end()
    pod.until(fr="Loaded", de="Loaded")
    assert pod.answer("fr") != before


def test_a_version_that_vllm_refuses_leaves_the_one_before(pod: Pod) -> None:
    before = pod.answer("fr")
    pod.wants(fr="alien", de="de")
    pod.until(fr="Failed", de="Loaded")
    assert pod.message("fr").endswith("; the version before it still answers")
    assert pod.answer("fr") == before


def test_a_fetched_adapter_is_failed_while_it_cannot_be_had_and_loaded_when_it_comes(pod: Pod) -> None:
    pod.wants(de="de", gated="1234")
    pod.until(de="Loaded", gated="Loading")
    failure = pod.fetched / "1234.failed"
    failure.write_text(json.dumps({"reason": "ModelAccessDenied", "message": "the repository is gated"}))
    pod.until(de="Loaded", gated="Failed")
    assert pod.message("gated") == "the repository is gated"
    write_lora(pod.fetched / "1234", 9)
    failure.unlink()
    pod.until(de="Loaded", gated="Loaded")
    assert pod.answer("gated") != pod.answer("de")


def test_without_adapters_the_model_answers_as_before(pod: Pod) -> None:
    pod.wants()
    eventually(lambda: pod.ask("de").status, lambda status: status == 404)
    assert pod.answer("tiny")
    assert pod.launch.status("/readyz") == 200
