import errno
import hashlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.ports import free_port
from tests.integration.model_sources import models
from tests.integration.model_sources.commands import PATIENCE_SECONDS, Commands
from tests.integration.model_sources.hub import Hub

WEIGHTS = "model.safetensors"
BIG = {"model.layers.0.mlp.up_proj.weight": ("F32", (4 << 20, 1))}
"""Sixteen megabytes: many pieces of the hub's, and more than the kernel buffers between it and its client."""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "claim" / "acme" / "tiny"


@contextmanager
def held_back(hub: Hub, name: str, after_bytes: int) -> Iterator[threading.Event]:
    """The hub stops in the middle of a file; the event says that it has. At the end it goes on."""
    reached, go_on = threading.Event(), threading.Event()

    def before(file: str, offset: int) -> None:
        if file == name and offset >= after_bytes:
            reached.set()
            go_on.wait(PATIENCE_SECONDS)

    hub.rules.before_chunk = before
    try:
        yield reached
    finally:
        hub.rules.before_chunk = None
        go_on.set()


def eventually(what: Callable[[], Any]) -> Any:
    """The first value that counts as true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def report(port: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/report")
        return json.loads(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()


def contents(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def beside(cache: Path) -> set[str]:
    return {path.name for path in cache.parent.iterdir()}


def test_a_cache_holds_what_an_engine_needs_and_says_so(hub: Hub, commands: Commands, cache: Path) -> None:
    folder = models.sharded(hub.root / "acme/tiny")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights again")
    models.write_safetensors(folder / "original/consolidated.safetensors", models.llama_tensors())
    found = commands.fetch("hf://acme/tiny", cache)
    assert found.code == 0, found.stderr
    kept = {path.name for path in folder.iterdir()} - {".gitattributes", "pytorch_model.bin", "original"}
    assert contents(cache) == {name: contents(folder)[name] for name in kept} | {".llmfleet-complete.json": contents(cache)[".llmfleet-complete.json"]}
    size = sum((folder / name).stat().st_size for name in kept)
    told = found.told
    assert told.pop("seconds") >= 0
    assert told == {"bytes": size, "files": len(kept), "revision": hub.commit(folder)}
    assert beside(cache) == {"tiny", "tiny.lock"}


def test_what_is_fetched_is_what_inspection_announces(hub: Hub, commands: Commands, cache: Path) -> None:
    models.sharded(hub.root / "acme/tiny")
    announced = commands.inspect("hf://acme/tiny").facts["download"]
    told = commands.fetch("hf://acme/tiny", cache).told
    assert announced == {"files": told["files"], "bytes": told["bytes"]}


def test_a_cache_is_inspected_as_its_source_is(hub: Hub, commands: Commands, cache: Path) -> None:
    models.sharded(hub.root / "acme/tiny")
    remote = commands.inspect("hf://acme/tiny").facts
    commands.fetch("hf://acme/tiny", cache)
    local = commands.inspect(cache).facts
    assert {key: local[key] for key in ("config", "generation", "weights", "revision")} == {
        key: remote[key] for key in ("config", "generation", "weights", "revision")
    }


def test_a_whole_cache_is_not_fetched_again_nor_is_the_hub_asked(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    first = commands.fetch("hf://acme/tiny", cache).told
    hub.seen.clear()
    second = commands.fetch("hf://acme/tiny", cache)
    assert (second.code, hub.seen) == (0, [])
    assert {**second.told, "seconds": 0} == {**first, "seconds": 0}


def test_a_killed_fetch_goes_on_in_the_middle_of_the_file(hub: Hub, commands: Commands, cache: Path) -> None:
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    half = cache.with_name("tiny.partial") / f"{WEIGHTS}.half"
    with held_back(hub, WEIGHTS, 8 << 20) as reached, commands.fetching("hf://acme/tiny", cache) as process:
        assert reached.wait(PATIENCE_SECONDS)
        eventually(lambda: half.exists() and half.stat().st_size >= 1 << 20)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
    size = half.stat().st_size
    assert commands.fetch("hf://acme/tiny", cache).code == 0
    assert hub.read_of(WEIGHTS)[-1].range == f"bytes={size}-{(hub.root / 'acme/tiny' / WEIGHTS).stat().st_size - 1}"
    assert contents(cache)[WEIGHTS] == contents(hub.root / "acme/tiny")[WEIGHTS]


def test_a_half_downloaded_cache_is_inspected_as_that(hub: Hub, commands: Commands, cache: Path) -> None:
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    with held_back(hub, WEIGHTS, 1 << 20) as reached, commands.fetching("hf://acme/tiny", cache):
        assert reached.wait(PATIENCE_SECONDS)
        found = commands.inspect(cache)
    assert found.reason == "IncompleteModel"
    assert "the cache is half downloaded (tiny.partial is there); fetch goes on with it" in found.told["message"]


def test_sigterm_ends_a_fetch_at_once_and_not_as_a_success(hub: Hub, commands: Commands, cache: Path) -> None:
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    with held_back(hub, WEIGHTS, 1 << 20) as reached, commands.fetching("hf://acme/tiny", cache, "--progress-port", str(free_port())) as process:
        assert reached.wait(PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 143
    assert not cache.exists()
    assert commands.fetch("hf://acme/tiny", cache).code == 0


def test_what_an_earlier_attempt_finished_is_kept_and_what_has_changed_is_not(hub: Hub, commands: Commands, cache: Path) -> None:
    folder = models.sharded(hub.root / "acme/tiny")
    hub.rules.corrupt = {"model-00003-of-00003.safetensors": 2}
    port = free_port()
    with commands.fetching("hf://acme/tiny", cache, "--progress-port", str(port)) as process:
        with held_back(hub, "model-00003-of-00003.safetensors", 0):
            eventually(lambda: (found := report(port)) and found["files"]["done"] == found["files"]["total"] - 1)
        assert commands.outcome(process).reason == "ChecksumMismatch"
    models.write_json(folder / "tokenizer.json", {"version": "2.0"})
    hub.seen.clear()
    assert commands.fetch("hf://acme/tiny", cache).code == 0
    assert hub.read_of("model-00001-of-00003.safetensors") == []
    assert contents(cache)["tokenizer.json"] == contents(folder)["tokenizer.json"]


def test_a_connection_that_breaks_is_gone_on_with(hub: Hub, commands: Commands, cache: Path) -> None:
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    hub.rules.breaks = {WEIGHTS: [5 << 20, 3 << 20]}
    assert commands.fetch("hf://acme/tiny", cache).code == 0
    starts = [int(str(seen.range).removeprefix("bytes=").partition("-")[0]) for seen in hub.read_of(WEIGHTS)]
    assert starts == [0, 5 << 20, 8 << 20]


def test_wrong_bytes_of_a_large_file_are_found_and_not_kept(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.corrupt = {WEIGHTS: 2}
    found = commands.fetch("hf://acme/tiny", cache)
    assert (found.reason, found.code) == ("ChecksumMismatch", 1)
    assert f"{WEIGHTS}: the bytes that came are not those that the source promises" in found.told["message"]
    assert not cache.exists()
    assert commands.fetch("hf://acme/tiny", cache).code == 0


def test_a_file_that_is_shorter_than_it_was_listed_is_not_waited_for(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.overstated_bytes = 10
    found = commands.fetch("hf://acme/tiny", cache)
    assert (found.reason, found.code) == ("ChecksumMismatch", 1)
    assert "was changed while it was being read" in found.told["message"]


def test_wrong_bytes_of_a_small_file_are_found_too(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.corrupt = {"tokenizer.json": 2}
    found = commands.fetch("hf://acme/tiny", cache)
    assert found.reason == "ChecksumMismatch"
    assert "tokenizer.json: " in found.told["message"]


def test_bytes_that_were_spoilt_on_the_way_are_fetched_once_more(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.corrupt = {WEIGHTS: 1}
    assert commands.fetch("hf://acme/tiny", cache).code == 0
    assert contents(cache)[WEIGHTS] == contents(hub.root / "acme/tiny")[WEIGHTS]


def test_a_half_file_with_wrong_bytes_is_fetched_from_its_start(hub: Hub, commands: Commands, cache: Path) -> None:
    """As after a node that lost its power: the size is there, the bytes are not."""
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    half = cache.with_name("tiny.partial") / f"{WEIGHTS}.half"
    with held_back(hub, WEIGHTS, 8 << 20) as reached, commands.fetching("hf://acme/tiny", cache) as process:
        assert reached.wait(PATIENCE_SECONDS)
        eventually(lambda: half.exists() and half.stat().st_size >= 1 << 20)
        process.kill()
        process.wait(PATIENCE_SECONDS)
    half.write_bytes(b"\xff" * half.stat().st_size)
    assert commands.fetch("hf://acme/tiny", cache).code == 0
    assert contents(cache)[WEIGHTS] == contents(hub.root / "acme/tiny")[WEIGHTS]


def test_two_fetches_of_one_directory_share_one_download(hub: Hub, commands: Commands, cache: Path) -> None:
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    port = free_port()
    with commands.fetching("hf://acme/tiny", cache) as first, commands.fetching("hf://acme/tiny", cache, "--progress-port", str(port)) as second:
        with held_back(hub, WEIGHTS, 1 << 20) as reached:
            assert reached.wait(PATIENCE_SECONDS)
            eventually(lambda: (report(port) or {}).get("phase") in ("Waiting", "Downloading"))
        assert (first.wait(PATIENCE_SECONDS), second.wait(PATIENCE_SECONDS)) == (0, 0)
    assert len(hub.read_of(WEIGHTS)) == 1


def test_a_lock_that_nobody_holds_any_more_keeps_nobody_out(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    cache.parent.mkdir(parents=True)
    cache.with_name("tiny.lock").touch()
    assert commands.fetch("hf://acme/tiny", cache).code == 0


def test_progress_is_reported_while_it_lasts(hub: Hub, commands: Commands, cache: Path) -> None:
    size = models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    port = free_port()
    with held_back(hub, WEIGHTS, 8 << 20) as reached, commands.fetching("hf://acme/tiny", cache, "--progress-port", str(port)):
        assert reached.wait(PATIENCE_SECONDS)
        seen = eventually(lambda: (found := report(port)) and found["files"]["done"] == 4 and found["bytesPerSecond"] and found)
    assert seen["phase"] == "Downloading"
    assert seen["files"] == {"done": 4, "total": 5}
    assert size // 4 < seen["bytes"]["done"] < seen["bytes"]["total"]
    assert seen["secondsLeft"] > 0


def test_a_volume_that_is_too_small_is_found_before_anything_is_fetched(hub: Hub, commands: Commands, tmp_path: Path) -> None:
    models.write_safetensors(models.single_file(hub.root / "acme/tiny") / WEIGHTS, BIG)
    volume = mount_point(tmp_path)
    found = commands.fetch("hf://acme/tiny", volume / "tiny", wrapper=on_a_tmpfs(volume, "size=4m"))
    assert (found.reason, found.code) == ("NoSpaceLeft", 1)
    assert "4.0 MiB free of 4.0 MiB, and 16.0 MiB are still to be fetched; make the claim larger by 12.0 MiB" in found.told["message"]
    assert hub.read_of(WEIGHTS) == []


def test_a_volume_that_becomes_full_on_the_way_is_told_as_that(hub: Hub, commands: Commands, tmp_path: Path) -> None:
    """Without free inodes the kernel says so in the middle, however many bytes are free."""
    models.sharded(hub.root / "acme/tiny", shards=8)
    volume = mount_point(tmp_path)
    found = commands.fetch("hf://acme/tiny", volume / "tiny", wrapper=on_a_tmpfs(volume, "size=64m,nr_inodes=8"))
    assert found.reason == "NoSpaceLeft"
    assert os.strerror(errno.ENOSPC) in found.told["message"]
    assert "what has been fetched is kept, and fetch goes on there" in found.told["message"]


def test_a_read_only_volume_is_told_as_that(hub: Hub, commands: Commands, tmp_path: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    volume = mount_point(tmp_path)
    found = commands.fetch("hf://acme/tiny", volume / "tiny", wrapper=on_a_tmpfs(volume, "ro"))
    assert found.reason == "CacheUnusable"
    assert "read-only file system" in found.told["message"]


def test_a_directory_that_no_fetch_has_made_is_left_alone(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    cache.mkdir(parents=True)
    (cache / "mine.txt").write_text("mine")
    found = commands.fetch("hf://acme/tiny", cache)
    assert found.reason == "CacheUnusable"
    assert "it is not empty, and no fetch has made it; move it away" in found.told["message"]
    assert contents(cache).keys() == {"mine.txt"}


def test_a_cache_of_another_model_is_left_alone(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    models.single_file(hub.root / "acme/other")
    commands.fetch("hf://acme/tiny", cache)
    found = commands.fetch("hf://acme/other", cache)
    assert found.reason == "CacheUnusable"
    assert "it holds hf://acme/tiny, not hf://acme/other" in found.told["message"]


def test_an_incomplete_repository_is_not_fetched(hub: Hub, commands: Commands, cache: Path) -> None:
    (models.sharded(hub.root / "acme/tiny") / "model-00002-of-00003.safetensors").unlink()
    assert commands.fetch("hf://acme/tiny", cache).reason == "IncompleteModel"
    assert not cache.exists()


def test_a_gated_model_without_a_token_is_not_fetched(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    hub.rules.gated, hub.rules.tokens = {"acme/tiny"}, {"hf_reader"}
    found = commands.fetch("hf://acme/tiny", cache)
    assert found.reason == "ModelAccessDenied"
    assert "let spec.model.credentials name a Secret with a token" in found.told["message"]
    assert commands.fetch("hf://acme/tiny", cache, HF_TOKEN="hf_reader").code == 0


def test_a_cache_can_be_read_by_other_users_of_the_group(hub: Hub, commands: Commands, cache: Path) -> None:
    models.single_file(hub.root / "acme/tiny")
    previous = os.umask(0o077)
    try:
        commands.fetch("hf://acme/tiny", cache)
    finally:
        os.umask(previous)
    assert {oct(path.stat().st_mode & 0o777) for path in cache.iterdir()} == {"0o664"}
    assert oct(cache.stat().st_mode & 0o777) == "0o775"


def mount_point(tmp_path: Path) -> Path:
    volume = tmp_path / "volume"
    volume.mkdir()
    return volume


def on_a_tmpfs(volume: Path, options: str) -> list[str]:
    """Run in a mount namespace of its own, where the volume is a real file system; nothing of it is left afterwards."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} tmpfs {volume} && exec "$@"', "sh"]
