"""Every typed field arrives in a real vLLM as it was asked for, and the KV cache holds the tokens that the plan said."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from e2e import host_engines
from e2e.cluster import tiny_model, vllm_environment
from e2e.host_engines import HostEngines
from e2e.readback import Readback, disagreements
from e2e.variants import CLAIM, KEYS, OBJECTS, VARIANTS, Variant
from llmfleet.api.accelerator import built_in_profiles
from llmfleet.api.facts import ModelFacts
from llmfleet.planning.figures import NOTHING
from llmfleet.planning.parse import parse
from llmfleet.planning.plan import Plan, plan
from llmfleet.resources.blueprint import Blueprint, Owner, Platform
from llmfleet.resources.children import children


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
    pod = children(blueprint)[0]["spec"]["template"]["spec"]
    wanted = host_engines.order(pod, claims={CLAIM: tiny_model.ensure().parent}, objects=OBJECTS, scratch=scratch)
    said = engines.read(wanted, port=_free_port(), key=KEYS[0] if variant.name == "api-keys" else None, within_seconds=150)
    assert [
        *disagreements(variant, said, model=f"/models/{variant.model}"),
        *missed_tokens(variant, plan(service.spec, facts(variant.model), blueprint.profile, vllm_environment.VLLM_VERSION), said),
    ] == []


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
