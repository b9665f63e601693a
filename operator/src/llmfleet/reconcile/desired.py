"""From what a user wrote to what should exist: pure, and the same for the operator, the CLI and the tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.checks import Subject, violations
from llmfleet.planning.parse import parse
from llmfleet.planning.violation import Violation
from llmfleet.resources.blueprint import Blueprint, Manifest, Owner, Platform
from llmfleet.resources.children import children


@dataclass(frozen=True, slots=True)
class Installation:
    """What the cluster's administrator decided."""

    platform: Platform
    profiles: Mapping[str, AcceleratorProfile]
    default_profile: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The checks pass."""

    spec: LLMServiceSpec
    version: str
    """The engine's version."""
    blueprint: Blueprint
    children: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The checks do not pass; what runs goes on as it is."""

    violations: tuple[Violation, ...]

    @property
    def message(self) -> str:
        """Every violation with its remedy, one after the other."""
        return "; ".join(violation.message for violation in self.violations)


def desired(raw: Manifest, installation: Installation, configuration: Mapping[str, str]) -> Accepted | Refused:
    """Decide what should exist for the LLMService `raw`, as the API server stores it."""
    service = parse(raw)
    if isinstance(service, tuple):
        return Refused(service)
    metadata, spec = service.metadata, service.spec
    subject = Subject(name=metadata.name, spec=spec, profiles=installation.profiles, default_profile=installation.default_profile)
    found = violations(subject)
    if found or subject.profile is None or subject.image is None:
        return Refused(found)
    blueprint = Blueprint(
        owner=Owner(metadata.namespace, metadata.name, metadata.uid),
        spec=spec,
        profile=subject.profile,
        image=subject.image,
        platform=installation.platform,
        configuration=configuration,
    )
    return Accepted(spec, subject.version, blueprint, children(blueprint))
