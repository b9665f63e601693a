"""`llmfleet plan`: whether a model fits, on one kind of accelerator with every line of the bill, or on several side by side."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from llmfleet import names
from llmfleet.api.facts import ModelFacts
from llmfleet.cli.console import table
from llmfleet.cli.exit_status import CommandError, ExitStatus
from llmfleet.cli.facts import HOW, from_config
from llmfleet.planning.checks import Subject, findings
from llmfleet.planning.figures import Range, gib, gib_range
from llmfleet.planning.parse import parse
from llmfleet.planning.plan import Plan, Verdict
from llmfleet.planning.review import Surroundings, facts_of
from llmfleet.planning.violation import Violation


@dataclass(frozen=True, slots=True)
class Planned:
    """One service on one kind of accelerator."""

    accelerator: str
    """Name of the profile."""
    plan: Plan
    findings: tuple[Violation, ...]
    """Refusals and warnings of the checks."""

    @property
    def possible(self) -> bool:
        """Whether it would be accepted."""
        return self.plan.verdict is not Verdict.DOES_NOT_FIT and all(violation.warning for violation in self.findings)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One service on every kind of accelerator that was asked for."""

    namespace: str
    name: str
    source: str
    facts: ModelFacts | None
    planned: tuple[Planned, ...]

    @property
    def status(self) -> ExitStatus:
        """Refused only where it is on all of them."""
        return ExitStatus.OK if any(planned.possible for planned in self.planned) else ExitStatus.REFUSED


OPTIONS: Final = {
    "tensor": ("parallelism", "tensor"),
    "pipeline": ("parallelism", "pipeline"),
    "max_length": ("model", "maxLength"),
    "quantization": ("quantization", "method"),
    "kv_cache": ("quantization", "kvCache"),
}
"""Options of the command that override a field, with the field's place in spec."""


def of_model(source: str) -> dict[str, Any]:
    """The smallest LLMService of a model."""
    return {"apiVersion": names.API_VERSION, "kind": names.LLMSERVICE, "metadata": {"name": "model"}, "spec": {"model": {"source": source}}}


def changed(raw: Mapping[str, Any], options: Mapping[str, int | str | None]) -> dict[str, Any]:
    """An LLMService with those of OPTIONS that are given."""
    copied: dict[str, Any] = copy.deepcopy(dict(raw))
    for option, value in options.items():
        if value is not None:
            part, field = OPTIONS[option]
            copied["spec"] = {**copied["spec"], part: {**copied["spec"].get(part, {}), field: value}}
    return copied


def compare(raw: Mapping[str, Any], around: Surroundings, accelerators: Sequence[str], config: Path | None) -> Comparison:
    """Plan the LLMService `raw` for each accelerator; its own, or the default one, where none is asked for.

    CommandError for what is no LLMService, and for a profile that does not exist.
    """
    service = parse(raw)
    if isinstance(service, tuple):
        raise CommandError("\n".join(violation.message for violation in service), ExitStatus.REFUSED)
    spec = service.spec
    facts = from_config(config, spec.model.source) if config is not None else facts_of(service, around)
    planned = []
    for name in accelerators or [spec.accelerator.profile or around.default_profile]:
        if name not in around.profiles:
            known = ", ".join(sorted(around.profiles))
            raise CommandError(f"there is no accelerator profile {name}; there are {known}: choose one, or give yours with -f")
        wanted = spec.model_copy(update={"accelerator": spec.accelerator.model_copy(update={"profile": name})})
        subject = Subject(name=service.metadata.name, spec=wanted, profiles=around.profiles, default_profile=around.default_profile, facts=facts)
        planned.append(Planned(name, subject.plan, findings(subject)))
    return Comparison(service.metadata.namespace, service.metadata.name, spec.model.source, facts, tuple(planned))


def as_json(comparisons: Sequence[Comparison]) -> str:
    """For programs; sizes are bytes of one accelerator."""
    return json.dumps([_wire(comparison) for comparison in comparisons], indent=2)


def _wire(comparison: Comparison) -> dict[str, Any]:
    return {
        "namespace": comparison.namespace,
        "name": comparison.name,
        "source": comparison.source,
        "plans": [
            {
                "accelerator": planned.accelerator,
                **asdict(planned.plan),
                "findings": [{"severity": "warning" if found.warning else "error", "message": found.message} for found in planned.findings],
            }
            for planned in comparison.planned
        ],
    }


def show(console: Console, comparison: Comparison) -> None:
    """For people: the bill of one, or several side by side."""
    console.print(f"{comparison.namespace}/{comparison.name}: {comparison.source}", style="bold")
    if len(comparison.planned) == 1:
        _bill(console, comparison.planned[0])
    else:
        _side_by_side(console, comparison.planned)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    for planned in comparison.planned:
        prefix = "" if len(comparison.planned) == 1 else f"{planned.accelerator}: "
        say(f"\n{prefix}{planned.plan.verdict.value}: {planned.plan.reason}")
        for found in planned.findings:
            if found.rule != planned.plan.reason:  # said already
                say(f"- {'warning: ' if found.warning else ''}{found.message}")
            elif not planned.plan.alternatives:
                say(f"- {found.remedy}")
        for change in planned.plan.alternatives:
            say(f"- set {change.field} to {change.value} -> {change.verdict.value}: {change.figures}")
    if comparison.facts is None:
        say(f"\nNothing is known of the model: {HOW}.")


def _bill(console: Console, planned: Planned) -> None:
    """Every line with its formula."""
    known = planned.plan
    lines = table("PER ACCELERATOR", "LOW", "HIGH", "HOW", numbers=frozenset({"LOW", "HIGH"}))
    if known.capacity_bytes is not None:
        lines.add_row("memory", gib(known.capacity_bytes), gib(known.capacity_bytes), f"profile {planned.accelerator}")
    for term in known.terms:
        lines.add_row(term.name, gib(term.size.low), gib(term.size.high), term.formula)
    if known.kv_cache is not None:
        lines.add_row("KV cache", gib(known.kv_cache.low), gib(known.kv_cache.high), "what is left")
    if lines.row_count:
        console.print(lines)
    replica = table("PER REPLICA", "LOW", "HIGH", "HOW", numbers=frozenset({"LOW", "HIGH"}))
    replica.add_row("accelerators", str(known.accelerators_per_replica), str(known.accelerators_per_replica), "tensor x pipeline x data")
    for label, value, how in _replica(known):
        replica.add_row(label, f"{value.low:,}", f"{value.high:,}", how)
    console.print(replica)


def _replica(known: Plan) -> list[tuple[str, Range, str]]:
    """What a replica offers: label, numbers, how they follow."""
    per_token = f"{known.kv_bytes_per_token:,} bytes for each further one" if known.kv_bytes_per_token is not None else ""
    found = [("tokens in the KV cache", known.kv_tokens, per_token)]
    if known.max_length is not None:
        found.append((f"requests of {known.max_length:,} tokens", known.concurrency, "at once"))
    found.append(("largest context", known.largest_context, "of one request alone"))
    return [(label, value, how) for label, value, how in found if value is not None]


def _side_by_side(console: Console, planned: Sequence[Planned]) -> None:
    lines = table("", *(one.accelerator for one in planned))
    lines.add_row("verdict", *(one.plan.verdict.value for one in planned))
    lines.add_row("accelerators", *(str(one.plan.accelerators_per_replica) for one in planned))
    lines.add_row("memory of each", *(gib(size) if (size := one.plan.capacity_bytes) is not None else "unknown" for one in planned))
    for label, field in (
        ("weights", "weights"),
        ("activations", "activations"),
        ("CUDA graphs", "cuda_graphs"),
        ("other", "overhead"),
        ("KV cache", "kv_cache"),
    ):
        lines.add_row(label, *(_or_unknown(getattr(one.plan, field), gib_range) for one in planned))
    for label, field in (("tokens in the KV cache", "kv_tokens"), ("requests of full length", "concurrency"), ("largest context", "largest_context")):
        lines.add_row(label, *(_or_unknown(getattr(one.plan, field), _numbers) for one in planned))
    console.print(lines)


def _or_unknown(value: Range | None, shown: Callable[[Range], str]) -> str:
    return "unknown" if value is None else shown(value)


def _numbers(value: Range) -> str:
    return f"{value.low:,}" if value.low == value.high else f"{value.low:,} to {value.high:,}"
