"""`llmfleet render`: the very manifests that the operator applies, by the very function."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from llmfleet import names
from llmfleet.cli.documents import Document, Input
from llmfleet.cli.objects import Finding, surroundings
from llmfleet.kube.ownership import stamped
from llmfleet.reconcile.desired import Accepted, Installation, Refused, desired
from llmfleet.reconcile.inputs import config_maps, digest
from llmfleet.resources.blueprint import Manifest, Platform

JOB = "Job"
"""Kind of what is made to find something out or to fetch something, and goes when it is done."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What came of one input."""

    manifests: tuple[Manifest, ...]
    findings: tuple[Finding, ...]
    """Refusals and warnings of the checks."""
    missing: tuple[str, ...]
    """ConfigMaps that are referred to and not among the input, each with the words that say so."""


def render(given: Input, platform: Platform, default_profile: str, *, jobs: bool) -> Rendered:
    """Render every LLMService of the input, in its order: the cache's claim first, then the workload, then the rest. With `jobs` also those."""
    around = surroundings(given, default_profile, lambda _source: None)
    installation = Installation(platform=platform, profiles=around.profiles, default_profile=default_profile)
    contents = {(document.namespace, document.name): document.content for document in given.objects if document.kind == "ConfigMap" and not document.group}
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    missing: list[str] = []
    for document in given.of_kind(names.LLMSERVICE):
        referenced = [name for name, _ in config_maps(document.content.get("spec") or {})]
        known = {name: digest(contents[document.namespace, name]) for name in referenced if (document.namespace, name) in contents}
        missing += [_missing(document, name) for name in referenced if name not in known]
        decision = desired(document.content, installation, {name: found for name, found in known.items() if found is not None})
        findings += [Finding(document, violation) for violation in (decision.violations if isinstance(decision, Refused) else decision.warnings)]
        if isinstance(decision, Accepted):
            manifests += [_as_applied(manifest) for manifest in _wanted(decision, jobs=jobs)]
    return Rendered(tuple(manifests), tuple(findings), tuple(missing))


def as_yaml(manifests: tuple[Manifest, ...]) -> str:
    """A stream of documents that kubectl takes."""
    without_shared_parts = json.loads(json.dumps(manifests))  # or YAML would write anchors
    return "".join("---\n" + yaml.safe_dump(manifest, sort_keys=False, width=160, allow_unicode=True) for manifest in without_shared_parts)


def _wanted(decision: Accepted, *, jobs: bool) -> Iterator[Manifest]:
    yield from (manifest for manifest in decision.prerequisites if jobs or manifest["kind"] != JOB)
    yield from decision.children


def _as_applied(manifest: Manifest) -> Manifest:
    """As it is sent. An LLMService that no cluster has stored has no uid: then what the uid goes into, the owner and the hash of it all, is left out."""
    metadata = manifest["metadata"]
    if all(owner["uid"] for owner in metadata.get("ownerReferences", ())):
        return stamped(manifest)
    return {**manifest, "metadata": {field: value for field, value in metadata.items() if field != "ownerReferences"}}


def _missing(document: Document, name: str) -> str:
    return (
        f"{document.where('spec')}: {document.about}: warning: ConfigMap {name} is not among the input: the annotation {names.ANNOTATION_CONFIG}, "
        "by which its content rolls out, does not cover it; give it with another -f"
    )
