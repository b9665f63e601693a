"""The sidecar that fetches adapters, as Kubernetes runs it: a process with a list that is renewed, a directory, and credentials in its environment."""

import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.model_sources import models
from tests.integration.model_sources.buckets import S3Bucket, versitygw
from tests.integration.model_sources.commands import PATIENCE_SECONDS, Commands
from tests.integration.model_sources.hub import Hub

WEIGHTS = "adapter_model.safetensors"
SMALL = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": ("BF16", (8, 64))}
BIG = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": ("F32", (4 << 20, 1))}
"""Sixteen megabytes: more than the kernel buffers between the hub and its client."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "adapters"
    made.mkdir()
    return made


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    made = tmp_path / "adapter-list"
    made.mkdir()
    return made


def adapter(folder: Path, tensors: models.Shapes = SMALL) -> Path:
    """A repository as PEFT's users upload them, with more than an engine needs."""
    models.write_json(folder / "adapter_config.json", {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]})
    models.write_safetensors(folder / WEIGHTS, tensors)
    (folder / "README.md").write_text("# An adapter\n")
    (folder / "optimizer.pt").write_bytes(b"of the training")
    return folder


def publish(mount: Path, *items: dict[str, Any]) -> None:
    """As the kubelet renews a ConfigMap: a new directory, and one rename of the link to it (k8s.io/kubernetes pkg/volume/util/atomic_writer.go)."""
    version = mount / f"..{hashlib.sha256(json.dumps(items).encode()).hexdigest()[:8]}-{time.monotonic_ns()}"
    version.mkdir()
    (version / "adapters.json").write_text(json.dumps(items))
    link = mount / "..data_tmp"
    link.symlink_to(version.name)
    link.replace(mount / "..data")
    if not (mount / "adapters.json").is_symlink():
        (mount / "adapters.json").symlink_to("..data/adapters.json")


def item(directory: Path, name: str, source: str, fetcher: int = 0) -> dict[str, Any]:
    return {"name": name, "path": str(directory / hashlib.sha256(source.encode()).hexdigest()[:12]), "source": source, "fetcher": fetcher}


@contextmanager
def sidecar(commands: Commands, mount: Path, directory: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with commands.running("fetch-adapters", str(mount / "adapters.json"), "--fetcher", "0", "--directory", str(directory), **environment) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)


def eventually(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def failure(wanted: dict[str, Any]) -> str:
    return str(json.loads(eventually(lambda: (file := Path(wanted["path"] + ".failed")).exists() and file.read_text()))["message"])


def names(path: str) -> set[str]:
    return {found.name for found in Path(path).iterdir()}


def test_what_is_listed_comes_and_what_is_added_comes_too(hub: Hub, commands: Commands, mount: Path, directory: Path) -> None:
    adapter(hub.root / "acme/sql")
    adapter(hub.root / "acme/fr@v2")
    (hub.root / "acme/fr").mkdir()
    sql, fr = item(directory, "sql", "hf://acme/sql"), item(directory, "fr", "hf://acme/fr@v2")
    publish(mount, sql)
    with sidecar(commands, mount, directory):
        eventually(lambda: Path(sql["path"]).is_dir())
        assert names(sql["path"]) == {"adapter_config.json", WEIGHTS, ".llmfleet-complete.json"}
        publish(mount, sql, fr)
        eventually(lambda: Path(fr["path"]).is_dir())
        assert names(fr["path"]) == {"adapter_config.json", WEIGHTS, ".llmfleet-complete.json"}
        assert (Path(sql["path"]) / WEIGHTS).read_bytes() == (hub.root / "acme/sql" / WEIGHTS).read_bytes()


def test_a_gated_one_without_a_token_says_what_is_missing_and_the_others_come(hub: Hub, commands: Commands, mount: Path, directory: Path) -> None:
    adapter(hub.root / "acme/gated")
    adapter(hub.root / "acme/sql")
    hub.rules.gated.add("acme/gated")
    gated, sql = item(directory, "gated", "hf://acme/gated"), item(directory, "sql", "hf://acme/sql")
    publish(mount, gated, sql)
    with sidecar(commands, mount, directory) as process:
        eventually(lambda: Path(sql["path"]).is_dir())
        message = failure(gated)
        assert "the repository is gated, and no credentials were shown" in message
        assert "let adapters.items[].credentials name a Secret with a token" in message
        assert process.poll() is None


def test_a_gated_one_comes_with_the_token_of_the_environment(hub: Hub, commands: Commands, mount: Path, directory: Path) -> None:
    adapter(hub.root / "acme/gated")
    hub.rules.gated.add("acme/gated")
    hub.rules.tokens.add("hf_right")
    gated = item(directory, "gated", "hf://acme/gated")
    publish(mount, gated)
    with sidecar(commands, mount, directory, HF_TOKEN="hf_right"):
        eventually(lambda: Path(gated["path"]).is_dir())


def test_a_whole_model_is_not_fetched_as_an_adapter(hub: Hub, commands: Commands, mount: Path, directory: Path) -> None:
    models.single_file(hub.root / "acme/model")
    wrong, missing = item(directory, "wrong", "hf://acme/model"), item(directory, "missing", "hf://acme/nothing")
    publish(mount, wrong, missing)
    with sidecar(commands, mount, directory):
        assert "this is no LoRA adapter as PEFT saves it; correct adapters.items[].source" in failure(wrong)
        assert "there is no such repository" in failure(missing)
    assert hub.read_of("model.safetensors") == []


def test_a_killed_sidecar_goes_on_in_the_middle_of_the_file(hub: Hub, commands: Commands, mount: Path, directory: Path) -> None:
    adapter(hub.root / "acme/sql", BIG)
    sql = item(directory, "sql", "hf://acme/sql")
    half = Path(sql["path"] + ".partial") / f"{WEIGHTS}.half"
    held = eight_megabytes_only(hub)
    publish(mount, sql)
    with sidecar(commands, mount, directory) as process:
        eventually(lambda: half.exists() and half.stat().st_size >= 1 << 20)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 143
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
    size = half.stat().st_size
    held.clear()
    with sidecar(commands, mount, directory):
        eventually(lambda: Path(sql["path"]).is_dir())
    assert (Path(sql["path"]) / WEIGHTS).read_bytes() == (hub.root / "acme/sql" / WEIGHTS).read_bytes()
    assert str(hub.read_of(WEIGHTS)[-1].range).startswith(f"bytes={size}-")


def test_what_is_removed_while_it_is_fetched_is_let_go(hub: Hub, commands: Commands, mount: Path, directory: Path) -> None:
    adapter(hub.root / "acme/sql", BIG)
    sql = item(directory, "sql", "hf://acme/sql")
    held = eight_megabytes_only(hub)
    publish(mount, sql)
    with sidecar(commands, mount, directory):
        eventually(lambda: Path(sql["path"] + ".partial").is_dir())
        publish(mount)
        eventually(lambda: list(directory.iterdir()) == [])
    held.clear()


def test_an_adapter_comes_out_of_a_bucket(commands: Commands, tmp_path: Path, mount: Path, directory: Path) -> None:
    with versitygw(tmp_path / "server") as server:
        S3Bucket(server, "adapters").upload(adapter(tmp_path / "local"), "team/sql")
        sql, missing = item(directory, "sql", "s3://adapters/team/sql"), item(directory, "missing", "s3://adapters/team/other")
        publish(mount, sql, missing)
        with sidecar(commands, mount, directory, **server.environment):
            eventually(lambda: Path(sql["path"]).is_dir())
            assert "there is no object below 'team/other/' in bucket adapters; correct adapters.items[].source" in failure(missing)
    assert names(sql["path"]) == {"adapter_config.json", WEIGHTS, ".llmfleet-complete.json"}


def eight_megabytes_only(hub: Hub) -> set[str]:
    """Hold the weights back in their middle for as long as the set that is returned is not empty."""
    held = {WEIGHTS}

    def before(name: str, offset: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while name in held and offset >= 8 << 20 and time.monotonic() < deadline:
            time.sleep(0.05)

    hub.rules.before_chunk = before
    return held
