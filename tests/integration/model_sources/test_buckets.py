import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.ports import free_port
from tests.integration.model_sources import buckets, models
from tests.integration.model_sources.buckets import GcsBucket, S3Bucket, Server
from tests.integration.model_sources.commands import Commands

BIG = {"model.layers.0.mlp.up_proj.weight": ("F32", (3 << 20, 1))}
"""Twelve megabytes: more than one part of a multipart upload."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with buckets.versitygw(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with buckets.fake_gcs_server(tmp_path_factory.mktemp("gcs") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def s3_bucket(s3: Server) -> S3Bucket:
    return S3Bucket(s3, "models")


@pytest.fixture(scope="module")
def gcs_bucket(gcs: Server) -> GcsBucket:
    return GcsBucket(gcs, "models")


@pytest.fixture(params=["s3", "gs"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(scheme: str, request: pytest.FixtureRequest) -> Server:
    found = request.getfixturevalue("s3" if scheme == "s3" else "gcs")
    assert isinstance(found, Server)
    return found


@pytest.fixture
def bucket(scheme: str, request: pytest.FixtureRequest) -> S3Bucket | GcsBucket:
    found = request.getfixturevalue("s3_bucket" if scheme == "s3" else "gcs_bucket")
    assert isinstance(found, S3Bucket | GcsBucket)
    return found


@pytest.fixture
def commands(server: Server, tmp_path: Path) -> Commands:
    return Commands(tmp_path, server.environment)


def contents(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.name[0] != "."}


def test_a_model_in_a_bucket_is_inspected_and_fetched(scheme: str, bucket: S3Bucket | GcsBucket, commands: Commands, tmp_path: Path) -> None:
    folder = models.sharded(tmp_path / "model")
    bucket.upload(folder, "team/llama")
    bucket.upload(models.single_file(tmp_path / "other"), "team/llama2")
    facts = commands.inspect(f"{scheme}://models/team/llama").facts
    assert facts["weights"]["files"] == 3
    assert {group["part"]: group["bytes"] for group in facts["weights"]["tensors"]}["embedding"] == 512 * 64 * 2
    assert "revision" not in facts
    cache = tmp_path / "claim/llama"
    fetched = commands.fetch(f"{scheme}://models/team/llama", cache)
    assert fetched.code == 0, fetched.stderr
    assert contents(cache) == contents(folder)
    assert fetched.told["revision"] is None
    assert facts["download"] == {"files": fetched.told["files"], "bytes": fetched.told["bytes"]}


def test_a_bucket_that_does_not_exist_is_named(scheme: str, commands: Commands) -> None:
    found = commands.inspect(f"{scheme}://nowhere/llama")
    assert (found.reason, found.code) == ("ModelNotFound", 1)
    assert "there is no bucket nowhere; correct spec.model.source" in found.told["message"]


def test_a_path_with_nothing_below_is_named(scheme: str, bucket: S3Bucket | GcsBucket, commands: Commands) -> None:
    found = commands.inspect(f"{scheme}://{bucket.name}/typo")
    assert found.reason == "ModelNotFound"
    assert f"there is no object below 'typo/' in bucket {bucket.name}" in found.told["message"]


def test_a_shard_that_is_missing_is_named(scheme: str, bucket: S3Bucket | GcsBucket, commands: Commands, tmp_path: Path) -> None:
    folder = models.sharded(tmp_path / "model")
    (folder / "model-00001-of-00003.safetensors").unlink()
    bucket.upload(folder, "incomplete")
    found = commands.inspect(f"{scheme}://models/incomplete")
    assert found.reason == "IncompleteModel"
    assert "model-00001-of-00003.safetensors" in found.told["message"]


def test_a_server_that_is_not_there_is_told_as_that(scheme: str, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    environment = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"} if scheme == "s3" else {"STORAGE_EMULATOR_HOST": url}
    found = Commands(tmp_path, environment).inspect(f"{scheme}://models/llama")
    assert (found.reason, found.code) == ("SourceUnreachable", 75)
    assert f"{url} cannot be reached: nothing listens there" in found.told["message"]


def test_keys_that_the_store_does_not_know_are_named_by_their_secret(s3: Server, s3_bucket: S3Bucket, tmp_path: Path) -> None:
    commands = Commands(tmp_path, {**s3.environment, "AWS_SECRET_ACCESS_KEY": "wrong", "LLMFLEET_CREDENTIALS": "secret s3-keys key AWS_SECRET_ACCESS_KEY"})
    found = commands.inspect(f"s3://{s3_bucket.name}/llama")
    assert (found.reason, found.code) == ("ModelAccessDenied", 1)
    assert "SignatureDoesNotMatch" in found.told["message"]
    assert "secret s3-keys key AWS_SECRET_ACCESS_KEY (spec.model.credentials) is refused" in found.told["message"]


def test_a_closed_bucket_without_keys_asks_for_a_secret(s3: Server, s3_bucket: S3Bucket, tmp_path: Path) -> None:
    found = Commands(tmp_path, {"AWS_ENDPOINT_URL": s3.url}).inspect(f"s3://{s3_bucket.name}/llama")
    assert found.reason == "ModelAccessDenied"
    assert "no credentials were shown; let spec.model.credentials name a Secret with an account's keys" in found.told["message"]


def test_an_object_that_was_uploaded_in_parts_is_fetched_without_a_hash(s3: Server, s3_bucket: S3Bucket, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "model")
    models.write_safetensors(folder / "model.safetensors", BIG)
    s3_bucket.upload(folder, "parts")
    s3_bucket.upload_in_parts(folder / "model.safetensors", "parts/model.safetensors")
    assert "-" in s3_bucket.client.head_object(Bucket="models", Key="parts/model.safetensors")["ETag"]
    assert Commands(tmp_path, s3.environment).fetch("s3://models/parts", tmp_path / "claim/parts").code == 0
    assert contents(tmp_path / "claim/parts") == contents(folder)


def test_an_object_whose_bytes_are_not_those_of_its_hash_is_found(s3: Server, s3_bucket: S3Bucket, tmp_path: Path) -> None:
    """Written behind the server's back: size and ETag stay."""
    s3_bucket.upload(models.single_file(tmp_path / "model"), "rotten")
    stored = s3.directory / "models/rotten/tokenizer.json"
    stored.write_bytes(b"\0" * stored.stat().st_size)
    found = Commands(tmp_path, s3.environment).fetch("s3://models/rotten", tmp_path / "claim/rotten")
    assert (found.reason, found.code) == ("ChecksumMismatch", 1)
    assert "tokenizer.json" in found.told["message"]


def test_a_composed_object_is_checked_by_its_crc(gcs: Server, gcs_bucket: GcsBucket, tmp_path: Path) -> None:
    folder = models.single_file(tmp_path / "model")
    gcs_bucket.upload(folder, "composed")
    content = (folder / "model.safetensors").read_bytes()
    for number, part in enumerate((content[:100_000], content[100_000:])):
        (tmp_path / f"parts/{number}").parent.mkdir(exist_ok=True)
        (tmp_path / f"parts/{number}").write_bytes(part)
    gcs_bucket.upload(tmp_path / "parts", "parts")
    gcs_bucket.compose(["parts/0", "parts/1"], "composed/model.safetensors")
    assert Commands(tmp_path, gcs.environment).fetch("gs://models/composed", tmp_path / "claim/composed").code == 0
    assert contents(tmp_path / "claim/composed") == contents(folder)
