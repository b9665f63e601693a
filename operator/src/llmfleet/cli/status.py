"""`llmfleet status`: the fleet as the cluster has it, each fact with the kind of evidence that there is for it.

Declared is what a person wrote (spec). Computed is what the operator reckoned (plan, arguments, demand, how a change is rolled out). Reported is what the
engines say of themselves. Observed is what was seen from outside (pods, conditions, the model's source, how an engine ended). Nothing is written.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from llmfleet import names
from llmfleet.cli.console import harmless, table
from llmfleet.kube.objects import is_ready
from llmfleet.planning.figures import gib

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, by kind of evidence; None where there is none of that kind."""

    fact: str
    declared: str | None = None
    computed: str | None = None
    reported: str | None = None
    observed: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One LLMService with its engine pods, as the API server gives them."""

    raw: Object
    pods: Sequence[Object] = ()

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.raw["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])


def facts(service: Service) -> tuple[Fact, ...]:
    """Everything that is known of a service and of which there is some evidence."""
    found = (*_specified(service), *_reckoned(service), *_run(service), *_seen(service))
    return tuple(fact for fact in found if any((fact.declared, fact.computed, fact.reported, fact.observed)))


def _specified(service: Service) -> Iterator[Fact]:
    raw, spec, status = service.raw, _below(service.raw, "spec"), _below(service.raw, "status")
    yield Fact("generation", declared=_text(_at(raw, "metadata", "generation")), observed=_text(status.get("observedGeneration")))
    yield Fact("model", declared=_text(_at(spec, "model", "source")), observed=_text(_at(status, "model", "facts", "revision")))
    bounds = f"{_at(spec, 'autoscaling', 'minReplicas') or 1} to {_at(spec, 'autoscaling', 'maxReplicas')}" if "autoscaling" in spec else None
    seen = f"{status.get('readyReplicas', 0)} of {status['replicas']} answering" if "replicas" in status else None
    declared = bounds or _text(spec.get("replicas")) or "1 (default)"
    yield Fact("replicas", declared=declared, computed=_text(_at(status, "autoscaling", "demand")), observed=seen)
    yield Fact("accelerator", declared=_text(_at(spec, "accelerator", "profile")) or "the operator's default")
    yield Fact(
        "accelerators per replica",
        declared=_product(_below(spec, "parallelism")),
        computed=_text(_at(status, "plan", "acceleratorsPerReplica")),
    )
    yield Fact(
        "engine",
        declared=_text(_at(spec, "engine", "version")),
        computed=_text(_at(status, "engine", "version")),
        reported=_text(_at(status, "engine", "reportedVersion")),
    )
    yield Fact("image", declared=_text(_at(spec, "engine", "image")), computed=_text(_at(status, "engine", "image")))
    yield Fact("arguments", declared=_joined(_at(spec, "engine", "extraArgs")), computed=_joined(_at(status, "engine", "arguments")))
    cache = _below(spec, "model", "cache")
    done = _at(status, "model", "cache", "progress") or ("complete" if _at(status, "model", "cache", "complete") else None)
    yield Fact("cache", declared=_text(cache.get("claimName") or cache.get("storage")), observed=_text(done))


def _reckoned(service: Service) -> Iterator[Fact]:
    plan = _below(service.raw, "status", "plan")
    yield Fact("fits", computed=_text(plan.get("verdict")))
    for label, *path in (("weights", "memory", "weights"), ("KV cache", "memory", "kvCache")):
        estimated, measured = _at(plan, *path, "estimated"), _at(plan, *path, "measuredBytes")
        yield Fact(label, computed=_sizes(estimated), reported=gib(measured) + _error(_at(plan, *path)) if measured is not None else None)
    tokens = _below(plan, "kvTokens")
    measured = f"{tokens['measured']:,}{_error(tokens)}" if "measured" in tokens else None
    yield Fact("tokens in the KV cache", computed=_numbers(tokens.get("estimated")), reported=measured)
    yield Fact("context", declared=_text(_at(service.raw, "spec", "model", "maxLength")), computed=_numbers(plan.get("largestContext")))


def _run(service: Service) -> Iterator[Fact]:
    """How the engines started, how one ended, which adapters they have, and how a change gets to them."""
    spec, status = _below(service.raw, "spec"), _below(service.raw, "status")
    phases = _listed(_at(status, "engine", "startup"))
    took = ", ".join(f"{phase.get('name')} {phase.get('seconds')} s" for phase in phases)
    yield Fact("start", declared=_limit(_at(spec, "engine", "startTimeout")), reported=took or None)
    failure = _below(status, "engine", "lastFailure")
    yield Fact("last failure", observed=_failed(failure))
    rollout = _below(status, "rollout")
    chosen = ": ".join(filter(None, (_text(rollout.get("strategy")), _text(rollout.get("message")))))
    waiting = f"waiting: {rollout['waitingFor']}" if rollout.get("waitingFor") else None
    held = _failed(_below(rollout, "held"), "held: ")
    yield Fact("rollout", declared=_text(_at(spec, "rollout", "strategy")), computed=chosen or None, observed=held or waiting)
    sources = {item.get("name"): _text(item.get("source")) for item in _listed(_at(spec, "adapters", "items"))}
    states = {item.get("name"): item for item in _listed(status.get("adapters"))}
    for name in (*sources, *(name for name in states if name not in sources)):
        said = states.get(name, {})
        words = ": ".join(filter(None, (_text(said.get("state")), _text(said.get("message")))))
        yield Fact(f"adapter {name}", declared=sources.get(name), reported=words or None)


def _limit(timeout: object) -> str | None:
    return None if timeout is None else f"at most {timeout}"


def _failed(failure: Object, prefix: str = "") -> str | None:
    """How an engine ended: where in its life, on which pod, in whose words and with which remedy."""
    if not failure:
        return None
    place = ", ".join(filter(None, (_text(failure.get("state")), f"pod {failure.get('pod')}")))
    return f"{prefix}{failure.get('reason')} ({place}): {failure.get('message', '')}"


def _seen(service: Service) -> Iterator[Fact]:
    status = _below(service.raw, "status")
    yield Fact("endpoint", observed=_text(_at(status, "endpoint", "url")))
    for condition in status.get("conditions", ()):
        words = ": ".join(filter(None, (f"{condition['status']} {condition['reason']}", condition.get("message"))))
        yield Fact(condition["type"], observed=words)
    for pod in service.pods:
        yield Fact(f"pod {pod['metadata']['name']}", observed=_pod(pod))


def _pod(pod: Object) -> str:
    status = pod.get("status") or {}
    restarts = sum(container.get("restartCount", 0) for container in status.get("containerStatuses", ()))
    words = [str(status.get("phase", "Unknown")), "ready" if is_ready(pod) else "not ready"]
    words += [f"restarted {restarts} times"] if restarts else []
    words += [f"on {node}"] if (node := _at(pod, "spec", "nodeName")) else []
    return ", ".join(words)


def as_json(services: Sequence[Service]) -> str:
    """For programs."""
    shown = [{"namespace": one.namespace, "name": one.name, "facts": [_given(fact) for fact in facts(one)]} for one in services]
    return json.dumps({"services": shown}, indent=2)


def _given(fact: Fact) -> dict[str, str]:
    return {kind: value for kind, value in asdict(fact).items() if value is not None}


def show_fleet(console: Console, services: Sequence[Service]) -> None:
    """One line for each service."""
    lines = table("NAMESPACE", "NAME", "READY", "REASON", "ANSWERING", "FITS", "ENGINE", "MODEL")
    for service in services:
        status = _below(service.raw, "status")
        ready: Object = next((condition for condition in status.get("conditions", ()) if condition["type"] == names.ConditionType.READY), {})
        cells = (
            service.namespace,
            service.name,
            ready.get("status", "Unknown"),
            ready.get("reason", ""),
            f"{status.get('readyReplicas', 0)}/{status.get('replicas', 0)}",
            _text(_at(status, "plan", "verdict")) or "",
            _text(_at(status, "engine", "version")) or "",
            _text(_at(service.raw, "spec", "model", "source")) or "",
        )
        lines.add_row(*map(harmless, cells))
    console.print(lines)


def show(console: Console, service: Service) -> None:
    """Every fact of one service."""
    console.print(f"{service.namespace}/{service.name}", style="bold")
    lines = table("FACT", "DECLARED", "COMPUTED", "REPORTED", "OBSERVED")
    for fact in facts(service):
        lines.add_row(*(harmless(text or "") for text in (fact.fact, fact.declared, fact.computed, fact.reported, fact.observed)))
    console.print(lines)
    declared, observed = _at(service.raw, "metadata", "generation"), _at(service.raw, "status", "observedGeneration")
    if declared != observed:
        console.print(f"\nThe operator has not looked at generation {declared} yet: what is not declared is about {observed or 'nothing'}.")


def _at(value: Any, *path: str) -> Any:
    """What stands at a path; None where it leads nowhere, whatever somebody may have stored."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _below(value: Any, *path: str) -> Object:
    """The object at a path; an empty one where there is none."""
    found = _at(value, *path)
    return found if isinstance(found, Mapping) else {}


def _listed(value: object) -> list[Object]:
    """The objects of a list; none where it is something else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _joined(arguments: object) -> str | None:
    return " ".join(map(str, arguments)) if isinstance(arguments, list) and arguments else None


def _product(parallelism: Object) -> str:
    sizes = {name: parallelism.get(name, 1) for name in ("tensor", "pipeline", "data")}
    return " x ".join(f"{name} {size}" for name, size in sizes.items() if size != 1) or "1"


def _sizes(bounds: Object | None) -> str | None:
    return f"{gib(bounds['low'])} to {gib(bounds['high'])}" if bounds else None


def _numbers(bounds: Object | None) -> str | None:
    return f"{bounds['low']:,} to {bounds['high']:,}" if bounds else None


def _error(compared: Object) -> str:
    return f" ({compared['errorPercent']:+d} %)" if compared.get("errorPercent") is not None else ""
