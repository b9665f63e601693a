"""The table of fields."""

from llmfleet.api.v1alpha1 import Autoscaling, Parallelism, QueueDepth, Rollout
from llmfleet.cli.reference import markdown
from llmfleet.vllm.arguments import TYPED

LINES = {line.split("`")[1]: line for line in markdown().splitlines() if line.startswith("| `")}


def test_a_field_stands_with_type_default_flag_and_meaning() -> None:
    assert LINES["spec.parallelism.tensor"] == (
        "| `spec.parallelism.tensor` | integer (1 to 64) | 1 | `--tensor-parallel-size` "
        "| Accelerators that share every layer. Must divide the model's attention heads. |"
    )


def test_every_flag_stands_in_its_fields_line() -> None:
    lines = {path.removesuffix("[]"): line for path, line in LINES.items()}
    for typed in TYPED:
        assert f"`{typed.flag}{f'.{typed.key}' if typed.key else ''}`" in lines[f"spec.{typed.field}"]


def test_defaults_are_those_of_the_models() -> None:
    assert f"| {Parallelism().pipeline} |" in LINES["spec.parallelism.pipeline"]
    assert f"| {QueueDepth().target} |" in LINES["spec.autoscaling.queueDepth.target"]
    assert f"| {Rollout().drain_timeout} |" in LINES["spec.rollout.drainTimeout"]
    assert f"| {Autoscaling(max_replicas=1).min_replicas} |" in LINES["spec.autoscaling.minReplicas"]


def test_the_status_is_described_too() -> None:
    assert "status.endpoint.url" in LINES
