"""Every typed field arrives in a real vLLM as it was asked for, and the KV cache holds the tokens that the plan said."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from e2e import host_engines
from e2e.cluster import tiny_model, vllm_environment
from e2e.fleet import Fleet
from e2e.host_engines import HostEngines
from e2e.ports import free_port
from e2e.readback import Readback, disagreements
from e2e.variants import CLAIM, OBJECTS, ON_THE_NODE, VARIANTS, Variant
from e2e.waiting import eventually
from llmfleet import names
from llmfleet.api.accelerator import built_in_profiles
from llmfleet.api.facts import ModelFacts
from llmfleet.planning.figures import NOTHING
from llmfleet.planning.parse import parse
from llmfleet.planning.plan import Plan, plan
from llmfleet.resources.blueprint import Blueprint, Owner, Platform
from llmfleet.resources.children import children

ALL_ON_THE_NODE = "LLMFLEET_VARIANTS"
"""Variable that is set to `all` by `make variants`."""

NODE_VARIANTS = [variant for variant in VARIANTS if variant.name in ON_THE_NODE or os.environ.get(ALL_ON_THE_NODE) == "all"]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def engines(scratch: Path) -> Iterator[HostEngines]:
    with HostEngines(scratch) as forks:
        yield forks


@pytest.mark.timeout(200)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_vllm_starts_on_this_machine_with_exactly_what_was_asked(variant: Variant, engines: HostEngines, scratch: Path) -> None:
    service = parse(variant.manifest())
    assert not isinstance(service, tuple), service
    blueprint = Blueprint(Owner("variants", variant.name, "uid"), service.spec, built_in_profiles()["cpu"], "image", Platform("runtime", 3), {})
    workload, *others = children(blueprint)
    pod = workload["spec"]["template"]["spec"]
    wanted = host_engines.order(pod, claims={CLAIM: tiny_model.ensure().parent}, objects=[*OBJECTS, *others], scratch=scratch)
    said = engines.read(wanted, port=free_port(), key=variant.key, pooling=variant.pooling, within_seconds=150)
    assert [
        *disagreements(variant, said, model=f"/models/{variant.model}"),
        *missed_tokens(variant, plan(service.spec, facts(variant.model), blueprint.profile, vllm_environment.VLLM_VERSION), said),
    ] == []


@pytest.fixture(scope="module")
def objects(fleet: Fleet, namespace: str) -> None:
    """What variants refer to, in the module's namespace."""
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=list(OBJECTS))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("objects")
@pytest.mark.parametrize("variant", NODE_VARIANTS, ids=lambda variant: variant.name)
async def test_vllm_starts_on_the_node_with_exactly_what_was_asked(variant: Variant, fleet: Fleet, namespace: str) -> None:
    fleet.kubectl.must("apply", "-f", "-", given=variant.manifest(namespace))
    try:
        fleet.wait_ready(variant.name, namespace)
        (pod,) = fleet.ready_engines(variant.name, namespace)
        base = f"http://{pod['status']['podIP']}:{names.ENGINE_PORT}"
        log = fleet.kubectl.must("-n", namespace, "logs", pod["metadata"]["name"], "-c", "engine", "--tail=-1")
        models = json.loads(fleet.ask(f"{base}/v1/models", key=variant.key)[1])["data"]
        said = Readback(log, fleet.ask(f"{base}/metrics")[1], tuple(models))
        assert list(disagreements(variant, said, model=f"/models/{variant.model}")) == []
        if "memoryUtilization" not in variant.spec.get("engine", {}):
            await eventually(lambda: _tokens_by_status(fleet, variant, namespace, said), within_seconds=30)
    finally:
        fleet.kubectl.must("-n", namespace, "delete", "llm", variant.name, "--cascade=foreground", "--timeout=120s")


def _tokens_by_status(fleet: Fleet, variant: Variant, namespace: str, said: Readback) -> bool:
    """The plan in the status, estimated and measured, is what the log says."""
    tokens = fleet.service(variant.name, namespace)["status"]["plan"].get("kvTokens", {})
    low, high = (tokens.get("estimated", {}).get(bound, 0) for bound in ("low", "high"))
    assert tokens.get("measured") == said.kv_tokens, (tokens, said.kv_tokens)
    assert low <= (said.kv_tokens or 0) <= high, (tokens, said.kv_tokens)
    assert low == high or variant.name == "draft", tokens
    return True


@cache
def facts(model: str) -> ModelFacts:
    """Return what the runtime's inspection finds, as in the cluster."""
    command = [sys.executable, "-m", "llmfleet_runtime", "inspect", str(tiny_model.ensure(model))]
    return ModelFacts.model_validate_json(subprocess.run(command, check=True, capture_output=True).stdout)


def missed_tokens(variant: Variant, planned: Plan, said: Readback) -> Iterator[str]:
    """Yield how the plan's tokens differ from the log's. A number that was given must be hit; where vLLM measures for itself nothing can be."""
    if "memoryUtilization" in variant.spec.get("engine", {}):
        return
    tokens = planned.kv_tokens or NOTHING
    if variant.name == "draft":
        if not tokens.low <= (said.kv_tokens or 0) <= tokens.high:
            yield f"KV cache: planned {tokens}, vLLM has {said.kv_tokens}"
    elif (tokens.low, tokens.high) != (said.kv_tokens or 0, said.kv_tokens or 0):
        yield f"KV cache: planned {tokens}, vLLM has {said.kv_tokens}"
