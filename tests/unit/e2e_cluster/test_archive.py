"""An image's archive as containerd will read it."""

import hashlib
import io
import json
import tarfile

from e2e.cluster import archive
from e2e.cluster.archive import ImageConfiguration
from e2e.cluster.layer import Layer, Text

LAYERS = [Layer((Text("etc/one", b"1"),)), Layer((Text("etc/two", b"22" * 700),))]


def _read() -> dict[str, bytes]:
    stream = io.BytesIO()
    archive.write(stream, "localhost/x:1", ImageConfiguration(("x",), user="2000:0", environment=("HOME=/home/vllm",)), LAYERS)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as members:
        return {member.name: members.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def test_manifest_names_members_of_the_archive() -> None:
    members = _read()
    [manifest] = json.loads(members["manifest.json"])
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert {manifest["Config"], *manifest["Layers"]} <= set(members)


def test_digests_are_those_of_the_layers_in_order() -> None:
    members = _read()
    [manifest] = json.loads(members["manifest.json"])
    expected = [f"sha256:{hashlib.sha256(members[name]).hexdigest()}" for name in manifest["Layers"]]
    assert json.loads(members[manifest["Config"]])["rootfs"]["diff_ids"] == expected


def test_configuration_is_named_by_its_digest() -> None:
    members = _read()
    [manifest] = json.loads(members["manifest.json"])
    assert manifest["Config"] == f"{hashlib.sha256(members[manifest['Config']]).hexdigest()}.json"


def test_process_runs_as_described() -> None:
    members = _read()
    [manifest] = json.loads(members["manifest.json"])
    config = json.loads(members[manifest["Config"]])["config"]
    assert (config["Entrypoint"], config["User"], config["Env"]) == (["x"], "2000:0", ["HOME=/home/vllm"])
