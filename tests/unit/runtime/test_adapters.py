"""What the launcher does about the list of adapters, against an engine that answers as vLLM 0.32 does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llmfleet_runtime.adapter_leftovers import FIRST_TOKEN_SECONDS, UNSEEN_SECONDS
from llmfleet_runtime.adapters import EXCHANGE_SECONDS, PATIENCE_SECONDS, RETRY_SECONDS, Adapters, State
from llmfleet_runtime.engine_api import EngineApi
from tests.unit.runtime.adapter_engine import ADMIN_TOKEN, API_KEY, FakeEngine, serving, write_adapter, write_list
from tests.unit.runtime.clock import Clock

LATER = 5.0


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with serving() as running:
        yield running


class Pod:
    """The launcher's side with its volumes."""

    def __init__(self, directory: Path, engine: FakeEngine) -> None:
        self.claims, self.fetched, self.list = directory / "claims", directory / "adapters", directory / "adapters.json"
        self.claims.mkdir()
        self.fetched.mkdir()
        self.clock = Clock(1000.0)
        self.adapters = Adapters(self.list, EngineApi(engine.port, API_KEY, ADMIN_TOKEN), 16, self.clock)

    def adapter(self, name: str, **config: Any) -> dict[str, Any]:
        """One that lies there already, as on a claim."""
        return {"name": name.partition("-")[0], "path": str(write_adapter(self.claims / name, **config))}

    def to_fetch(self, name: str, digest: str) -> dict[str, Any]:
        return {"name": name, "path": str(self.fetched / digest), "source": f"hf://acme/{name}", "fetcher": 0}

    async def step(self, *items: dict[str, Any], after_seconds: float = LATER, at_most_seconds: float = 100) -> dict[str, State]:
        if items:
            write_list(self.list, *items)
        self.clock.now += after_seconds
        await self.adapters.step(at_most_seconds)
        return {adapter.name: adapter.state for adapter in self.adapters.states}

    def message(self, name: str) -> str:
        return next(adapter.message or "" for adapter in self.adapters.states if adapter.name == name)


@pytest.fixture
def pod(tmp_path: Path, engine: FakeEngine) -> Pod:
    return Pod(tmp_path, engine)


async def test_what_is_listed_is_loaded_and_what_is_not_is_unloaded(pod: Pod, engine: FakeEngine) -> None:
    sql, fr = pod.adapter("sql"), pod.adapter("fr")
    assert await pod.step(sql, fr) == {"sql": State.LOADED, "fr": State.LOADED}
    assert engine.loaded == {"sql": sql["path"], "fr": fr["path"]}
    assert await pod.step(fr) == {"fr": State.LOADED}
    assert engine.loaded == {"fr": fr["path"]}


async def test_what_is_loaded_is_left_alone(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(sql := pod.adapter("sql"))
    await pod.step(sql)
    await pod.step()
    assert engine.asked == ["load sql sql"]


async def test_an_engine_that_lost_its_adapters_gets_them_again(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(sql := pod.adapter("sql"))
    engine.loaded.clear()
    assert await pod.step(sql) == {"sql": State.LOADED}
    assert engine.loaded == {"sql": sql["path"]}


@pytest.mark.parametrize(("path", "volume"), [("/claims/loras/sql", "/claims/loras"), ("/images/0a1b2c", "/images/0a1b2c"), ("/models/sql", "/models")])
async def test_a_volume_that_is_not_mounted_is_waited_for(pod: Pod, path: str, volume: str) -> None:
    """Below /models lies what the model's own claim holds: a path that is not there is a mistake, wherever that is mounted."""
    assert await pod.step({"name": "sql", "path": path}) == {"sql": State.LOADING}
    assert pod.message("sql") == f"{volume} is mounted only in the pods that the rollout starts"


async def test_no_adapters_are_settled_at_once(pod: Pod) -> None:
    write_list(pod.list)
    assert await pod.step() == {}
    assert pod.adapters.settled


async def test_sixty_four_adapters_are_loaded_one_after_another(pod: Pod, engine: FakeEngine) -> None:
    found = await pod.step(*(pod.adapter(f"a{number}") for number in range(64)))
    assert set(found.values()) == {State.LOADED}
    assert len(engine.loaded) == 64


async def test_one_directory_may_have_two_names(pod: Pod, engine: FakeEngine) -> None:
    sql = pod.adapter("sql")
    await pod.step(sql, {**sql, "name": "other"})
    assert engine.loaded == {"sql": sql["path"], "other": sql["path"]}


async def test_a_renamed_adapter_is_unloaded_and_loaded(pod: Pod, engine: FakeEngine) -> None:
    sql = pod.adapter("sql")
    await pod.step(sql)
    assert await pod.step({**sql, "name": "renamed"}) == {"renamed": State.LOADED}
    assert engine.asked == ["load sql sql", "unload sql", "load renamed sql"]


# --- Failures are the adapter's alone -----------------------------------------------------------------------------------


CAUSE = "', please check the stack trace above for the root cause"


@pytest.mark.parametrize(
    ("before", "after"), [("Call to add_lora method failed: Worker failed with error '", CAUSE), ("Call to add_lora method failed: ", ""), ("", "")]
)
async def test_what_vllm_refuses_fails_in_its_words_and_the_others_load(pod: Pod, engine: FakeEngine, before: str, after: str) -> None:
    bad = pod.adapter("bad")
    engine.refuses[bad["path"]] = (500, f"{before}vLLM does not yet support DoRA.{after}")
    assert await pod.step(bad, pod.adapter("sql")) == {"bad": State.FAILED, "sql": State.LOADED}
    assert pod.message("bad") == "vLLM refuses it: vLLM does not yet support DoRA."
    assert pod.adapters.settled


async def test_the_path_that_vllm_hides_is_shown(pod: Pod, engine: FakeEngine) -> None:
    bad = pod.adapter("bad")
    engine.refuses[bad["path"]] = (500, "<path> doesn't contain tensors")
    await pod.step(bad)
    assert pod.message("bad") == f"vLLM refuses it: {bad['path']} doesn't contain tensors"


async def test_a_refusal_without_an_error_object_shows_the_status(pod: Pod, engine: FakeEngine) -> None:
    api = EngineApi(engine.port, API_KEY, "another token")
    assert await api.load_adapter("sql", "/claims/sql") == "status 403: {}"


async def test_a_rank_above_the_engines_is_told_with_the_field_and_not_tried(pod: Pod, engine: FakeEngine) -> None:
    assert await pod.step(pod.adapter("sql", rank=64)) == {"sql": State.FAILED}
    assert pod.message("sql") == "rank 64 exceeds adapters.maxRank 16: raise it"
    assert engine.asked == []


async def test_a_directory_that_is_not_there_fails_until_it_is(pod: Pod) -> None:
    missing = {"name": "sql", "path": str(pod.claims / "sql")}
    assert await pod.step(missing) == {"sql": State.FAILED}
    assert "there is no directory" in pod.message("sql")
    write_adapter(pod.claims / "sql")
    assert await pod.step() == {"sql": State.LOADED}


async def test_a_volume_that_only_later_pods_have_is_waited_for(pod: Pod) -> None:
    assert await pod.step({"name": "sql", "path": "/no-such-root/claim/sql"}) == {"sql": State.LOADING}
    assert pod.message("sql") == "/no-such-root/claim is mounted only in the pods that the rollout starts"


async def test_a_refused_adapter_is_tried_again_ever_more_seldom(pod: Pod, engine: FakeEngine) -> None:
    bad = pod.adapter("bad")
    engine.refuses[bad["path"]] = (500, "no")
    await pod.step(bad)
    for number, wait_seconds in enumerate((*RETRY_SECONDS, RETRY_SECONDS[-1]), start=1):
        await pod.step(after_seconds=wait_seconds - 1)
        assert len(engine.asked) == number
        await pod.step(after_seconds=1)
        assert len(engine.asked) == number + 1
    del engine.refuses[bad["path"]]
    assert await pod.step(after_seconds=RETRY_SECONDS[-1]) == {"bad": State.LOADED}


async def test_a_changed_path_is_tried_at_once(pod: Pod, engine: FakeEngine) -> None:
    bad, good = pod.adapter("sql-1"), pod.adapter("sql-2")
    engine.refuses[bad["path"]] = (500, "no")
    assert await pod.step(bad) == {"sql": State.FAILED}
    assert await pod.step(good) == {"sql": State.LOADED}


async def test_a_removed_failure_is_forgotten(pod: Pod, engine: FakeEngine) -> None:
    bad = pod.adapter("bad")
    engine.refuses[bad["path"]] = (500, "no")
    await pod.step(bad)
    write_list(pod.list)
    assert await pod.step() == {}
    engine.refuses.clear()
    assert await pod.step(bad) == {"bad": State.LOADED}


async def test_a_long_refusal_is_cut(pod: Pod, engine: FakeEngine) -> None:
    bad = pod.adapter("bad")
    engine.refuses[bad["path"]] = (500, "module, " * 1000)
    await pod.step(bad)
    assert len(pod.message("bad")) < 600


# --- Fetched by a sidecar -----------------------------------------------------------------------------------------------


async def test_an_adapter_is_loaded_once_it_is_fetched(pod: Pod) -> None:
    item = pod.to_fetch("sql", "3f2a")
    assert await pod.step(item) == {"sql": State.LOADING}
    assert pod.message("sql") == "being fetched from hf://acme/sql"
    assert not pod.adapters.settled
    write_adapter(pod.fetched / "3f2a")
    assert await pod.step() == {"sql": State.LOADED}
    assert pod.adapters.settled


async def test_a_failed_fetch_fails_and_does_not_hold_up_the_model(pod: Pod) -> None:
    (pod.fetched / "3f2a.failed").write_text('{"reason": "ModelAccessDenied", "message": "the repository is gated"}')
    assert await pod.step(pod.to_fetch("sql", "3f2a")) == {"sql": State.FAILED}
    assert pod.message("sql") == "the repository is gated"
    assert pod.adapters.settled
    (pod.fetched / "3f2a.failed").write_text("half of it")
    assert await pod.step() == {"sql": State.FAILED}
    assert pod.message("sql") == "it cannot be fetched; the log of the sidecar says why"


async def test_a_slow_source_does_not_hold_up_the_model_for_ever(pod: Pod) -> None:
    await pod.step(pod.to_fetch("sql", "3f2a"))
    await pod.step(after_seconds=PATIENCE_SECONDS - 1)
    assert not pod.adapters.settled
    half = pod.fetched / "3f2a.partial"
    half.mkdir()
    (half / "adapter_model.safetensors.half").write_bytes(b"some")
    await pod.step(after_seconds=1)
    await pod.step(after_seconds=PATIENCE_SECONDS - 1)
    assert not pod.adapters.settled
    await pod.step(after_seconds=1)
    assert pod.adapters.settled
    half.rename(pod.fetched / "3f2a-aside")
    write_adapter(pod.fetched / "3f2a")
    assert await pod.step() == {"sql": State.LOADED}


async def test_a_pass_that_hangs_does_not_hold_up_the_model_for_ever(pod: Pod, engine: FakeEngine) -> None:
    engine.holds = asyncio.Event()
    await pod.step(pod.adapter("sql"), pod.adapter("fr"), at_most_seconds=0)
    await until_asked(engine)
    await pod.step(after_seconds=PATIENCE_SECONDS - 1, at_most_seconds=0)
    await pod.step(after_seconds=PATIENCE_SECONDS - 1, at_most_seconds=0)
    assert not pod.adapters.settled
    await pod.step(after_seconds=1, at_most_seconds=0)
    assert pod.adapters.settled
    engine.holds.set()
    assert await pod.step() == {"sql": State.LOADED, "fr": State.LOADED}


# --- The list ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[{",
        "{}x",
        '{"name": "sql"}',
        '[{"name": "sql"}]',
        '[{"name": "", "path": "/a"}]',
        '[{"name": "a", "path": "relative"}]',
        '[{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]',
        '[{"name": "a", "path": "/a", "source": "hf://a/b"}]',
        "[" * 100_000,
    ],
)
async def test_a_broken_list_keeps_what_was(pod: Pod, engine: FakeEngine, content: str, caplog: pytest.LogCaptureFixture) -> None:
    await pod.step(pod.adapter("sql"))
    pod.list.write_text(content)
    assert await pod.step() == {"sql": State.LOADED}
    assert await pod.step() == {"sql": State.LOADED}
    assert engine.asked == ["load sql sql"]
    assert caplog.text.count("adapters stay as they are") == 1


async def test_without_a_list_nothing_is_unloaded_and_readiness_waits_a_while(pod: Pod, engine: FakeEngine) -> None:
    engine.loaded["sql"] = "/claims/sql"
    assert await pod.step() == {}
    assert engine.loaded == {"sql": "/claims/sql"}
    assert not pod.adapters.settled
    await pod.step(after_seconds=PATIENCE_SECONDS)
    assert pod.adapters.settled


# --- Engines that are slow or silent --------------------------------------------------------------------------------


async def until_asked(engine: FakeEngine) -> None:
    while not engine.asked:  # noqa: ASYNC110 a server's task makes it so
        await asyncio.sleep(0.01)


async def test_a_step_does_not_wait_for_a_slow_load(pod: Pod, engine: FakeEngine) -> None:
    engine.holds = asyncio.Event()
    await pod.step(pod.adapter("sql"), at_most_seconds=0)
    await until_asked(engine)
    assert await pod.step(at_most_seconds=0) == {"sql": State.LOADING}
    assert engine.asked == ["load sql sql"]
    engine.holds.set()
    assert await pod.step() == {"sql": State.LOADED}


async def test_an_adapter_that_is_removed_while_it_is_loaded_is_unloaded_then(pod: Pod, engine: FakeEngine) -> None:
    engine.holds = asyncio.Event()
    await pod.step(pod.adapter("sql"), at_most_seconds=0)
    await until_asked(engine)
    write_list(pod.list)
    engine.holds.set()
    await pod.step()
    assert await pod.step() == {}
    assert engine.loaded == {}


async def test_a_silent_engine_is_asked_again(pod: Pod, engine: FakeEngine) -> None:
    engine.answers = False
    assert await pod.step(pod.adapter("sql")) == {"sql": State.LOADING}
    assert not pod.adapters.settled
    engine.answers = True
    assert await pod.step() == {"sql": State.LOADED}


# --- Another version under the same name ----------------------------------------------------------------------------


async def test_a_version_is_exchanged_at_once_where_nothing_is_in_flight(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(pod.adapter("sql-1"))
    assert await pod.step(two := pod.adapter("sql-2")) == {"sql": State.LOADED}
    assert engine.loaded == {"sql": two["path"]}
    assert engine.asked == ["load sql sql-1", "load sql@sql-2 sql-2", "unload sql@sql-2", "unload sql", "load sql sql-2"]


async def test_a_version_that_vllm_refuses_leaves_the_one_before(pod: Pod, engine: FakeEngine) -> None:
    one, two = pod.adapter("sql-1"), pod.adapter("sql-2")
    engine.refuses[two["path"]] = (500, "expected target modules")
    await pod.step(one)
    assert await pod.step(two) == {"sql": State.FAILED}
    assert pod.message("sql") == "vLLM refuses it: expected target modules; the version before it still answers"
    assert engine.loaded == {"sql": one["path"]}
    assert await pod.step() == {"sql": State.FAILED}
    assert len(engine.asked) == 2


async def test_the_version_before_answers_while_the_next_is_fetched(pod: Pod, engine: FakeEngine) -> None:
    one, two = pod.to_fetch("sql", "1111"), pod.to_fetch("sql", "2222")
    write_adapter(pod.fetched / "1111")
    await pod.step(one)
    assert await pod.step(two) == {"sql": State.LOADING}
    assert pod.message("sql") == "being fetched from hf://acme/sql; the version before it still answers"
    assert engine.loaded == {"sql": one["path"]}


async def test_a_version_answers_on_until_nothing_is_in_flight(pod: Pod, engine: FakeEngine) -> None:
    one, two = pod.adapter("sql-1"), pod.adapter("sql-2")
    await pod.step(one)
    engine.in_flight = 1
    assert await pod.step(two) == {"sql": State.LOADING}
    assert await pod.step() == {"sql": State.LOADING}
    assert engine.loaded == {"sql": one["path"]}
    assert engine.asked.count("load sql@sql-2 sql-2") == 1
    engine.in_flight = 0
    assert await pod.step() == {"sql": State.LOADED}
    assert engine.loaded == {"sql": two["path"]}


async def test_two_versions_of_a_name_never_run_at_once(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(pod.adapter("sql-1"))
    engine.running, engine.waiting, engine.named = 2, 1, ("sql",)
    two = pod.adapter("sql-2")
    await pod.step(two)
    await pod.step(after_seconds=EXCHANGE_SECONDS)
    assert engine.loaded == {}, "taken away after so long"
    await pod.step(after_seconds=FIRST_TOKEN_SECONDS)
    assert engine.loaded == {}, "one may still be waiting"
    engine.waiting = 0
    await pod.step()
    engine.waiting = 7
    await pod.step(after_seconds=FIRST_TOKEN_SECONDS)
    assert engine.loaded == {}, "one has had its first token, and runs"
    assert "still running" in pod.message("sql")
    engine.named = ()
    assert await pod.step() == {"sql": State.LOADED}


async def test_a_prompt_that_is_being_read_is_waited_for(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(pod.adapter("sql-1"))
    engine.running = 1
    await pod.step(pod.adapter("sql-2"))
    await pod.step(after_seconds=EXCHANGE_SECONDS)
    await pod.step(after_seconds=FIRST_TOKEN_SECONDS - 1)
    assert engine.loaded == {}
    assert await pod.step(after_seconds=1) == {"sql": State.LOADED}


async def test_a_name_that_comes_back_waits_for_its_earlier_requests(pod: Pod, engine: FakeEngine) -> None:
    sql, fr = pod.adapter("sql"), pod.adapter("fr")
    await pod.step(sql, fr)
    engine.running, engine.named = 1, ("sql",)
    await pod.step(fr)
    assert await pod.step(fr, sql) == {"fr": State.LOADED, "sql": State.LOADING}
    engine.running, engine.named = 0, ()
    assert await pod.step() == {"fr": State.LOADED, "sql": State.LOADED}


async def test_a_queue_that_is_never_empty_is_believed_empty_in_the_end(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(pod.adapter("sql-1"))
    engine.waiting = 9
    await pod.step(pod.adapter("sql-2"))
    await pod.step(after_seconds=EXCHANGE_SECONDS)
    await pod.step(after_seconds=UNSEEN_SECONDS)
    assert engine.loaded == {}
    assert await pod.step(after_seconds=FIRST_TOKEN_SECONDS) == {"sql": State.LOADED}


async def test_an_engine_that_does_not_tell_what_runs_is_given_time(pod: Pod, engine: FakeEngine) -> None:
    await pod.step(pod.adapter("sql-1"))
    engine.says_what_runs = False
    await pod.step(pod.adapter("sql-2"))
    await pod.step(after_seconds=EXCHANGE_SECONDS)
    await pod.step(after_seconds=UNSEEN_SECONDS - 1)
    assert engine.loaded == {}
    assert await pod.step(after_seconds=1) == {"sql": State.LOADED}
