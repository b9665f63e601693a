"""Every file in examples/: those whose model is on the node become Ready, the others are accepted and name what they wait for."""

from collections.abc import Iterator

import pytest
import yaml

from e2e.fleet import REPOSITORY, Fleet, answers
from e2e.waiting import eventually

FILES = sorted(path.name for path in (REPOSITORY / "examples").glob("*.yaml"))
ON_THE_NODE = [name for name in FILES if name.startswith("pvc-")]
ELSEWHERE = [name for name in FILES if not name.startswith("pvc-")]


def service_name(file: str) -> str:
    """The name of an example's service; an AcceleratorProfile may stand beside it."""
    documents = yaml.safe_load_all((REPOSITORY / "examples" / file).read_text())
    return next(str(document["metadata"]["name"]) for document in documents if document["kind"] == "LLMService")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", ON_THE_NODE)
async def test_an_example_whose_model_is_here_becomes_ready_and_answers(file: str, fleet: Fleet, namespace: str) -> None:
    path = str(REPOSITORY / "examples" / file)
    fleet.kubectl.must("-n", namespace, "apply", "-f", path)
    name = service_name(file)
    try:
        fleet.wait_ready(name, namespace)
        model = fleet.service(name, namespace)["status"]["endpoint"]["models"][0]
        (answer,) = answers(fleet.chat(fleet.url(name, namespace), model, max_tokens=4), within_seconds=120)
        assert answer.complete, answer
    finally:
        # Two engines at once are all that a small machine bears.
        fleet.kubectl.must("-n", namespace, "delete", "-f", path, "--cascade=foreground", "--timeout=120s")


@pytest.fixture(scope="module")
def gpu_namespace(fleet: Fleet, namespace: str) -> Iterator[str]:
    """The namespace with all examples for GPU clusters applied: they wait side by side."""
    for file in ELSEWHERE:
        fleet.kubectl.must("-n", namespace, "apply", "-f", str(REPOSITORY / "examples" / file))
    yield namespace
    fleet.kubectl.must("delete", "acceleratorprofiles", "--all")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("file", ELSEWHERE)
async def test_an_example_for_a_gpu_cluster_is_accepted_and_names_what_it_waits_for(file: str, fleet: Fleet, gpu_namespace: str) -> None:
    name = service_name(file)

    def named() -> bool:
        assert fleet.condition(name, gpu_namespace, "Accepted")["status"] == "True"
        ready = fleet.condition(name, gpu_namespace, "Ready")
        assert ready["status"] == "False", ready
        # The node reaches no hub: first that is told, and after three attempts the engine is started without knowing the model.
        told = ready["reason"] in {"ImagePullFailed", "Unschedulable", "ConfigError"} or "trying again" in ready["message"]
        assert told, ready
        return bool(ready["message"])

    await eventually(named, within_seconds=150, what="Ready=False names what it waits for")
