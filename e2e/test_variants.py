"""Every typed field arrives in a real vLLM as it was asked for, and the KV cache holds the tokens that the plan said."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import host_engines
from e2e.cluster import tiny_model
from e2e.host_engines import HostEngines
from e2e.readback import disagreements
from e2e.variants import CLAIM, KEYS, OBJECTS, VARIANTS, Variant
from llmfleet.api.accelerator import built_in_profiles
from llmfleet.planning.parse import parse
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
    assert list(disagreements(variant, said, model=f"/models/{variant.model}")) == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
