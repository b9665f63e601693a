import errno
import json
import os
from pathlib import Path

import pytest

from llmfleet_runtime.model.cache import MANIFEST, MARKER, Marker
from llmfleet_runtime.model.download import FLUSH_BYTES
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.fetching import fetch
from llmfleet_runtime.model.progress import Progress
from llmfleet_runtime.model.source import parse
from tests.unit.runtime.model.in_memory import InMemory

SOURCE = parse("hf://acme/tiny")
CONTENTS = {"config.json": b"{}", "tokenizer.json": b"t" * 3000, "model.safetensors": b"w" * 10_000}


def fetched(store: InMemory, directory: Path) -> Marker:
    return fetch(SOURCE, store, directory, Progress())


def refusal(store: InMemory, directory: Path) -> ModelFailure:
    with pytest.raises(ModelFailure) as failed:
        fetched(store, directory)
    return failed.value


def held(directory: Path) -> dict[str, bytes]:
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != MARKER}


def test_a_directory_is_whole_or_not_there(tmp_path: Path) -> None:
    directory = tmp_path / "a/b/tiny"
    assert fetched(InMemory(CONTENTS), directory) == Marker("hf://acme/tiny", "abc", 3, 13_002)
    assert held(directory) == CONTENTS
    assert {path.name for path in directory.parent.iterdir()} == {"tiny", "tiny.lock"}


def test_files_in_folders_and_empty_files_are_fetched(tmp_path: Path) -> None:
    contents = {**CONTENTS, "1_Pooling/config.json": b"{}", "empty.txt": b""}
    fetched(InMemory(contents), tmp_path / "tiny")
    assert held(tmp_path / "tiny") == contents


def test_a_read_that_breaks_off_again_and_again_is_gone_on_with_where_it_was(tmp_path: Path) -> None:
    store = InMemory({"model.gguf": b"w" * 10_000}, most_per_read=4000)
    fetched(store, tmp_path / "tiny")
    assert store.reads == [("model.gguf", 0), ("model.gguf", 4000), ("model.gguf", 8000)]


def test_a_half_file_of_the_same_content_is_continued(tmp_path: Path) -> None:
    partial = half_fetched(tmp_path)
    store = InMemory(CONTENTS)
    fetched(store, tmp_path / "tiny")
    assert ("model.safetensors", 6000) in store.reads
    assert not partial.exists()


def test_a_half_file_of_another_content_is_thrown_away(tmp_path: Path) -> None:
    half_fetched(tmp_path)
    newer = {**CONTENTS, "model.safetensors": b"v" * 10_000}
    store = InMemory(newer, revision="def")
    assert fetched(store, tmp_path / "tiny").revision == "def"
    assert ("model.safetensors", 0) in store.reads
    assert ("tokenizer.json", 0) not in store.reads
    assert held(tmp_path / "tiny") == newer


def test_what_the_source_no_longer_has_is_thrown_away(tmp_path: Path) -> None:
    partial = half_fetched(tmp_path)
    (partial / "folder").mkdir()
    (partial / "folder/gone.json").write_text("{}")
    fetched(InMemory(CONTENTS), tmp_path / "tiny")
    assert held(tmp_path / "tiny") == CONTENTS
    assert not (tmp_path / "tiny/folder").exists()


def test_a_manifest_that_cannot_be_read_costs_the_files_not_the_fetch(tmp_path: Path) -> None:
    (half_fetched(tmp_path) / MANIFEST).write_text("{")
    fetched(InMemory(CONTENTS), tmp_path / "tiny")
    assert held(tmp_path / "tiny") == CONTENTS


def test_a_half_file_longer_than_the_whole_is_begun_anew(tmp_path: Path) -> None:
    (half_fetched(tmp_path) / "model.safetensors.half").write_bytes(b"w" * 20_000)
    fetched(InMemory(CONTENTS), tmp_path / "tiny")
    assert held(tmp_path / "tiny") == CONTENTS


def test_a_fetch_that_is_killed_before_its_last_step_has_nothing_to_fetch_again(tmp_path: Path) -> None:
    partial = half_fetched(tmp_path)
    (partial / "model.safetensors.half").unlink()
    (partial / "model.safetensors").write_bytes(CONTENTS["model.safetensors"])
    (partial / MARKER).write_text("{}")
    store = InMemory(CONTENTS)
    fetched(store, tmp_path / "tiny")
    assert store.reads == []
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {*CONTENTS, MARKER}


def test_more_bytes_than_were_listed_are_not_taken_for_the_file(tmp_path: Path) -> None:
    store = InMemory(CONTENTS, surplus=b"more", hashed=False)
    assert refusal(store, tmp_path / "tiny").reason is Reason.CHECKSUM_MISMATCH


def test_a_refusal_in_the_middle_ends_the_fetch_and_keeps_what_is_there(tmp_path: Path) -> None:
    store = InMemory(CONTENTS, closed=frozenset({"model.safetensors"}))
    assert refusal(store, tmp_path / "tiny").reason is Reason.MODEL_ACCESS_DENIED
    assert not (tmp_path / "tiny").exists()
    assert (tmp_path / "tiny.partial").is_dir()


def test_what_has_no_version_may_have_changed_and_is_fetched_anew(tmp_path: Path) -> None:
    partial = half_fetched(tmp_path)
    manifest = json.loads((partial / MANIFEST).read_text())
    for entry in manifest["files"].values():
        entry["version"] = ""
    (partial / MANIFEST).write_text(json.dumps(manifest))
    changed = {**CONTENTS, "tokenizer.json": b"u" * 3000}
    fetched(InMemory(changed, hashed=False, versioned=False), tmp_path / "tiny")
    assert held(tmp_path / "tiny") == changed


def test_what_is_written_reaches_the_disk_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A page that waits for slow storage counts as memory of the pod: a whole shard of them is more than its limit.
    sizes: list[int] = []
    real = os.fsync

    def recorded(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    whole = 2 * FLUSH_BYTES + 5000
    fetched(InMemory({"model.gguf": b"w" * whole}), tmp_path / "tiny")
    assert [size // 1_000_000 for size in sizes if size >= FLUSH_BYTES] == [FLUSH_BYTES // 1_000_000, 2 * FLUSH_BYTES // 1_000_000, whole // 1_000_000]


def test_a_directory_that_may_not_be_looked_into_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny").mkdir()

    def refused(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(os, "scandir", refused)
    found = refusal(InMemory(CONTENTS), tmp_path / "tiny")
    assert found.reason is Reason.CACHE_UNUSABLE
    assert "may not" in found.message


def test_a_source_with_nothing_for_an_engine_is_refused(tmp_path: Path) -> None:
    assert refusal(InMemory({".gitattributes": b"x"}), tmp_path / "tiny").reason is Reason.INVALID_MODEL


def test_a_marker_that_cannot_be_read_is_no_marker(tmp_path: Path) -> None:
    fetched(InMemory(CONTENTS), tmp_path / "tiny")
    (tmp_path / "tiny" / MARKER).write_text(json.dumps({"source": "hf://acme/tiny"}))
    assert refusal(InMemory(CONTENTS), tmp_path / "tiny").reason is Reason.CACHE_UNUSABLE


def test_an_empty_directory_gives_way(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    fetched(InMemory(CONTENTS), tmp_path / "tiny")
    assert held(tmp_path / "tiny") == CONTENTS


def half_fetched(tmp_path: Path) -> Path:
    """The partial directory of a fetch that was killed: two files whole, the third half."""
    fetched(InMemory(CONTENTS), tmp_path / "earlier")
    partial = tmp_path / "tiny.partial"
    (tmp_path / "earlier").rename(partial)
    (partial / MARKER).unlink()
    (partial / "model.safetensors").rename(partial / "model.safetensors.half")
    (partial / "model.safetensors.half").write_bytes(b"w" * 6000)
    files = {file.name: {"name": file.name, "size_bytes": file.size_bytes, "version": file.version} for file in InMemory(CONTENTS).listing().files}
    (partial / MANIFEST).write_text(json.dumps({"revision": "abc", "files": files}))
    return partial
