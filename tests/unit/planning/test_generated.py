"""Specifications made from the whole API: the fast tier of tests/integration/properties, which asks the API server and vLLM's parser too."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import pytest

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.api.v1alpha1 import LLMService
from llmfleet.planning.checks import Subject, findings
from llmfleet.planning.parse import parse, parse_profile
from llmfleet.planning.plan import plan
from llmfleet.vllm import versions
from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.command_line import read
from tests.integration.properties.agreement import Judged, judge, manifest
from tests.integration.properties.specifications import Specifications

CASES = 400


@pytest.fixture(scope="module")
def judged() -> Sequence[Judged]:
    specifications = Specifications(seed=3, versions=versions.SUPPORTED)
    return [judge(spec, specifications.facts(spec)) for spec in (specifications.next() for _ in range(CASES))]


def test_every_refusal_names_a_field(judged: Sequence[Judged]) -> None:
    assert [message for each in judged for message in each.ours if not message.startswith("spec")] == []


def test_some_are_accepted_and_some_are_refused(judged: Sequence[Judged]) -> None:
    assert CASES // 10 < sum(not each.ours for each in judged) < CASES * 9 // 10


def test_what_is_accepted_becomes_arguments_that_vllm_takes(judged: Sequence[Judged]) -> None:
    for each in judged:
        if not each.ours and each.arguments is not None and each.version is not None:
            _, *flags = each.arguments
            problems = read(flags, catalogue(each.version)).problems
            assert [problem for problem in problems if not (problem.pluggable and "image" in each.spec.get("engine", {}))] == [], each.spec


def test_every_version_has_its_turn(judged: Sequence[Judged]) -> None:
    assert {each.version for each in judged if not each.ours} == {*versions.SUPPORTED}


def test_whatever_is_known_of_a_model_is_planned_with() -> None:
    specifications, profiles = Specifications(seed=4), built_in_profiles()
    for _, (name, profile) in zip(range(CASES), cycle(profiles.items()), strict=False):
        spec = specifications.next()
        service, facts = parse(manifest(spec)), specifications.facts(spec)
        if isinstance(service, LLMService):
            found = findings(Subject(name="chat", spec=service.spec, profiles=profiles, default_profile=name, facts=facts))
            assert all(violation.message.startswith("spec") for violation in found)
            assert plan(service.spec, facts, profile, versions.DEFAULT).reason


def test_a_profile_is_read_or_refused_by_a_field() -> None:
    specifications = Specifications(seed=5)
    outcomes = []
    for _ in range(CASES):
        made: dict[str, Any] = {
            "apiVersion": "llmfleet.dev/v1alpha1",
            "kind": "AcceleratorProfile",
            "metadata": {"name": "a"},
            "spec": specifications.profile(),
        }
        read_profile = parse_profile(made)
        outcomes.append(isinstance(read_profile, tuple))
        assert not isinstance(read_profile, tuple) or all(violation.field.startswith("spec") for violation in read_profile)
    assert any(outcomes)
    assert not all(outcomes)
