"""The plan in status: estimate beside measurement, and no write for what is nearly the same."""

from typing import Any

from llmfleet.planning.plan import Plan, Range, Verdict
from llmfleet.planning.verdict import Alternative
from llmfleet.reconcile.planned import plan_status
from llmfleet.scrape.fleet import Measured

NOTHING: dict[str, Any] = {
    "max_length": None, "capacity_bytes": None, "weights": None, "activations": None, "cuda_graphs": None, "overhead": None, "kv_cache": None,
    "kv_bytes_per_token": None, "kv_tokens": None, "concurrency": None, "largest_context": None,
}  # fmt: skip


def plan(verdict: Verdict = Verdict.FITS, **fields: Any) -> Plan:
    return Plan(**{"verdict": verdict, "reason": "the arithmetic", "accelerators_per_replica": 2, **NOTHING, **fields})


ESTIMATED = plan(
    capacity_bytes=1000,
    weights=Range(400, 420),
    activations=Range(10, 20),
    overhead=Range(5, 10),
    kv_cache=Range(300, 500),
    kv_tokens=Range(90, 110),
    largest_context=Range(50, 60),
)
MEASURED = Measured(kv_tokens=80, weights_bytes=410, kv_cache_bytes=400)


def shown(of: Plan = ESTIMATED, before: Any = None, measured: Measured | None = None, *, steady: bool = True) -> Any:
    return plan_status(of, before, measured, steady=steady).to_wire()


def test_what_is_not_known_is_not_shown() -> None:
    assert shown(plan(Verdict.UNKNOWN)) == {"verdict": "Unknown", "message": "the arithmetic", "acceleratorsPerReplica": 2}


def test_an_estimate_before_the_start() -> None:
    assert shown() == {
        "verdict": "Fits",
        "message": "the arithmetic",
        "acceleratorsPerReplica": 2,
        "memory": {
            "capacityBytes": 1000,
            "weights": {"estimated": {"low": 400, "high": 420}},
            "kvCache": {"estimated": {"low": 300, "high": 500}},
            "overhead": {"low": 15, "high": 30},
        },
        "largestContext": {"low": 50, "high": 60},
        "kvTokens": {"estimated": {"low": 90, "high": 110}},
    }


def test_after_the_start_measured_values_and_the_error_stand_beside_it() -> None:
    status = shown(measured=MEASURED)
    assert status["kvTokens"] == {"estimated": {"low": 90, "high": 110}, "measured": 80, "errorPercent": 25}
    assert status["memory"]["weights"] == {"estimated": {"low": 400, "high": 420}, "measuredBytes": 410, "errorPercent": 0}
    assert status["memory"]["kvCache"]["measuredBytes"] == 400


def test_a_value_that_is_nearly_the_same_changes_nothing() -> None:
    before = shown(measured=Measured(kv_tokens=10_000, weights_bytes=10_000, kv_cache_bytes=10_000))
    assert shown(before=before, measured=Measured(kv_tokens=10_100, weights_bytes=9_900, kv_cache_bytes=10_050)) == before
    assert shown(before=before, measured=Measured(kv_tokens=10_101, weights_bytes=9_900, kv_cache_bytes=10_050))["kvTokens"]["measured"] == 10_101


def test_a_measured_value_stays_while_nobody_answers() -> None:
    before = shown(measured=MEASURED)
    assert shown(before=before) == before


def test_a_measured_value_does_not_stand_beside_the_estimate_of_another_specification() -> None:
    before = shown(measured=MEASURED)
    assert shown(before=before, measured=MEASURED, steady=False) == before, "the same estimate"
    other = plan(weights=Range(800, 820), kv_tokens=Range(9, 11))
    assert "measured" not in shown(other, before, MEASURED, steady=False)["kvTokens"]
    assert shown(other, before, MEASURED, steady=True)["kvTokens"]["measured"] == 80


def test_what_does_not_fit_comes_with_what_would() -> None:
    change = Alternative("spec.parallelism.tensor", "4", Verdict.FITS, "20 GiB left")
    status = shown(plan(Verdict.DOES_NOT_FIT, kv_cache=Range(-5, -1), alternatives=(change,)))
    assert status["message"] == "the arithmetic To make it fit, change spec.parallelism.tensor: 4 (Fits: 20 GiB left)."
    assert status["memory"]["kvCache"]["estimated"] == {"low": 0, "high": 0}


def test_a_status_of_another_version_is_no_measurement() -> None:
    assert shown(before={"verdict": "Perhaps"}) == shown()
