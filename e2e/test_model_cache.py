"""A model that is fetched once: from a hub into a claim, through a kill, and from there into engines that ask nobody; in the order in which it happens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import tiny_model
from e2e.cluster.images import VLLM_CPU
from e2e.fleet import Fleet, answers
from e2e.hub import TOKEN, HubProcess
from e2e.waiting import eventually

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("in_order")]

SOURCE = "hf://tiny-org/deepseek@main"
WEIGHTS = "model.safetensors"
HELD_AT_BYTES = 2 * 1024**2
"""Of 2.4 MB: the runtime has written at least the first mebibyte by then."""

CLAIM = "cache"


@pytest.fixture(scope="module")
def hub(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("hub")
    repositories = {"tiny-org/deepseek": tiny_model.ensure("deepseek"), "tiny-org/gated": tiny_model.ensure("tiny")}
    with HubProcess(fleet, folder, repositories, gated=("tiny-org/gated",), hold=(WEIGHTS, HELD_AT_BYTES)) as running:
        yield running


@pytest.fixture(scope="module")
def claim(fleet: Fleet, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty claim that many may write; its folder on the node, which is this machine."""
    folder = tmp_path_factory.mktemp("claim")
    folder.chmod(0o777)  # fsGroup does not reach a hostPath
    volume, wanted = tiny_model.volume_and_claim(namespace, CLAIM, folder, access_mode="ReadWriteMany")
    fleet.kubectl.must("delete", "pv", volume["metadata"]["name"], "--ignore-not-found", "--timeout=60s")
    fleet.kubectl.must("apply", "-f", "-", given=[volume, wanted])
    yield folder
    fleet.kubectl.must("delete", "pv", volume["metadata"]["name"], "--wait=false")


def _service(name: str, hub: HubProcess, source: str = SOURCE, **model: Any) -> dict[str, Any]:
    return {
        "apiVersion": "llmfleet.dev/v1alpha1",
        "kind": "LLMService",
        "metadata": {"name": name},
        "spec": {
            "model": {"source": source, "maxLength": 512, **model},
            "accelerator": {"profile": "cpu"},
            "engine": {
                "image": VLLM_CPU,
                "enforceEager": True,
                "kvCacheMemory": "64Mi",
                "maxSequences": 4,
                "env": [{"name": "HF_ENDPOINT", "value": hub.url}],
            },
        },
    }


def _cached(name: str, hub: HubProcess) -> dict[str, Any]:
    return _service(name, hub, cache={"claimName": CLAIM})


def _fetching(fleet: Fleet, namespace: str) -> list[dict[str, Any]]:
    """Download pods that run."""
    pods = fleet.kubectl.items("pods", namespace, "-l", "llmfleet.dev/role=download")
    return [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]


async def test_while_the_cache_is_filled_the_model_is_known_and_the_progress_is_shown(fleet: Fleet, namespace: str, hub: HubProcess, claim: Path) -> None:
    hub.shut()
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=_cached("first", hub))

    def shown() -> bool:
        cache = fleet.service("first", namespace).get("status", {}).get("model", {}).get("cache", {})
        assert 0 < cache.get("bytesDone", 0) < cache.get("bytesTotal", 0), cache
        return True

    await eventually(lambda: hub.reads(WEIGHTS), within_seconds=90, what="the weights are being fetched")
    await eventually(shown, within_seconds=60)
    status = fleet.service("first", namespace)["status"]
    assert status["model"]["facts"]["config"]["model_type"] == "deepseek_v3"
    assert len(status["model"]["facts"]["revision"]) == 40
    assert status["plan"]["verdict"] == "Fits"
    assert fleet.condition("first", namespace, "ModelReady")["reason"] == "Downloading"
    table = fleet.kubectl.must("-n", namespace, "get", "llm", "first", "-o", "wide")
    assert "Downloading" in table
    assert status["model"]["cache"]["progress"] in table
    assert fleet.engines("first", namespace) == [], "no accelerator is taken before the model is there"


def test_a_fetch_that_is_killed_in_the_middle_goes_on_there(fleet: Fleet, namespace: str, hub: HubProcess, claim: Path) -> None:
    (pod,) = _fetching(fleet, namespace)
    fleet.kubectl.must("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    hub.open()
    fleet.wait_ready("first", namespace)
    starts = [int((read["range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0]) for read in hub.reads(WEIGHTS)]
    assert [start for start in starts if start >= 1024**2], f"it began anew: {starts}"
    assert fleet.condition("first", namespace, "ModelReady")["status"] == "True"
    (marker,) = claim.rglob(".llmfleet-complete.json")
    assert json.loads(marker.read_text())["source"] == SOURCE
    assert not list(claim.rglob("*.half"))


def test_the_engine_asked_no_hub(fleet: Fleet, namespace: str, hub: HubProcess) -> None:
    (pod,) = fleet.ready_engines("first", namespace)
    variables = {variable["name"]: variable.get("value") for variable in pod["spec"]["containers"][0]["env"]}
    assert variables["HF_HUB_OFFLINE"] == "1"
    # The held file came last; an engine that asks would do so after it.
    assert hub.requests()[-1] == hub.reads(WEIGHTS)[-1]
    (answer,) = answers(fleet.chat(fleet.url("first", namespace), "first", max_tokens=4), within_seconds=120)
    assert answer.complete, answer


async def test_a_second_service_of_the_same_model_and_claim_fetches_nothing(fleet: Fleet, namespace: str, hub: HubProcess) -> None:
    reads, jobs = len(hub.reads(WEIGHTS)), _downloads(fleet, namespace)
    second = _cached("second", hub)
    second["spec"]["replicas"] = 0  # the same engine would start from the same folder, and two of them take time
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=second)
    await eventually(lambda: fleet.condition("second", namespace, "ModelReady")["status"] == "True", within_seconds=60)
    assert _downloads(fleet, namespace) == jobs
    # The inspection reads the header, for which it asks far less than a fetch.
    assert [read for read in hub.reads(WEIGHTS)[reads:] if _asked_bytes(read) > 256 * 1024] == []
    folders = {_model_folder(fleet, name, namespace) for name in ("first", "second")}
    assert len(folders) == 1, folders


@pytest.mark.parametrize("secret", [None, "powerless"])
async def test_a_gated_model_names_the_secret_that_is_missing_or_does_not_open(fleet: Fleet, namespace: str, hub: HubProcess, secret: str | None) -> None:
    name = f"gated-{secret or 'bare'}"
    credentials = {"credentials": {"secretKeyRef": {"name": secret, "key": "token"}}} if secret else {}
    if secret:
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": {"token": "a-token-of-nobody"}}
        fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=manifest)
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=_service(name, hub, "hf://tiny-org/gated", **credentials))

    def told() -> bool:
        ready = fleet.condition(name, namespace, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "ModelUnavailable"), ready
        assert "tiny-org/gated" in ready["message"], ready
        assert (f"secret {secret} key token" if secret else "spec.model.credentials") in ready["message"], ready
        assert TOKEN not in ready["message"]
        return True

    try:
        await eventually(told, within_seconds=90)
        assert fleet.engines(name, namespace) == []
    finally:
        fleet.kubectl.must("-n", namespace, "delete", "llm", name, "--timeout=60s")


def _downloads(fleet: Fleet, namespace: str) -> set[str]:
    return {job["metadata"]["uid"] for job in fleet.kubectl.items("jobs", namespace, "-l", "llmfleet.dev/role=download")}


def _model_folder(fleet: Fleet, name: str, namespace: str) -> str:
    return str(fleet.service(name, namespace)["status"]["engine"]["arguments"][0])


def _asked_bytes(read: dict[str, Any]) -> int:
    first, _, last = (read["range"] or "bytes=0-").removeprefix("bytes=").partition("-")
    return int(last or HELD_AT_BYTES * 2) + 1 - int(first)
