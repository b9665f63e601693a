from llmfleet_runtime.model.fetching import sentence
from llmfleet_runtime.model.progress import Phase, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def downloading(clock: Clock) -> Progress:
    progress = Progress(clock)
    progress.expect(4, 1000)
    progress.enter(Phase.DOWNLOADING)
    return progress


def test_nothing_is_known_before_the_listing() -> None:
    assert Progress().report() == {
        "phase": "Listing",
        "files": {"done": 0, "total": 0},
        "bytes": {"done": 0, "total": 0},
        "bytesPerSecond": None,
        "secondsLeft": None,
    }


def test_the_rate_and_the_time_left_are_of_the_last_seconds() -> None:
    clock = Clock()
    progress = downloading(clock)
    for second in range(61):
        clock.now = float(second)
        progress.fetched(2 if second <= 40 else 10)
    report = progress.report()
    assert report["bytes"]["done"] == 41 * 2 + 20 * 10
    assert report["bytesPerSecond"] == 10
    assert report["secondsLeft"] == round((1000 - 282) / 10)


def test_a_source_that_has_gone_silent_becomes_slower_not_forgotten() -> None:
    clock = Clock()
    progress = downloading(clock)
    progress.fetched(100)
    clock.now = 1.0
    progress.fetched(100)
    clock.now = 10.0
    assert progress.report()["bytesPerSecond"] == 10


def test_what_was_there_already_is_done_but_no_measure_of_the_rate() -> None:
    clock = Clock()
    progress = downloading(clock)
    progress.present(500)
    progress.fetched(10)
    clock.now = 2.0
    progress.fetched(10)
    report = progress.report()
    assert (report["bytes"]["done"], report["bytesPerSecond"]) == (520, 5)


def test_bytes_that_are_thrown_away_are_not_done() -> None:
    progress = downloading(Clock())
    progress.fetched(100)
    progress.present(-100)
    assert progress.report()["bytes"]["done"] == 0


def test_the_end_has_all_and_no_rate() -> None:
    clock = Clock()
    progress = downloading(clock)
    progress.fetched(900)
    clock.now = 5.0
    progress.complete(4, 1000)
    assert progress.report() == {
        "phase": "Complete",
        "files": {"done": 4, "total": 4},
        "bytes": {"done": 1000, "total": 1000},
        "bytesPerSecond": None,
        "secondsLeft": None,
    }


def test_the_log_says_it_in_words() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.expect(3, 3 << 30)
    progress.enter(Phase.DOWNLOADING)
    progress.fetched(0)
    clock.now = 2.0
    progress.fetched(1 << 30)
    progress.file_done()
    assert sentence(progress) == "1 of 3 files, 1.0 GiB of 3.0 GiB, 512.0 MiB/s, 4 s left"
