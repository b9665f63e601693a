"""The launcher's own page for Prometheus, in its text format (version 0.0.4)."""

from collections.abc import Iterator, Mapping, Sequence

from llmfleet_runtime.adapters import AdapterState
from llmfleet_runtime.adapters import State as Adapter
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.report import Seen
from llmfleet_runtime.startup import Duration


def page(life: Lifecycle, seen: Seen) -> str:
    """Everything that changes over an engine's life; what vLLM counts itself is on vLLM's own page."""
    families = (
        _family("state", "gauge", "1 for the state in which the launcher is, 0 for the others.", _states(life.state)),
        _family("phase_seconds", "gauge", "Time that each phase of the start took, or has taken so far.", _phases(seen.phases)),
        _family("requests_in_flight", "gauge", "Requests from their first byte to their last; absent while nobody counts.", _in_flight(seen.in_flight)),
        _family("requests_cut_total", "counter", "Requests in flight when the engine was stopped all the same.", [({}, life.cut)]),
        _family("adapter", "gauge", "1 for the state in which an adapter is, 0 for the others.", _adapters(seen.adapters)),
    )
    return "".join(line + "\n" for family in families for line in family)


Sample = tuple[Mapping[str, str], float]


def _states(present: State) -> Iterator[Sample]:
    return (({"state": state}, float(state is present)) for state in State)


def _phases(phases: Sequence[Duration]) -> Iterator[Sample]:
    return (({"phase": duration.phase}, duration.seconds) for duration in phases)


def _in_flight(in_flight: int | None) -> list[Sample]:
    return [] if in_flight is None else [({}, in_flight)]


def _adapters(adapters: Sequence[AdapterState]) -> Iterator[Sample]:
    return (({"name": adapter.name, "state": state}, float(state is adapter.state)) for adapter in adapters for state in Adapter)


def _family(name: str, kind: str, text: str, samples: "Iterator[Sample] | list[Sample]") -> Iterator[str]:
    name = f"llmfleet_launcher_{name}"
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        written = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        yield f"{name}{{{written}}} {value:g}" if written else f"{name} {value:g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
