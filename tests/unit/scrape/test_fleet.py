"""What the replicas of one service measured, as one answer."""

from llmfleet.scrape.engine import Target
from llmfleet.scrape.fleet import Fleet, Measured
from llmfleet.scrape.report import Report

KEY = ("ns", "x")


def measured(*reports: Report) -> Measured | None:
    fleet = Fleet()
    fleet.keep([KEY])
    for number, report in enumerate(reports):
        fleet.record_report(KEY, Target(f"pod-{number}", "10.0.0.1", "ready"), 0.0, report)
    return fleet.measured_of(KEY)


def test_of_several_replicas_the_tightest_counts() -> None:
    reports = (Report(kv_tokens=100, weights_bytes=10, kv_cache_bytes=50), Report(kv_tokens=90, weights_bytes=11, kv_cache_bytes=60), Report(max_sequences=8))
    assert measured(*reports) == Measured(kv_tokens=90, weights_bytes=11, kv_cache_bytes=50)


def test_nothing_said_is_nothing_measured() -> None:
    assert measured() is None
    assert measured(Report(max_sequences=8)) is None
    assert Fleet().measured_of(KEY) is None
