"""When the sidecar fetches, tries again and takes away; the fetches themselves are those of tests/integration/model_sources."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llmfleet_runtime.model.adapter_fetching import PARALLEL, REMOVAL_SECONDS, RETRY_SECONDS, AdapterFetching
from tests.unit.runtime.adapter_engine import write_adapter, write_list
from tests.unit.runtime.clock import Clock


@dataclass
class FakeFetch:
    """A process that ends when the test says so."""

    source: str
    path: Path
    outcome: Path
    code: int | None = None
    killed: bool = False

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> int:
        return -9

    def succeed(self) -> None:
        write_adapter(self.path)
        self.code = 0

    def fail(self, message: str = "the hub is down", reason: str = "SourceUnreachable", code: int = 75) -> None:
        self.outcome.write_text(json.dumps({"reason": reason, "message": message}))
        self.code = code


@dataclass
class Sidecar:
    """One with its volumes."""

    root: Path
    clock: Clock = field(default_factory=lambda: Clock(0.0))
    started: list[FakeFetch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory, self.list = self.root / "adapters", self.root / "adapters.json"
        self.directory.mkdir(exist_ok=True)
        self.fetching = AdapterFetching(self.list, 0, self.directory, start=self.start, clock=self.clock)

    def start(self, source: str, path: str, outcome: Path) -> FakeFetch:
        self.started.append(FakeFetch(source, Path(path), outcome))
        return self.started[-1]

    def item(self, name: str, fetcher: int = 0) -> dict[str, Any]:
        return {"name": name, "path": str(self.directory / name), "source": f"hf://acme/{name}", "fetcher": fetcher}

    def look(self, *items: dict[str, Any], after_seconds: float = 2.0) -> None:
        if items:
            write_list(self.list, *items)
        self.clock.now += after_seconds
        self.fetching.look()

    def failure(self, name: str) -> str | None:
        file = self.directory / f"{name}.failed"
        return json.loads(file.read_text())["message"] if file.exists() else None

    @property
    def sources(self) -> list[str]:
        return [fetch.source.removeprefix("hf://acme/") for fetch in self.started]


@pytest.fixture
def sidecar(tmp_path: Path) -> Sidecar:
    return Sidecar(tmp_path)


def test_it_fetches_what_has_its_number(sidecar: Sidecar) -> None:
    claim = {"name": "fr", "path": "/claims/models/fr"}
    sidecar.look(sidecar.item("a"), sidecar.item("b", fetcher=7), claim)
    assert sidecar.sources == ["a"]


def test_it_never_writes_elsewhere(sidecar: Sidecar) -> None:
    sidecar.look({**sidecar.item("a"), "path": str(sidecar.root / "elsewhere/a")}, {**sidecar.item("b"), "path": str(sidecar.directory / "../b")})
    assert sidecar.sources == []


def test_what_is_there_is_not_fetched_again(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"))
    sidecar.started[0].succeed()
    sidecar.look()
    sidecar.look()
    again = Sidecar(sidecar.root)
    again.look()
    assert (sidecar.sources, again.sources) == (["a"], [])


def test_one_path_under_two_names_is_fetched_once(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"), {**sidecar.item("a"), "name": "other"})
    assert sidecar.sources == ["a"]


def test_only_some_are_fetched_at_once(sidecar: Sidecar) -> None:
    sidecar.look(*(sidecar.item(f"a{number}") for number in range(PARALLEL + 2)))
    assert len(sidecar.started) == PARALLEL
    sidecar.started[0].succeed()
    sidecar.look()
    assert len(sidecar.started) == PARALLEL + 1


def test_a_failure_is_left_for_the_launcher_until_it_is_over(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"))
    sidecar.started[0].fail("let spec.model.credentials name a Secret with a token, or correct spec.model.source")
    sidecar.look()
    assert sidecar.failure("a") == "let adapters.items[].credentials name a Secret with a token, or correct adapters.items[].source"
    sidecar.look(after_seconds=RETRY_SECONDS[0])
    assert sidecar.failure("a") is not None
    sidecar.started[1].succeed()
    sidecar.look()
    assert sidecar.failure("a") is None
    assert {path.name for path in sidecar.directory.iterdir()} == {"a"}


def test_it_is_tried_again_ever_more_seldom(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"))
    for number, wait_seconds in enumerate((*RETRY_SECONDS, RETRY_SECONDS[-1]), start=1):
        sidecar.started[-1].fail()
        sidecar.look()
        sidecar.look(after_seconds=wait_seconds - 1)
        assert len(sidecar.started) == number
        sidecar.look(after_seconds=1)
        assert len(sidecar.started) == number + 1


def test_a_fetch_that_is_killed_says_nothing_and_is_tried_again(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"))
    sidecar.started[0].code = -9
    sidecar.look()
    assert sidecar.failure("a") == "the fetch was killed by signal 9 and said no reason; the sidecar's log may say more"
    sidecar.look(after_seconds=RETRY_SECONDS[0])
    assert len(sidecar.started) == 2


def test_a_full_disk_is_told_and_given_back_what_was_half_there(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"))
    (sidecar.directory / "a.partial").mkdir()
    sidecar.started[0].fail("the volume of /adapters/a has 1 MiB free, and 9 MiB are still to be fetched; make the claim larger by 8 MiB", "NoSpaceLeft", 1)
    sidecar.look()
    assert str(sidecar.failure("a")).startswith("the volume of /adapters/a has 1 MiB free, and 9 MiB are still to be fetched; free some of the node's disk")
    assert not (sidecar.directory / "a.partial").exists()


def test_a_fetch_that_is_wanted_no_more_is_ended(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"), sidecar.item("b"))
    (sidecar.directory / "a.partial").mkdir()
    sidecar.look(sidecar.item("b"))
    assert [fetch.killed for fetch in sidecar.started] == [True, False]
    assert list(sidecar.directory.iterdir()) == []
    sidecar.look(sidecar.item("a"), sidecar.item("b"))
    assert sidecar.sources == ["a", "b", "a"]


def test_files_that_are_listed_no_more_stay_while_requests_may_need_them(sidecar: Sidecar) -> None:
    write_adapter(sidecar.directory / "a")
    (sidecar.directory / "a.lock").touch()
    sidecar.look(sidecar.item("b", fetcher=7))
    sidecar.look(after_seconds=REMOVAL_SECONDS - 1)
    assert (sidecar.directory / "a").is_dir()
    sidecar.look(after_seconds=1)
    assert not (sidecar.directory / "a").exists()


def test_what_is_listed_again_stays(sidecar: Sidecar) -> None:
    write_adapter(sidecar.directory / "a")
    write_list(sidecar.list)
    sidecar.look()
    sidecar.look(sidecar.item("a"))
    sidecar.look(after_seconds=2 * REMOVAL_SECONDS)
    write_list(sidecar.list)
    sidecar.look()
    sidecar.look(after_seconds=REMOVAL_SECONDS - 1)
    assert (sidecar.directory / "a").is_dir()


def test_what_another_sidecar_fetches_is_left_alone(sidecar: Sidecar) -> None:
    (sidecar.directory / "a.partial").mkdir()
    sidecar.look(sidecar.item("a", fetcher=7))
    assert (sidecar.directory / "a.partial").is_dir()


def test_a_broken_list_changes_nothing(sidecar: Sidecar, caplog: pytest.LogCaptureFixture) -> None:
    sidecar.look(sidecar.item("a"))
    sidecar.list.write_text("[{")
    sidecar.look()
    sidecar.look(after_seconds=2 * REMOVAL_SECONDS)
    assert not sidecar.started[0].killed
    assert caplog.text.count("going on with the list as it was") == 1


def test_before_there_is_a_list_nothing_is_taken_away(sidecar: Sidecar) -> None:
    write_adapter(sidecar.directory / "a")
    sidecar.look()
    sidecar.look(after_seconds=2 * REMOVAL_SECONDS)
    assert (sidecar.directory / "a").is_dir()


def test_stopping_ends_every_fetch(sidecar: Sidecar) -> None:
    sidecar.look(sidecar.item("a"), sidecar.item("b"))
    sidecar.fetching.stop()
    assert all(fetch.killed for fetch in sidecar.started)
