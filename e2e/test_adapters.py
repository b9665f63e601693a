"""Adapters that come and go while the engine runs, on a real node: each test goes on where the one before ended.

The node's kubelet writes a changed ConfigMap into the pods within ten seconds (node_configuration.kubelet); elsewhere it takes about a minute.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import tiny_model
from e2e.cluster.images import VLLM_CPU
from e2e.fleet import Fleet
from e2e.hub import HubProcess
from e2e.waiting import eventually

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("in_order")]

NAME = "adapted"
CLAIM = "adapters"
WORDS = "The quick brown fox. The quick brown fox. The quick brown"
CLAIMED = {name: f"pvc://{CLAIM}/{name}" for name in ("polite", "sql", "poetic", "broken")}
FETCHED = {name: f"hf://tiny-org/{name}" for name in ("legal", "french")}
STRENGTHS = {"polite": 4, "sql": 8, "poetic": 16, "legal": 32, "french": 64, "broken": 16}
"""lora_alpha: the same matrices, weighed differently, so that each adapter answers in its own way."""

FIRST = ("polite", "legal")
"""One of each kind is there from the start: the claim is mounted, and what fetches runs."""
ADDED = ("sql", "poetic", "french")


def _adapter(folder: Path, name: str) -> None:
    shutil.copytree(tiny_model.ensure("adapter"), folder / name)
    file = folder / name / "adapter_config.json"
    configuration = json.loads(file.read_text())
    configuration["lora_alpha"] = STRENGTHS[name]
    if name == "broken":
        configuration["r"] = 512  # more than the engines are told to expect
    file.write_text(json.dumps(configuration))


@pytest.fixture(scope="module")
def hub(fleet: Fleet, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """The hub with two of the adapters, and a claim with the others."""
    folder = tmp_path_factory.mktemp("adapters")
    folder.chmod(0o755)
    for name in STRENGTHS:
        _adapter(folder, name)
    volume, wanted = tiny_model.volume_and_claim(namespace, CLAIM, folder)
    fleet.kubectl.must("delete", "pv", volume["metadata"]["name"], "--ignore-not-found", "--timeout=60s")
    fleet.kubectl.must("apply", "-f", "-", given=[volume, wanted])
    repositories = {f"tiny-org/{name}": folder / name for name in FETCHED}
    with HubProcess(fleet, tmp_path_factory.mktemp("hub"), repositories, hold=("nothing", 0)) as running:
        yield running
    fleet.kubectl.must("delete", "pv", volume["metadata"]["name"], "--wait=false")


def _apply(fleet: Fleet, namespace: str, hub: HubProcess, *adapters: str, replicas: int = 1) -> None:
    sources = {**CLAIMED, **FETCHED}
    spec: dict[str, Any] = {
        "model": {"source": "pvc://models/tiny", "maxLength": 512},
        "accelerator": {"profile": "cpu"},
        "engine": {
            "image": VLLM_CPU, "enforceEager": True, "kvCacheMemory": "64Mi", "maxSequences": 4, "env": [{"name": "HF_ENDPOINT", "value": hub.url}],
        },
        "adapters": {"items": [{"name": name, "source": sources[name]} for name in adapters]},
        "replicas": replicas,
    }  # fmt: skip
    manifest = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": {"name": NAME}, "spec": spec}
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=manifest)


def _states(fleet: Fleet, namespace: str, wanted: Mapping[str, str]) -> bool:
    """The status names these adapters in these states, and shows them."""
    found = fleet.service(NAME, namespace)["status"].get("adapters", [])
    assert {adapter["name"]: adapter["state"] for adapter in found} == wanted, found
    print(f"status.adapters: {json.dumps(found)}")
    return True


def _loaded(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "Loaded")


def _served(fleet: Fleet, pod: Mapping[str, Any]) -> set[str]:
    """Names that a pod answers to, by itself."""
    status, answer = fleet.ask(f"http://{pod['status']['podIP']}:8000/v1/models")
    assert status == 200, answer
    return {model["id"] for model in json.loads(answer)["data"]}


def _answers(fleet: Fleet, base: str, *names: str) -> dict[str, str]:
    """What each says to the same words, shown."""
    found = {}
    for name in names:
        body = {"model": name, "prompt": WORDS, "max_tokens": 16, "temperature": 0, "ignore_eos": True}
        status, answer = fleet.ask(f"{base}/completions", body=body)
        assert status == 200, (name, answer)
        found[name] = json.loads(answer)["choices"][0]["text"]
        print(f"{name:>10} answers {found[name]!r}")
    return found


def _same_container(fleet: Fleet, namespace: str) -> tuple[str, int]:
    """The only replica's pod and how often its engine was started again: neither changes when adapters do."""
    ready = fleet.ready_engines(NAME, namespace)
    assert len(ready) == 1, [pod["metadata"]["name"] for pod in ready]
    return ready[0]["metadata"]["uid"], _engine(ready[0])["restartCount"]


def _engine(pod: Mapping[str, Any]) -> dict[str, Any]:
    (status,) = [status for status in pod["status"]["containerStatuses"] if status["name"] == "engine"]
    return dict(status)


@pytest.fixture(scope="module")
def first(fleet: Fleet, namespace: str, hub: HubProcess) -> tuple[str, int]:
    """The replica that all tests are about, with the first two adapters."""
    _apply(fleet, namespace, hub, *FIRST)
    fleet.wait_ready(NAME, namespace)
    return _same_container(fleet, namespace)


async def test_a_replica_is_ready_only_with_its_adapters(fleet: Fleet, namespace: str, first: tuple[str, int]) -> None:
    (pod,) = fleet.ready_engines(NAME, namespace)
    assert _served(fleet, pod) == {NAME, *FIRST}
    await eventually(lambda: _states(fleet, namespace, _loaded(*FIRST)))
    await eventually(lambda: fleet.condition(NAME, namespace, "AdaptersReady")["status"] == "True")


async def test_three_more_are_loaded_into_the_running_engine(fleet: Fleet, namespace: str, hub: HubProcess, first: tuple[str, int]) -> None:
    _apply(fleet, namespace, hub, *FIRST, *ADDED)
    await eventually(lambda: _states(fleet, namespace, _loaded(*FIRST, *ADDED)), within_seconds=90)
    assert _same_container(fleet, namespace) == first
    assert set(fleet.service(NAME, namespace)["status"]["endpoint"]["models"]) == {NAME, *FIRST, *ADDED}
    said = _answers(fleet, fleet.url(NAME, namespace), NAME, *FIRST, *ADDED)
    assert len(set(said.values())) == len(said), "each answers in its own way"


async def test_a_bad_one_fails_alone(fleet: Fleet, namespace: str, hub: HubProcess, first: tuple[str, int]) -> None:
    _apply(fleet, namespace, hub, *FIRST, *ADDED, "broken")
    await eventually(lambda: _states(fleet, namespace, {**_loaded(*FIRST, *ADDED), "broken": "Failed"}), within_seconds=90)
    (broken,) = [adapter for adapter in fleet.service(NAME, namespace)["status"]["adapters"] if adapter["name"] == "broken"]
    assert "rank" in broken["message"], broken
    failed = fleet.condition(NAME, namespace, "AdaptersReady")
    assert (failed["status"], failed["reason"]) == ("False", "AdapterFailed"), failed
    assert "broken" in failed["message"], failed
    assert fleet.condition(NAME, namespace, "Available")["status"] == "True"
    assert _same_container(fleet, namespace) == first
    _answers(fleet, fleet.url(NAME, namespace), NAME, *FIRST, *ADDED)


async def test_what_is_removed_is_unloaded_and_no_other(fleet: Fleet, namespace: str, hub: HubProcess, first: tuple[str, int]) -> None:
    _apply(fleet, namespace, hub, *FIRST, "poetic", "french")
    await eventually(lambda: _states(fleet, namespace, _loaded(*FIRST, "poetic", "french")), within_seconds=90)
    (pod,) = fleet.ready_engines(NAME, namespace)
    await eventually(lambda: _served(fleet, pod) == {NAME, *FIRST, "poetic", "french"})
    assert _same_container(fleet, namespace) == first
    url = fleet.url(NAME, namespace)
    assert fleet.ask(f"{url}/completions", body={"model": "sql", "prompt": WORDS})[0] == 404
    _answers(fleet, url, NAME, *FIRST, "poetic", "french")


async def test_an_engine_that_starts_again_has_them_before_it_is_ready(fleet: Fleet, namespace: str, first: tuple[str, int]) -> None:
    (pod,) = fleet.ready_engines(NAME, namespace)
    before = _answers(fleet, fleet.url(NAME, namespace), "poetic", "french")
    for process in fleet.cluster.processes_of(_engine(pod)["containerID"]):
        os.kill(process.pid, signal.SIGKILL)

    def again() -> bool:
        return _same_container(fleet, namespace) == (first[0], first[1] + 1)

    await eventually(again, within_seconds=240, every_seconds=1, what="the engine has started again in the same pod")
    assert _served(fleet, pod) == {NAME, *FIRST, "poetic", "french"}
    assert _answers(fleet, fleet.url(NAME, namespace), "poetic", "french") == before


async def test_a_new_replica_has_them_before_it_is_ready(fleet: Fleet, namespace: str, first: tuple[str, int]) -> None:
    fleet.kubectl.must("-n", namespace, "scale", f"llm/{NAME}", "--replicas=2")
    await eventually(lambda: len(fleet.ready_engines(NAME, namespace)) == 2, within_seconds=240, every_seconds=1, what="the second replica answers")
    (new,) = [pod for pod in fleet.ready_engines(NAME, namespace) if pod["metadata"]["uid"] != first[0]]
    assert _served(fleet, new) == {NAME, *FIRST, "poetic", "french"}
    _answers(fleet, f"http://{new['status']['podIP']}:8000/v1", NAME, *FIRST, "poetic", "french")
    await eventually(lambda: _states(fleet, namespace, _loaded(*FIRST, "poetic", "french")))
