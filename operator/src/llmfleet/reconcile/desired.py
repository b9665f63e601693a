"""From what a user wrote to what should exist: pure, and the same for the operator, the CLI and the tests.

In two steps, because what is known of the model is looked up by what the first one renders: `drafted` reads and completes the specification, `decided` checks
it against what is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.v1alpha1 import LLMServiceSpec, LLMServiceStatus
from llmfleet.names import Reason
from llmfleet.planning.checks import Subject, findings, violations
from llmfleet.planning.parse import parse
from llmfleet.planning.plan import Plan
from llmfleet.planning.violation import Violation
from llmfleet.reconcile.knowledge import Knowledge, Waiting
from llmfleet.resources import location, model_jobs
from llmfleet.resources.blueprint import Blueprint, Manifest, Owner, Platform
from llmfleet.resources.children import children


@dataclass(frozen=True, slots=True)
class Installation:
    """What the cluster's administrator decided."""

    platform: Platform
    profiles: Mapping[str, AcceleratorProfile]
    default_profile: str
    invalid_profiles: Mapping[str, str] = field(default_factory=dict)
    """AcceleratorProfile objects that cannot be read, by name, with what is wrong; the built-in profile of such a name does not stand in for it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A specification that can be read and completed; the model is not looked at yet."""

    blueprint: Blueprint
    subject: Subject
    status: LLMServiceStatus | None
    """What was said last."""
    inspection: Manifest
    """The Job that looks at the model."""
    download: Manifest | None
    """The Job that fills the cache; None without one."""
    claim: Manifest | None
    """The claim that is made for the cache; None without a cache, or with somebody else's claim."""

    @property
    def cache_claim(self) -> str:
        """Name of the cache's claim; empty without a cache."""
        return location.cache_claim(self.blueprint) or ""

    @property
    def cache_path(self) -> str:
        """The model's directory on it."""
        return location.cache_directory(self.blueprint.spec.model.source)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The checks pass."""

    spec: LLMServiceSpec
    version: str
    """The engine's version."""
    blueprint: Blueprint
    plan: Plan
    warnings: tuple[Violation, ...]
    """Worth saying, and not refused."""
    prerequisites: tuple[Manifest, ...]
    """What is made before the children, until it has done its work: the Job that looks at the model, the cache's claim, the Job that fills it."""
    waiting: Waiting | None
    """Why the children are held back; None where they are not."""
    children: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The checks do not pass; what runs goes on as it is."""

    violations: tuple[Violation, ...]
    plan: Plan | None = None
    """The arithmetic, where it came that far."""

    @property
    def message(self) -> str:
        """Every violation with its remedy, one after the other."""
        return "; ".join(violation.message for violation in self.violations)

    @property
    def reason(self) -> Reason:
        """DoesNotFit only if there is nothing else to mend."""
        return Reason.DOES_NOT_FIT if all(violation.reason is Reason.DOES_NOT_FIT for violation in self.violations) else Reason.INVALID


def desired(raw: Manifest, installation: Installation, configuration: Mapping[str, str], knowledge: Knowledge | None = None) -> Accepted | Refused:
    """Decide what should exist for the LLMService `raw`, as the API server stores it; without knowledge nothing is known of the model."""
    draft = drafted(raw, installation, configuration)
    return draft if isinstance(draft, Refused) else decided(draft, knowledge)


def drafted(raw: Manifest, installation: Installation, configuration: Mapping[str, str]) -> Draft | Refused:
    """Read and complete a specification; refuse what is wrong whatever the model is like."""
    service = parse(raw)
    if isinstance(service, tuple):
        return Refused(service)
    metadata, spec = service.metadata, service.spec
    subject = Subject(name=metadata.name, spec=spec, profiles=installation.profiles, default_profile=installation.default_profile)
    if wrong := installation.invalid_profiles.get(subject.profile_name):
        remedy = f"correct it (kubectl edit acceleratorprofile {subject.profile_name}), or choose another profile"
        return Refused((Violation("spec.accelerator.profile", subject.profile_name, f"the AcceleratorProfile of this name is invalid: {wrong}", remedy),))
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
    return Draft(
        blueprint=blueprint,
        subject=subject,
        status=service.status,
        inspection=model_jobs.inspection(blueprint),
        download=model_jobs.download(blueprint),
        claim=model_jobs.claim(blueprint),
    )


def decided(draft: Draft, knowledge: Knowledge | None = None) -> Accepted | Refused:
    """Check a draft against what is known of its model; None is a model that nobody looked at and nobody waits for."""
    subject, blueprint = replace(draft.subject, facts=knowledge.facts if knowledge is not None else None), draft.blueprint
    found, arithmetic = findings(subject), subject.plan
    if refusals := tuple(violation for violation in found if not violation.warning):
        return Refused(refusals, arithmetic)
    return Accepted(
        spec=blueprint.spec,
        version=subject.version,
        blueprint=blueprint,
        plan=arithmetic,
        warnings=found,
        prerequisites=tuple(manifest for manifest in (draft.inspection, draft.claim, draft.download) if manifest is not None),
        waiting=knowledge.waiting if knowledge is not None else None,
        children=children(blueprint),
    )
