"""`llmfleet render`: the very manifests that the operator applies, by the very function."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from llmfleet import names
from llmfleet.cli.documents import Document, Input
from llmfleet.cli.objects import Finding, surroundings
from llmfleet.cli.yaml_tree import resolved
from llmfleet.kube.ownership import stamped
from llmfleet.planning.review import review
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
    findings = [Finding(profile, violation) for profile in given.of_kind(names.ACCELERATOR_PROFILE) for violation in review(profile.content, around)]
    missing: list[str] = []
    for document in given.of_kind(names.LLMSERVICE):
        referenced = [name for name, _ in config_maps(document.content.get("spec") or {})]
        known = {name: digest(contents[document.namespace, name]) for name in referenced if (document.namespace, name) in contents}
        missing += [_missing(document, name) for name in referenced if name not in known]
        decision = desired(document.content, installation, {name: found for name, found in known.items() if found is not None})
        findings += [Finding(document, violation) for violation in (decision.violations if isinstance(decision, Refused) else decision.warnings)]
        if isinstance(decision, Accepted):
            # What comes before the engines is made where it is not there, and bears no hash: it is never applied again.
            manifests += [_offline(manifest) for manifest in decision.prerequisites if jobs or manifest["kind"] != JOB]
            manifests += [_applied(manifest) for manifest in decision.children]
    return Rendered(tuple(manifests), tuple(findings), tuple(missing))


class _Dumper(yaml.SafeDumper):
    """Quotes what kubectl would read as something else than text: to PyYAML `y` and `1e3` are words."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Line separators that YAML folds and JSON does not know stand as escapes, as do numbers and the like in quotes.
    style = '"' if any(separator in text for separator in "\x85\u2028\u2029") else None if isinstance(resolved(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(manifests: Sequence[Manifest]) -> str:
    """A stream of documents that kubectl takes."""
    plain = json.loads(json.dumps(manifests))  # texts and nothing derived from them
    return "".join("---\n" + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=160, allow_unicode=True) for manifest in plain)


def _applied(manifest: Manifest) -> Manifest:
    """A child as it is sent, with the hash of it all; without one where the owner, which goes into it, is not known."""
    sent = _offline(manifest)
    return stamped(sent) if sent is manifest else sent


def _offline(manifest: Manifest) -> Manifest:
    """An LLMService that no cluster has stored has no uid: then what it would go into is left out."""
    metadata = manifest["metadata"]
    if all(owner["uid"] for owner in metadata.get("ownerReferences", ())):
        return manifest
    return {**manifest, "metadata": {field: value for field, value in metadata.items() if field != "ownerReferences"}}


def _missing(document: Document, name: str) -> str:
    return (
        f"{document.where('spec')}: {document.about}: warning: ConfigMap {name} is not among the input: the annotation {names.ANNOTATION_CONFIG}, "
        "by which its content rolls out, does not cover it; give it with another -f"
    )
