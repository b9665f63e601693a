"""The command: its verbs, its statuses, and how soon it starts."""

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from llmfleet.api.crd import accelerator_profile_crd, llmservice_crd
from tests.unit.cli.invoke import llmfleet

REPOSITORY = Path(__file__).parents[3]


def test_crds_prints_what_kubectl_applies() -> None:
    done = llmfleet("crds")
    assert done.status == 0
    assert list(yaml.safe_load_all(done.out)) == [llmservice_crd(), accelerator_profile_crd()]


def test_crds_writes_the_files(tmp_path: Path) -> None:
    assert llmfleet("crds", "--output-dir", str(tmp_path / "crds")).status == 0
    assert sorted(path.name for path in (tmp_path / "crds").iterdir()) == ["llmfleet.dev_acceleratorprofiles.yaml", "llmfleet.dev_llmservices.yaml"]


def test_the_reference_in_docs_is_fresh() -> None:
    printed = llmfleet("crds", "--reference").out
    assert (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8") == printed, "stale: make generate"


def test_without_a_verb_it_helps_and_ends_with_2() -> None:
    done = llmfleet()
    assert done.status == 2
    assert "validate" in done.out + done.err


def test_its_version_is_the_distributions() -> None:
    done = llmfleet("--version")
    assert (done.status, done.out) == (0, version("llmfleet-operator") + "\n")


@pytest.mark.parametrize("verb", ["render", "validate", "plan", "status", "crds", "run"])
def test_every_verb_explains_itself(verb: str) -> None:
    assert llmfleet(verb, "--help").status == 0


HEAVY = ("aiohttp", "kopf", "pydantic", "rich", "cryptography", "prometheus_client")


def test_help_and_version_wait_for_no_library() -> None:
    program = (
        f"import sys; from llmfleet.cli.main import app; app(['--version'], standalone_mode=False); print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def run(*arguments: str, shell_suffix: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, for what only a shell can do to it."""
    command = f"exec {shlex.quote(sys.executable)} -m llmfleet {shlex.join(arguments)} {shell_suffix}"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_a_closed_standard_input_is_said() -> None:
    done = run("validate", "-f", "-", shell_suffix="<&-")
    assert (done.returncode, done.stderr) == (2, "error: standard input is closed: there is nothing to read\n")


def test_a_folder_that_cannot_be_written_is_said() -> None:
    done = llmfleet("crds", "--output-dir", "/proc/nowhere")
    assert (done.status, done.err) == (2, "error: /proc/nowhere: cannot be written: No such file or directory\n")


@pytest.mark.parametrize(
    "kubeconfig",
    ["{", "current-context: c\nclusters: 5\n", "current-context: gone\ncontexts: []\n", "5"],
    ids=["no YAML", "another shape", "an unknown context", "no object"],
)
def test_a_kubeconfig_that_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubeconfig: str) -> None:
    (tmp_path / "config").write_text(kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    done = llmfleet("status")
    assert done.status == 3
    assert done.err.startswith("error: no cluster: the kubeconfig cannot be used: ")


def test_no_columns_are_no_width() -> None:
    assert "hf://a/b" in run("plan", "--model", "hf://a/b", COLUMNS="0").stdout
