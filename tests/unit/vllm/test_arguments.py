"""Specification -> arguments of `vllm serve`."""

from typing import Any

import pytest

from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.vllm.arguments import TYPED, Place, Places, arguments
from llmfleet.vllm.owned import owner_of


def render(*, revision: str | None = None, **fields: Any) -> list[str]:
    spec = LLMServiceSpec.model_validate({**fields, "model": {"source": "hf://a/b", **fields.get("model", {})}})
    return arguments(spec, name="qwen", places=Places(Place("a/b", revision)))


def test_five_lines_render_the_name_and_the_port_only() -> None:
    assert render() == ["a/b", "--served-model-name", "qwen", "--port", "8000"]


def test_everything_in_a_stable_order_with_extra_args_last() -> None:
    rendered = render(
        revision="main",
        engine={
            "extraArgs": ["--enable-auto-tool-choice", "--tool-call-parser=hermes"],
            "memoryUtilization": 0.9,
            "maxBatchedTokens": 8192,
            "maxSequences": 256,
        },
        parallelism={"pipeline": 2, "tensor": 4},
        quantization={"kvCache": "fp8", "method": "awq"},
        model={"dtype": "bfloat16", "maxLength": "16k", "servedNames": ["qwen2.5-7b", "default"]},
    )
    assert rendered == [
        *("a/b", "--served-model-name", "qwen2.5-7b", "default", "--port", "8000", "--revision", "main"),
        *("--max-model-len", "16k", "--dtype", "bfloat16", "--quantization", "awq", "--kv-cache-dtype", "fp8"),
        *("--tensor-parallel-size", "4", "--pipeline-parallel-size", "2"),
        *("--max-num-seqs", "256", "--max-num-batched-tokens", "8192", "--gpu-memory-utilization", "0.9"),
        *("--enable-auto-tool-choice", "--tool-call-parser=hermes"),
    ]


def test_a_parallel_size_of_one_is_vllms_default_and_rolls_nothing_out() -> None:
    assert render(parallelism={"tensor": 1, "pipeline": 1}) == render()


@pytest.mark.parametrize(("length", "rendered"), [(4096, "4096"), ("16K", "16K"), ("auto", "auto")])
def test_the_length_is_handed_on_in_vllms_own_notation(length: int | str, rendered: str) -> None:
    assert render(model={"maxLength": length})[-2:] == ["--max-model-len", rendered]


def test_the_specification_is_not_touched() -> None:
    spec = LLMServiceSpec.model_validate({"model": {"source": "hf://a/b"}, "engine": {"extraArgs": ["--x"]}})
    arguments(spec, name="n", places=Places(Place("m"))).append("--y")
    assert spec.engine.extra_args == ["--x"]


def test_every_flag_of_a_typed_field_is_owned_by_that_field() -> None:
    for field, flag in ((typed.field, typed.flag) for typed in TYPED):
        owner = owner_of(flag)
        assert owner is not None
        assert owner.owner == f"spec.{field}"


def test_every_argument_that_the_operator_writes_is_owned() -> None:
    everything = render(revision="main", model={"maxLength": 1, "dtype": "auto"})
    assert [item for item in everything if item.startswith("--") and owner_of(item) is None] == []
