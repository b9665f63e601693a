import pytest

from llmfleet_runtime.model import documents
from llmfleet_runtime.model.failure import ModelFailure, Reason
from tests.unit.runtime.model.in_memory import InMemory


def refusal(content: bytes) -> ModelFailure:
    store = InMemory({"config.json": content})
    with pytest.raises(ModelFailure) as failed:
        documents.read(store, store.listing().files[0])
    return failed.value


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"a": "\xff"}', b"\xef\xbb\xbf{"])
def test_what_is_no_object_is_shown(content: bytes) -> None:
    assert refusal(content).reason is Reason.INVALID_MODEL
    assert "it begins with" in refusal(content).message or "but begins with" in refusal(content).message


@pytest.mark.parametrize("depth", [200, 400, 100_000])
def test_what_is_nested_without_end_is_no_configuration(depth: int) -> None:
    found = refusal(b'{"a": ' * depth + b"1" + b"}" * depth)
    assert found.reason is Reason.INVALID_MODEL
    assert "nested" in found.message
