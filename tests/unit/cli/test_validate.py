"""llmfleet validate: messages, exit statuses, JSON."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.invoke import llmfleet

GOOD = """\
apiVersion: llmfleet.dev/v1alpha1
kind: LLMService
metadata: {name: qwen, namespace: chat}
spec:
  model: {source: hf://a/b}
"""
FOREIGN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
PROFILE = """\
apiVersion: llmfleet.dev/v1alpha1
kind: AcceleratorProfile
metadata: {name: house}
spec: {resourceName: house.example/gpu, images: {"*": "registry.example/vllm:{version}"}}
"""


def test_what_is_good_ends_with_0_and_a_count() -> None:
    done = llmfleet("validate", "-f", "-", given=f"{GOOD}---\n{FOREIGN}")
    assert (done.status, done.out, done.err) == (0, "1 of 1 object valid, 1 object of other kinds skipped\n", "")


def test_what_is_refused_is_named_with_file_line_object_field_rule_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{FOREIGN}---\n{GOOD}  engine:\n    extraArgs:\n      - --enable-log-requests\n      - --port=9\n")
    done = llmfleet("validate", "-f", str(file))
    assert done.status == 1
    assert done.out == "0 of 1 object valid, 1 object of other kinds skipped\n"
    (line,) = done.err.splitlines()
    assert line.startswith(f"{file}:13: llmservice chat/qwen: spec.engine.extraArgs[1] '--port': belongs to the operator; ")


def test_a_warning_refuses_nothing() -> None:
    done = llmfleet("validate", "-f", "-", given=GOOD.replace("hf://a/b", "hf://a/b, loadFormat: dummy"))
    assert done.status == 0
    assert "<stdin>:5: llmservice chat/qwen: warning: spec.model.loadFormat 'dummy': serves random weights" in done.err
    assert done.out == "1 of 1 object valid, 1 warning\n"


def test_an_unknown_field_comes_with_the_names_that_are_near() -> None:
    done = llmfleet("validate", "-f", "-", given=GOOD + "  modle: {}\n  engine: {maxSequence: 3}\n  maxLength: 5\n")
    assert [line.partition("v1alpha1; ")[2] for line in done.err.splitlines()] == [
        "did you mean maxSequences, maxRequestSize?",
        "did you mean model?",
        "did you mean spec.model.maxLength?",
    ]


def test_json_says_the_same_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": {"name": "q"}, "spec": {"model": {}}}, indent=1))
    done = llmfleet("validate", "-f", str(file), "-o", "json")
    assert done.status == 1
    assert json.loads(done.out) == {
        "checked": 1,
        "refused": 1,
        "skipped": 0,
        "unreadable": [],
        "findings": [
            {
                "severity": "error",
                "file": str(file),
                "line": 8,
                "kind": "LLMService",
                "namespace": "default",
                "name": "q",
                "reason": "Invalid",
                "field": "spec.model.source",
                "value": "",
                "rule": "is required",
                "remedy": "add it",
                "message": "spec.model.source: is required; add it",
            }
        ],
    }


def test_what_cannot_be_read_ends_with_2_and_the_rest_is_said() -> None:
    done = llmfleet("validate", "-f", "-", given="a: 1\na: 2\n")
    assert done.status == 2
    assert "<stdin>:2: the key 'a' stands there twice" in done.err


@pytest.mark.parametrize("arguments", [["validate"], ["validate", "-f", "/nowhere"], ["validate", "-f", "-", "-o", "xml"], ["validte"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert llmfleet(*arguments, given="").status == 2


def test_a_profile_among_the_input_counts_and_is_checked_itself() -> None:
    wanted = GOOD + "  accelerator: {profile: house}\n"
    assert llmfleet("validate", "-f", "-", given=wanted).status == 1
    assert llmfleet("validate", "-f", "-", given=f"{wanted}---\n{PROFILE}").status == 0
    broken = llmfleet("validate", "-f", "-", given=PROFILE.replace("images", "image"))
    assert "<stdin>:4: acceleratorprofile house: spec.image: is no field of llmfleet.dev/v1alpha1; did you mean images?" in broken.err


def test_another_kind_or_version_of_our_group_is_refused() -> None:
    kind = llmfleet("validate", "-f", "-", given=GOOD.replace("LLMService", "LlmService"))
    assert kind.status == 1
    assert "kind 'LlmService': is no kind of llmfleet.dev/v1alpha1; did you mean LLMService?" in kind.err
    version = llmfleet("validate", "-f", "-", given=GOOD.replace("v1alpha1", "v1"))
    assert version.status == 1
    assert "apiVersion" in version.err


def test_facts_of_the_model_count(tmp_path: Path) -> None:
    """float16 is refused for Gemma 2, which only the model's own configuration tells."""
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps({"source": "hf://a/b", "config": {"model_type": "gemma2"}}))
    wanted = GOOD.replace("hf://a/b", "hf://a/b, dtype: float16")
    assert llmfleet("validate", "-f", "-", given=wanted).status == 0
    assert llmfleet("validate", "-f", "-", "--facts", str(facts), given=wanted).status == 1


def test_an_object_that_a_cluster_holds_brings_its_facts() -> None:
    wanted = GOOD.replace("hf://a/b", "hf://a/b, dtype: float16")
    status = "status: {model: {facts: {source: 'hf://a/b', config: {model_type: gemma2}}}}\n"
    assert llmfleet("validate", "-f", "-", given=wanted + status).status == 1


def test_facts_that_are_none_are_named(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "llama"}')
    done = llmfleet("validate", "-f", "-", "--facts", str(config), given=GOOD)
    assert done.status == 2
    assert "holds no model facts" in done.err
    assert "--config" in done.err


@pytest.mark.parametrize("given", ["", "---\n", "# a comment\n---\n...\n", "just words\n"])
def test_nothing_is_not_valid(given: str) -> None:
    done = llmfleet("validate", "-f", "-", given=given)
    assert done.status == 2
