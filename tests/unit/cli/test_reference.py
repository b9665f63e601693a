"""The tables of fields and checks."""

from collections import Counter

from llmfleet.api.v1alpha1 import Autoscaling, Parallelism, QueueDepth, Rollout
from llmfleet.cli.reference import markdown
from llmfleet.planning.checks import CHECKS
from llmfleet.vllm.arguments import TYPED

PAGE = markdown()
SERVICE, REST = PAGE.split("## LLMService: status")
LINES = {line.split("`")[1]: line for line in SERVICE.splitlines() if line.startswith("| `")}
FIELDS = {path.removeprefix("spec.").replace("[]", ""): line for path, line in LINES.items()}


def test_a_field_stands_with_type_default_flag_checks_and_meaning() -> None:
    path, kind, default, flag, checks, meaning = (cell.strip() for cell in LINES["spec.parallelism.tensor"].strip("| ").split(" | "))
    assert (path, kind, default, flag) == ("`spec.parallelism.tensor`", "integer (1 to 64)", "1", "`--tensor-parallel-size`")
    assert "`tensor_divides_attention_heads`" in checks
    assert meaning == "Accelerators that share every layer. Must divide the model's attention heads."


def test_every_flag_stands_in_its_fields_line() -> None:
    for typed in TYPED:
        assert f"`{typed.flag}{f'.{typed.key}' if typed.key else ''}`" in FIELDS[typed.field]


def test_every_check_stands_with_its_rule_and_in_the_lines_of_its_fields() -> None:
    rules = {line.split("`")[1]: line for line in REST.partition("## Checks")[2].splitlines() if line.startswith("| `")}
    assert list(rules) == [check.name for check in CHECKS]
    for check in CHECKS:
        assert check.rule in rules[check.name].replace(r"\|", "|")
        for field in check.fields:
            assert f"`{check.name}`" in FIELDS[field], "a check names fields that exist"


def test_no_two_checks_have_one_name() -> None:
    assert [name for name, count in Counter(check.name for check in CHECKS).items() if count > 1] == []


def test_defaults_are_those_of_the_models() -> None:
    assert f"| {Parallelism().pipeline} |" in LINES["spec.parallelism.pipeline"]
    assert f"| {QueueDepth().target} |" in LINES["spec.autoscaling.queueDepth.target"]
    assert f"| {Rollout().drain_timeout} |" in LINES["spec.rollout.drainTimeout"]
    assert f"| {Autoscaling(max_replicas=1).min_replicas} |" in LINES["spec.autoscaling.minReplicas"]


def test_status_and_profiles_are_described_too() -> None:
    assert "| `status.endpoint.url` |" in REST
    assert "| `spec.resourceName` |" in REST
