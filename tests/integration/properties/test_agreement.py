"""What our checks accept, the API server and vLLM accept; what vLLM's parser refuses, we refused by the name of a field."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from e2e.cluster import vllm_environment
from e2e.cluster.controlplane import ControlPlane
from llmfleet.vllm import versions
from tests.integration.properties.agreement import Parser, Tally, judge, server_refusals
from tests.integration.properties.specifications import Specifications

CASES: Final = int(os.environ.get("LLMFLEET_PROPERTY_CASES", "20000"))
SEED: Final = int(os.environ.get("LLMFLEET_PROPERTY_SEED", "1"))

BATCH: Final = 40
"""Cases under way at once: so many argument lists fit the pipe to the parser."""


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser(vllm_environment.host_python()) as parser:
        yield parser


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("installed")
async def test_nobody_refuses_what_we_accept(control_plane: ControlPlane, session: aiohttp.ClientSession, parser: Parser, tmp_path: Path) -> None:
    specifications = Specifications(SEED)
    tally = Tally()
    for _ in range(0, CASES, BATCH):
        batch = [judge(specifications.next()) for _ in range(BATCH)]
        for judged, refusal in zip(batch, await server_refusals(session, control_plane.server, [judged.spec for judged in batch]), strict=True):
            judged.server = refusal
        parsed = [(judged, judged.arguments) for judged in batch if judged.arguments is not None and judged.version == versions.DEFAULT]
        for (judged, _), refusal in zip(parsed, parser.refusals([arguments for _, arguments in parsed]), strict=True):
            judged.vllm = refusal
        for judged in batch:
            tally.add(judged)
    report = "\n".join(f"{name}: {count}" for name, count in tally.counts.items())
    print(f"\nseed {SEED}\n{report}")
    (tmp_path / "disagreements.jsonl").write_text("".join(json.dumps({"why": j.disagreement, "spec": j.spec}) + "\n" for j in tally.disagreements))
    shown = "\n".join(f"{judged.disagreement}\n  spec: {json.dumps(judged.spec)}\n  arguments: {judged.arguments}" for judged in tally.disagreements[:5])
    assert not tally.disagreements, f"{len(tally.disagreements)} of {tally.counts['cases']} disagreements, all in {tmp_path}\n{shown}"
    # A run in which hardly anything is accepted, or nothing is refused, says nothing.
    for name in ("accepted", "refused by us", "refused by the API server", "refused by vLLM's parser"):
        assert tally.counts[name] > tally.counts["cases"] // 50, report
