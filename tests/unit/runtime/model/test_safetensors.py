import json
import struct

import pytest

from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.safetensors import MAX_HEADER_BYTES, Tensor, tensors
from tests.unit.runtime.model.in_memory import InMemory, safetensors

NAME = "model.safetensors"


def read(content: bytes) -> tuple[Tensor, ...]:
    store = InMemory({NAME: content})
    return tensors(store, store.listing().files[0])


def refusal(content: bytes) -> ModelFailure:
    with pytest.raises(ModelFailure) as failed:
        read(content)
    return failed.value


def with_header(header: bytes, rest: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + rest


def test_a_header_gives_names_types_shapes_and_sizes() -> None:
    assert read(safetensors({"a": ("BF16", (2, 3)), "b": ("U8", (5,))})) == (Tensor("a", "BF16", (2, 3), 12), Tensor("b", "U8", (5,), 5))


def test_a_scalar_and_a_file_without_tensors_are_fine() -> None:
    assert read(safetensors({"scale": ("F32", ())})) == (Tensor("scale", "F32", (), 4),)
    assert read(with_header(b"{}")) == ()


@pytest.mark.parametrize("kept", [0, 5, 60])
def test_a_file_that_ends_before_its_tensors_do_is_half_there(kept: int) -> None:
    whole = safetensors({"a": ("BF16", (200, 3))})
    assert refusal(whole[:kept]).reason is Reason.INCOMPLETE_MODEL
    assert refusal(whole[:-1]).reason is Reason.INCOMPLETE_MODEL


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"x",
        with_header(b"not json"),
        with_header(b"[1, 2]"),
        with_header(json.dumps({"a": {"dtype": "BF16"}}).encode()),
        with_header(json.dumps({"a": {"dtype": "BF16", "shape": "x", "data_offsets": [0]}}).encode()),
        with_header(b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 1e999]}}'),
        with_header(b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [8, 4]}}', b"x" * 8),
        with_header(b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [-8, 4]}}', b"x" * 8),
        with_header(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
)
def test_what_is_no_header_is_no_model(content: bytes) -> None:
    assert refusal(content).reason is Reason.INVALID_MODEL
    assert "export the weights again" in refusal(content).message


def test_a_source_that_breaks_off_is_not_a_broken_file() -> None:
    store = InMemory({NAME: safetensors({"a": ("BF16", (2, 3))})}, most_per_read=4)
    with pytest.raises(ModelFailure, match="the source broke off after 4 of") as failed:
        tensors(store, store.listing().files[0])
    assert failed.value.reason is Reason.SOURCE_UNREACHABLE
