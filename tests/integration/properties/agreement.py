"""Three judges of one specification: our checks, the API server's schema and vLLM's parser. Whoever disagrees is a defect of ours."""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from llmfleet import names
from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMService
from llmfleet.planning.checks import Subject, violations
from llmfleet.planning.parse import parse
from llmfleet.resources.blueprint import Blueprint, Owner, Platform
from llmfleet.resources.children import children
from llmfleet.resources.engine_pod import engine_arguments
from llmfleet.vllm import versions

PARSER: Final = Path(__file__).with_name("vllm_parser.py")

Manifest = dict[str, Any]


@dataclass(slots=True)
class Judged:
    """One specification and what each judge says of it; None is no objection."""

    spec: Manifest
    ours: tuple[str, ...]
    """Messages of our refusal, each beginning with a field; empty where we accept."""
    arguments: list[str] | None
    """What vLLM would be given, also where we refuse; None where the specification cannot be read."""
    workload: Manifest | None = None
    """The workload that we would apply; None where we refuse, or the template is not touched."""
    version: str | None = None
    server: str | None = None
    """The API server's refusal of the object, or of the workload that we make of it."""
    vllm: str | None = None
    with_facts: bool = False

    @property
    def disagreement(self) -> str | None:
        """What is wrong with our judgement, if anything is."""
        if self.ours:
            nameless = [message for message in self.ours if not message.startswith(("spec", "metadata.name"))]
            return f"a refusal that names no field: {nameless[0]}" if nameless else None
        if self.server is not None:
            return f"accepted, but the API server refuses it: {self.server}"
        if self.vllm is not None:
            return f"accepted, but vLLM refuses its arguments: {self.vllm}"
        return None


@dataclass(slots=True)
class Tally:
    """How often who refused: a run in which nobody refuses, or everybody, proves nothing."""

    counts: Counter[str] = field(default_factory=Counter)
    disagreements: list[Judged] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        """Count one specification."""
        self.counts["cases"] += 1
        self.counts["accepted"] += not judged.ours
        self.counts["refused by us"] += bool(judged.ours)
        self.counts["refused by the API server"] += judged.server is not None
        self.counts["refused by vLLM's parser"] += judged.vllm is not None
        self.counts["refused by us alone"] += bool(judged.ours) and judged.server is None and judged.vllm is None
        self.counts["with facts of the model"] += judged.with_facts
        self.counts["workloads asked"] += judged.workload is not None
        if judged.disagreement is not None:
            self.disagreements.append(judged)


def judge(spec: Manifest, facts: ModelFacts | None = None) -> Judged:
    """Ask our own checks, and render the arguments even of what they refuse."""
    service = parse(manifest(spec))
    if not isinstance(service, LLMService):
        return Judged(spec, tuple(violation.message for violation in service), None)
    subject = Subject(name=service.metadata.name, spec=service.spec, profiles=built_in_profiles(), facts=facts)
    found = tuple(violation.message for violation in violations(subject))
    platform = Platform(runtime_image="runtime", minimum_drain_seconds=3)
    owner = Owner(service.metadata.namespace, service.metadata.name, "uid")
    blueprint = Blueprint(
        owner=owner, spec=service.spec, profile=subject.profile or AcceleratorProfile(), image=subject.image or "image", platform=platform, configuration={}
    )
    known = subject.version in versions.SUPPORTED
    return Judged(
        spec,
        found,
        engine_arguments(blueprint) if known else None,
        workload=children(blueprint)[0] if not found and service.spec.template.spec else None,
        version=subject.version,
        with_facts=facts is not None,
    )


def manifest(spec: Manifest) -> Manifest:
    """Return the object around a specification."""
    return {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "metadata": {"name": "chat", "namespace": "default"}, "spec": spec}


class Parser:
    """vLLM's parser of one version, in a process of its own."""

    def __init__(self, python: Path | str, packages: Path | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(packages)} if packages else None
        self._process = subprocess.Popen([python, PARSER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> "Parser":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def ask(self, judged: Sequence[Judged]) -> None:
        """Write down what the parser says of several specifications; of one that cannot be rendered, nothing."""
        rendered = [(each, each.arguments) for each in judged if each.arguments is not None]
        for (each, _), refusal in zip(rendered, self.refusals([arguments for _, arguments in rendered]), strict=True):
            each.vllm = refusal

    def refusals(self, arguments: Sequence[list[str]]) -> list[str | None]:
        """What the parser says of each; a batch must fit the pipes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for items in arguments:
            self._process.stdin.write(json.dumps(items) + "\n")
        self._process.stdin.flush()
        answers = [self._process.stdout.readline() for _ in arguments]
        assert all(answers), "vLLM's parser has ended"
        return [json.loads(answer)["refused"] for answer in answers]


@dataclass(slots=True)
class Server:
    """The API server, asked for dry runs with strict validation of fields."""

    session: aiohttp.ClientSession
    address: str

    async def ask(self, judged: Sequence[Judged]) -> None:
        """Write down what it says of several specifications, and of the workloads that we make of them."""
        for each, refusal in zip(judged, await asyncio.gather(*map(self._refusal, judged)), strict=True):
            each.server = refusal

    async def profile_refusals(self, profiles: Sequence[Manifest]) -> list[str | None]:
        """What it says of several accelerator profiles."""
        return list(await asyncio.gather(*(self._refused(names.ACCELERATOR_PROFILES, profile) for profile in profiles)))

    async def _refusal(self, judged: Judged) -> str | None:
        refused = await self._refused(f"namespaces/default/{names.LLMSERVICES}", manifest(judged.spec))
        return await self._workload_refused(judged.workload) if refused is None and judged.workload is not None else refused

    async def _refused(self, path: str, wanted: Manifest) -> str | None:
        url = f"{self.address}/apis/{names.API_VERSION}/{path}?dryRun=All&fieldValidation=Strict"
        async with self.session.post(url, json=wanted) as response:
            return None if response.status == 201 else str((await response.json())["message"])

    async def _workload_refused(self, workload: Manifest) -> str | None:
        """A pod's own rules go further than our checks; its refusal is shown to the user and names the field of the template, so it is none here."""
        url = f"{self.address}/apis/apps/v1/namespaces/default/deployments?dryRun=All&fieldValidation=Strict"
        async with self.session.post(url, json=workload) as response:
            if response.status == 201:
                return None
            answer = await response.json()
            causes = answer.get("details", {}).get("causes", ()) if response.status == 422 else ()
            return None if causes and all(cause["field"].startswith("spec.template.spec") for cause in causes) else str(answer["message"])
