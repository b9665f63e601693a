"""Everything there is to say of an object that a person wrote: the same for the terminal, for admission and for CI."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmfleet import names
from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMService
from llmfleet.planning.checks import Subject, findings
from llmfleet.planning.parse import parse, parse_profile
from llmfleet.planning.violation import Violation


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an object is looked at with."""

    profiles: Mapping[str, AcceleratorProfile]
    """The profiles that exist, by name."""
    default_profile: str
    """Profile of a service that names none."""
    facts: Callable[[str], ModelFacts | None] = lambda _source: None
    """What is known of a model, by its source."""


def review(raw: Mapping[str, Any], around: Surroundings) -> tuple[Violation, ...]:
    """Refusals and warnings for an LLMService or an AcceleratorProfile, as the API server stores it or a file holds it."""
    return _REVIEWS[str(raw.get("kind"))](raw, around)


def _service(raw: Mapping[str, Any], around: Surroundings) -> tuple[Violation, ...]:
    service = parse(raw)
    if isinstance(service, tuple):
        return service
    facts = facts_of(service, around)
    return findings(Subject(name=service.metadata.name, spec=service.spec, profiles=around.profiles, default_profile=around.default_profile, facts=facts))


def facts_of(service: LLMService, around: Surroundings) -> ModelFacts | None:
    """What is known of a service's model: from around, else what an object as the cluster holds it brings along, unless its source has changed since."""
    source = service.spec.model.source
    if (known := around.facts(source)) is not None:
        return known
    kept = service.status.model.facts if service.status is not None and service.status.model is not None else None
    return kept if kept is not None and kept.source == source else None


def _profile(raw: Mapping[str, Any], _around: Surroundings) -> tuple[Violation, ...]:
    profile = parse_profile(raw)
    return profile if isinstance(profile, tuple) else ()


_REVIEWS: Final = {names.LLMSERVICE: _service, names.ACCELERATOR_PROFILE: _profile}

KINDS: Final = tuple(_REVIEWS)
"""Kinds that can be reviewed."""
