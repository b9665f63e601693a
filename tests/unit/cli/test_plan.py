"""llmfleet plan: for people and for programs."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.invoke import llmfleet

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return str(path)


@pytest.fixture
def facts(tmp_path: Path) -> str:
    path = tmp_path / "facts.json"
    weights = {"files": 4, "bytes": 16_060_522_240, "tensors": []}
    path.write_text(json.dumps({"source": "hf://a/b", "config": CONFIG, "weights": weights}))
    return str(path)


def planned(*arguments: str, given: str | None = None, status: int = 0) -> list[dict[str, Any]]:
    done = llmfleet("plan", *arguments, "-o", "json", given=given)
    assert done.status == status, done.err
    return list(json.loads(done.out))


def test_a_model_by_its_config_alone(config: str) -> None:
    (answer,) = planned("--model", "hf://a/b", "--config", config, "--accelerator", "nvidia-h100-80gb")
    (plan,) = answer["plans"]
    assert (answer["source"], plan["accelerator"], plan["verdict"]) == ("hf://a/b", "nvidia-h100-80gb", "Fits")
    assert plan["kv_bytes_per_token"] == 131072, "2 x 32 layers x 8 heads x 128 x 2 bytes"


def test_facts_are_found_by_their_source(facts: str) -> None:
    sources, profile = ("hf://a/b", "hf://a/other"), "nvidia-h100-80gb"
    known, unknown = (planned("--model", source, "--facts", facts, "--accelerator", profile)[0]["plans"][0] for source in sources)
    assert known["verdict"] != "Unknown"
    assert unknown["verdict"] == "Unknown"


def test_options_override_fields_of_the_file(facts: str) -> None:
    service = {
        "apiVersion": "llmfleet.dev/v1alpha1",
        "kind": "LLMService",
        "metadata": {"name": "q", "namespace": "chat"},
        "spec": {"model": {"source": "hf://a/b"}, "accelerator": {"profile": "nvidia-l4"}, "parallelism": {"tensor": 1}},
    }
    given = yaml.safe_dump(service)
    (before,) = planned("-f", "-", "--facts", facts, given=given, status=llmfleet("plan", "-f", "-", "--facts", facts, given=given).status)
    (after,) = planned("-f", "-", "--facts", facts, "--tensor", "4", "--max-length", "8192", "--kv-cache", "fp8", given=given)
    assert (before["plans"][0]["accelerators_per_replica"], after["plans"][0]["accelerators_per_replica"]) == (1, 4)
    assert after["plans"][0]["max_length"] == 8192
    assert (after["namespace"], after["name"]) == ("chat", "q")


def test_the_status_is_1_only_where_nothing_fits(facts: str) -> None:
    one = ["--model", "hf://a/b", "--facts", facts, "--accelerator", "nvidia-t4"]
    assert planned(*one, status=1)[0]["plans"][0]["verdict"] == "DoesNotFit"
    assert [plan["verdict"] for plan in planned(*one, "--accelerator", "nvidia-h200-141gb")[0]["plans"]] == ["DoesNotFit", "Fits"]


def test_a_refusal_of_the_checks_counts_too(facts: str) -> None:
    (answer,) = planned("--model", "hf://a/b", "--facts", facts, "--accelerator", "nvidia-h100-80gb", "--tensor", "3", status=1)
    assert any("attention heads" in finding["message"] for finding in answer["plans"][0]["findings"])


def test_the_bill_has_every_term_with_its_formula(facts: str) -> None:
    done = llmfleet("plan", "--model", "hf://a/b", "--facts", facts, "--accelerator", "nvidia-h100-80gb")
    assert done.status == 0
    for words in (
        "PER ACCELERATOR",
        "79.65 GiB",
        "profile nvidia-h100-80gb",
        "KV cache",
        "tokens in the KV cache",
        "131,072 bytes for each further one",
        "Fits: ",
    ):
        assert words in done.out


def test_several_accelerators_stand_side_by_side(facts: str) -> None:
    accelerators = ["--accelerator=nvidia-t4", "--accelerator=nvidia-h100-80gb"]
    done = llmfleet("plan", "--model", "hf://a/b", "--facts", facts, *accelerators)
    verdicts = next(line for line in done.out.splitlines() if line.startswith("verdict"))
    assert verdicts.split() == ["verdict", "DoesNotFit", "Fits"]
    assert "nvidia-t4: DoesNotFit: " in done.out


def test_what_does_not_fit_comes_with_what_to_change(facts: str) -> None:
    done = llmfleet("plan", "--model", "hf://a/b", "--facts", facts, "--accelerator", "nvidia-t4")
    assert "- set spec.parallelism.tensor to " in done.out


def test_without_facts_it_says_unknown_and_how_to_get_some() -> None:
    done = llmfleet("plan", "--model", "hf://a/b")
    assert done.status == 0
    assert "Unknown: " in done.out
    assert "llmfleet-runtime inspect" in done.out


def test_nothing_is_coloured_in_a_pipe(facts: str) -> None:
    assert "\x1b" not in llmfleet("plan", "--model", "hf://a/b", "--facts", facts).out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to plan: give --model SOURCE, or -f FILE"),
        (["--model", "hf://a/b", "--accelerator", "abacus"], "there is no accelerator profile abacus; there are "),
        (["--model", "hf://a/b", "--config", "/nowhere.json"], "/nowhere.json: cannot be read as JSON"),
        (["--model", "hf://a/b", "--facts", "/nowhere.json"], "/nowhere.json: cannot be read as JSON"),
    ],
)
def test_wrong_usage_ends_with_2_and_the_next_step(arguments: list[str], words: str) -> None:
    done = llmfleet("plan", *arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err


def test_what_is_no_service_is_refused() -> None:
    done = llmfleet("plan", "--model", "ftp://a/b")
    assert done.status == 1
    assert "spec.model.source 'ftp://a/b': must be hf://owner/repository" in done.err


def test_one_config_is_not_taken_for_several_models(config: str) -> None:
    service = "apiVersion: llmfleet.dev/v1alpha1\nkind: LLMService\nmetadata: {name: q}\nspec: {model: {source: 'hf://a/b'}}\n"
    done = llmfleet("plan", "-f", "-", "--config", config, given=f"{service}---\n{service}")
    assert done.status == 2
    assert "there are 2 LLMServices: give --facts" in done.err
