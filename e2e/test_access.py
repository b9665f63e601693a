"""One engine with keys, an adapter and speculative decoding, as clients meet it; each test looks at the same running service, the last one changes it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.images import VLLM_CPU
from e2e.fleet import Fleet
from e2e.variants import KEYS, OBJECTS
from e2e.waiting import eventually
from llmfleet.api.accelerator import built_in_profiles

pytestmark = pytest.mark.timeout(400)

NAME = "shared"
ADAPTER = "sql"
SPEC: dict[str, Any] = {
    "model": {"source": "pvc://models/tiny"},
    "accelerator": {"profile": "cpu"},
    "engine": {
        "image": VLLM_CPU, "enforceEager": True, "kvCacheMemory": "64Mi", "maxSequences": 4,
        "speculative": {"method": "ngram", "tokens": 3, "lookupMax": 4, "lookupMin": 1},
    },
    "adapters": {"items": [{"name": ADAPTER, "source": "pvc://models/adapter"}]},
    "access": {"apiKeys": [{"secretKeyRef": {"name": "keys", "key": key}} for key in ("old", "new")]},
}  # fmt: skip


@pytest.fixture(scope="module")
def service(fleet: Fleet, namespace: str) -> str:
    """The service, ready; its base URL."""
    manifest = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": {"name": NAME}, "spec": SPEC}
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=[*OBJECTS, manifest])
    fleet.wait_ready(NAME, namespace)
    return fleet.url(NAME, namespace)


def _completion(fleet: Fleet, url: str, model: str, key: str = KEYS[0]) -> str:
    words = "The quick brown fox. The quick brown fox. The quick brown"
    body = {"model": model, "prompt": words, "max_tokens": 24, "temperature": 0, "ignore_eos": True}
    status, answer = fleet.ask(f"{url}/completions", key=key, body=body)
    assert status == 200, answer
    return str(json.loads(answer)["choices"][0]["text"])


def test_without_a_key_nobody_is_answered_and_each_key_opens(fleet: Fleet, service: str) -> None:
    assert fleet.ask(f"{service}/models")[0] == 401
    assert fleet.ask(f"{service}/models", key="no-such-key")[0] == 401
    assert [fleet.ask(f"{service}/models", key=key)[0] for key in KEYS] == [200, 200]


def test_the_keys_are_nowhere_but_in_their_secret(fleet: Fleet, namespace: str, service: str) -> None:
    (pod,) = fleet.ready_engines(NAME, namespace)
    log = fleet.kubectl.must("-n", namespace, "logs", pod["metadata"]["name"], "--all-containers")
    objects = fleet.kubectl.must("-n", namespace, "get", "llm,deployments,replicasets,pods,jobs,events,configmaps", "-o", "json")
    report = fleet.ask(f"http://{pod['status']['podIP']}:8001/report")[1]
    for key in KEYS:
        assert key not in log
        assert key not in objects
        assert key not in report


def test_an_adapter_answers_under_its_own_name_and_otherwise_than_the_model(fleet: Fleet, namespace: str, service: str) -> None:
    assert fleet.service(NAME, namespace)["status"]["endpoint"]["models"] == [NAME, ADAPTER]
    models = json.loads(fleet.ask(f"{service}/models", key=KEYS[1])[1])["data"]
    assert {model["id"]: model["parent"] for model in models} == {NAME: None, ADAPTER: NAME}
    plain, adapted = (_completion(fleet, service, model) for model in (NAME, ADAPTER))
    assert plain == _completion(fleet, service, NAME)
    assert adapted != plain


def test_tokens_are_guessed_by_the_ngrams_of_the_prompt(fleet: Fleet, namespace: str, service: str) -> None:
    _completion(fleet, service, NAME)
    (pod,) = fleet.ready_engines(NAME, namespace)
    metrics = fleet.ask(f"http://{pod['status']['podIP']}:8000/metrics")[1]
    drafts = [float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith("vllm:spec_decode_num_drafts_total{")]
    assert sum(drafts) > 0


@pytest.fixture
def profile(fleet: Fleet) -> Iterator[dict[str, Any]]:
    """An object that takes the place of the built-in profile `cpu`, with one variable more; taken away at the end."""
    spec = built_in_profiles()["cpu"].to_wire()
    spec["env"] = {**spec["env"], "OMP_NUM_THREADS": "1"}
    manifest = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": "cpu"}, "spec": spec}
    yield manifest
    fleet.kubectl.must("delete", "acceleratorprofile", "cpu", "--ignore-not-found")


@pytest.mark.usefixtures("service")
async def test_a_profile_of_the_cluster_reaches_the_services_that_use_it(fleet: Fleet, namespace: str, profile: dict[str, Any]) -> None:
    def threads() -> str | None:
        deployment = fleet.kubectl.get("deployment", f"{NAME}-engine", namespace)
        assert deployment is not None
        variables = {variable["name"]: variable.get("value") for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
        return variables.get("OMP_NUM_THREADS")

    assert threads() is None
    fleet.kubectl.must("apply", "-f", "-", given=profile)
    await eventually(lambda: threads() == "1", within_seconds=30)
    fleet.kubectl.must("delete", "-f", "-", given=profile)
    await eventually(lambda: threads() is None, within_seconds=30, what="the built-in profile counts again")
