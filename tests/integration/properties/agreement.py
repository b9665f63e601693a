"""Three judges of one specification: our checks, the API server's schema and vLLM's parser. Whoever disagrees is a defect of ours."""

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from llmfleet import names
from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.api.v1alpha1 import LLMService
from llmfleet.planning.checks import Subject, violations
from llmfleet.planning.parse import parse
from llmfleet.resources.blueprint import Blueprint, Owner, Platform
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
    version: str | None = None
    server: str | None = None
    vllm: str | None = None

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
        if judged.disagreement is not None:
            self.disagreements.append(judged)


def judge(spec: Manifest) -> Judged:
    """Ask our own checks, and render the arguments even of what they refuse."""
    service = parse(manifest(spec))
    if not isinstance(service, LLMService):
        return Judged(spec, tuple(violation.message for violation in service), None)
    profiles = built_in_profiles()
    subject = Subject(name=service.metadata.name, spec=service.spec, profiles=profiles)
    found = tuple(violation.message for violation in violations(subject))
    profile = subject.profile or AcceleratorProfile()
    platform = Platform(runtime_image="runtime", minimum_drain_seconds=3)
    owner = Owner(service.metadata.namespace, service.metadata.name, "uid")
    blueprint = Blueprint(owner=owner, spec=service.spec, profile=profile, image=subject.image or "image", platform=platform, configuration={})
    known = subject.version in versions.SUPPORTED
    return Judged(spec, found, engine_arguments(blueprint) if known else None, subject.version)


def manifest(spec: Manifest) -> Manifest:
    """Return the object around a specification."""
    return {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "metadata": {"name": "chat", "namespace": "default"}, "spec": spec}


class Parser:
    """vLLM's parser of one version, in a process of its own."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen([python, PARSER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> "Parser":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def refusals(self, arguments: Sequence[list[str]]) -> Iterator[str | None]:
        """Yield what the parser says of each; a batch must fit the pipes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for items in arguments:
            self._process.stdin.write(json.dumps(items) + "\n")
        self._process.stdin.flush()
        for _ in arguments:
            line = self._process.stdout.readline()
            assert line, "vLLM's parser has ended"
            yield json.loads(line)["refused"]


async def server_refusal(session: aiohttp.ClientSession, server: str, spec: Manifest) -> str | None:
    """Ask the API server for a dry run with strict validation of fields; None where it takes the object."""
    url = f"{server}/apis/{names.API_VERSION}/namespaces/default/{names.LLMSERVICES}?dryRun=All&fieldValidation=Strict"
    async with session.post(url, json=manifest(spec)) as response:
        return None if response.status == 201 else str((await response.json())["message"])


async def server_refusals(session: aiohttp.ClientSession, server: str, specs: Sequence[Manifest]) -> list[str | None]:
    """The same for several at once."""
    return list(await asyncio.gather(*(server_refusal(session, server, spec) for spec in specs)))
