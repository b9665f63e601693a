"""What our checks accept, the API server and vLLM accept; what vLLM's parser refuses, we refused by the name of a field."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from e2e.cluster import vllm_environment
from e2e.cluster.controlplane import ControlPlane
from llmfleet import names
from llmfleet.planning.parse import parse_profile
from llmfleet.vllm import versions
from tests.integration.properties.agreement import Parser, Server, Tally, judge
from tests.integration.properties.specifications import Specifications
from tools.catalogue.environment import interpreter

CASES: Final = int(os.environ.get("LLMFLEET_PROPERTY_CASES", "20000"))
SEED: Final = int(os.environ.get("LLMFLEET_PROPERTY_SEED", "1"))
VERSIONS: Final = tuple(os.environ.get("LLMFLEET_PROPERTY_VERSIONS", versions.DEFAULT).split(","))
"""vLLM versions whose parsers are asked. Those beside the default are installed when missing, so that CI asks the default alone."""

BATCH: Final = 40
"""Cases under way at once: so many argument lists fit the pipe to the parser."""

PROFILES: Final = 1000


@pytest.fixture(scope="module")
def parsers() -> Iterator[Mapping[str, Parser]]:
    with ExitStack() as running:
        started = {}
        for version in VERSIONS:
            python, packages = (vllm_environment.host_python(), None) if version == versions.DEFAULT else interpreter(version)
            started[version] = running.enter_context(Parser(python, packages))
        yield started


@pytest.fixture
def server(control_plane: ControlPlane, session: aiohttp.ClientSession, installed: Path) -> Server:
    return Server(session, control_plane.server)


@pytest.mark.timeout(7200)
async def test_nobody_refuses_what_we_accept(server: Server, parsers: Mapping[str, Parser], tmp_path: Path) -> None:
    specifications = Specifications(SEED, VERSIONS)
    tally = Tally()
    for _ in range(0, CASES, BATCH):
        batch = [judge(spec, specifications.facts(spec)) for spec in (specifications.next() for _ in range(BATCH))]
        # The API server and the parsers are processes of their own: all work at once.
        parsing = [asyncio.to_thread(parser.ask, [judged for judged in batch if judged.version == version]) for version, parser in parsers.items()]
        await asyncio.gather(server.ask(batch), *parsing)
        for judged in batch:
            tally.add(judged)
    report = "\n".join(f"{name}: {count}" for name, count in tally.counts.items())
    print(f"\nseed {SEED}, vLLM {', '.join(VERSIONS)}\n{report}")
    (tmp_path / "disagreements.jsonl").write_text("".join(json.dumps({"why": j.disagreement, "spec": j.spec}) + "\n" for j in tally.disagreements))
    shown = "\n".join(f"{judged.disagreement}\n  spec: {json.dumps(judged.spec)}\n  arguments: {judged.arguments}" for judged in tally.disagreements[:5])
    assert not tally.disagreements, f"{len(tally.disagreements)} of {tally.counts['cases']} disagreements, all in {tmp_path}\n{shown}"
    # A run in which hardly anything is accepted, or nothing is refused, says nothing.
    for name in ("accepted", "refused by us", "refused by the API server", "refused by vLLM's parser"):
        assert tally.counts[name] > tally.counts["cases"] // 50, report


async def test_the_api_server_takes_the_profiles_that_we_take(server: Server) -> None:
    specifications = Specifications(SEED)
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for _ in range(0, PROFILES, BATCH):
        batch = [
            {"apiVersion": names.API_VERSION, "kind": names.ACCELERATOR_PROFILE, "metadata": {"name": "a"}, "spec": specifications.profile()}
            for _ in range(BATCH)
        ]
        for manifest, refusal in zip(batch, await server.profile_refusals(batch), strict=True):
            ours = parse_profile(manifest)
            outcomes[isinstance(ours, tuple), refusal is not None] += 1
            assert isinstance(ours, tuple) or refusal is None, f"{refusal}\n{json.dumps(manifest)}"
            assert not isinstance(ours, tuple) or all(violation.field.startswith("spec") for violation in ours), ours
    assert min(outcomes[True, True], outcomes[False, False]) > PROFILES // 20, outcomes
