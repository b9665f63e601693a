"""What the replicas of one service measured, as one answer."""

from llmfleet.scrape.engine import Target
from llmfleet.scrape.fleet import Fleet, Measured
from llmfleet.scrape.report import AdapterReport, AdapterState, Report

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


def of(state: str = "ready", *adapters: str) -> Target:
    return Target("pod", "10.0.0.1", state, adapters=frozenset(adapters))


def due(report: Report, *wanted: str) -> bool:
    """Whether the report of a pod is read again at the next turn, after it said this."""
    fleet = Fleet()
    fleet.keep([KEY])
    fleet.record_report(KEY, of(), 100.0, report)
    return fleet.report_is_due(KEY, of("ready", *wanted), 50.0)


def test_a_report_is_read_at_every_turn_while_adapters_are_under_way() -> None:
    loading, loaded, failed = (AdapterReport("sql", state) for state in AdapterState)
    assert due(Report(adapters=(loading,)), "sql"), "it loads"
    assert due(Report(adapters=()), "sql"), "its list has not come yet"
    assert due(Report(adapters=(loaded,))), "it is to be unloaded"
    assert not due(Report(adapters=(loaded,)), "sql")
    assert not due(Report(adapters=(failed,)), "sql"), "it is tried again seldom"
    assert not due(Report(adapters=()))


def test_a_launcher_that_says_nothing_of_adapters_is_not_asked_all_the_time() -> None:
    assert not due(Report(), "sql")


def test_a_report_of_another_state_of_the_pod_does_not_count() -> None:
    """The container before this one had loaded other adapters, and its start took another time."""
    fleet = Fleet()
    fleet.keep([KEY])
    fleet.record_report(KEY, of("ready/0"), 0.0, Report(version="0.32.0"))
    assert fleet.reports_of(KEY, [of("ready/0")]) == {"pod": Report(version="0.32.0")}
    assert fleet.reports_of(KEY, [of("not ready/1")]) == {}
    assert fleet.reports_of(KEY, []) == {}, "it is gone, and its address may be another pod's"
    assert fleet.reports_of(("ns", "other"), [of("ready/0")]) == {}
