from llmfleet_runtime import metrics
from llmfleet_runtime.adapters import AdapterState
from llmfleet_runtime.adapters import State as Adapter
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.metrics_page import page
from llmfleet_runtime.report import Seen
from llmfleet_runtime.startup import Duration, Phase


def life() -> Lifecycle:
    life = Lifecycle(lambda: 0.0)
    life.preflight_passed()
    return life


def samples(seen: Seen, life: Lifecycle) -> dict[tuple[str, ...], float]:
    return {(sample.name.removeprefix("llmfleet_launcher_"), *sample.labels.values()): sample.value for sample in metrics.parse(page(life, seen))}


def test_exactly_the_present_state_is_one() -> None:
    found = samples(Seen(), life())
    assert {state: found["state", state] for state in State} == {state: float(state is State.STARTING) for state in State}


def test_phases_adapters_and_requests_are_told() -> None:
    draining = life()
    draining.cut = 2
    seen = Seen(phases=[Duration(Phase.WEIGHTS, 61.25)], in_flight=7, adapters=[AdapterState('a"b\\c', "/adapters/1", Adapter.FAILED, "no")])
    text = page(draining, seen)
    assert 'llmfleet_launcher_phase_seconds{phase="Weights"} 61.25\n' in text
    assert "llmfleet_launcher_requests_in_flight 7\n" in text
    assert "llmfleet_launcher_requests_cut_total 2\n" in text
    assert 'llmfleet_launcher_adapter{name="a\\"b\\\\c",state="Failed"} 1\n' in text
    assert 'llmfleet_launcher_adapter{name="a\\"b\\\\c",state="Loaded"} 0\n' in text


def test_what_nobody_counts_is_absent_and_not_nothing() -> None:
    assert ("requests_in_flight",) not in samples(Seen(), life())
    assert samples(Seen(in_flight=0), life())[("requests_in_flight",)] == 0


def test_every_metric_has_its_help_and_its_type() -> None:
    lines = page(life(), Seen()).splitlines()
    for kind in ("# HELP ", "# TYPE "):
        assert sum(line.startswith(kind) for line in lines) == 5
