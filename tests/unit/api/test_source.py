"""The grammar of model.source."""

import pytest

from llmfleet.api.source import Claim, HuggingFace, Source, parse


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf://Qwen/Qwen2.5-7B-Instruct", HuggingFace("Qwen/Qwen2.5-7B-Instruct", None)),
        ("hf://Qwen/Qwen2.5-7B-Instruct@main", HuggingFace("Qwen/Qwen2.5-7B-Instruct", "main")),
        ("hf://Qwen/Qwen2.5-7B-Instruct@refs/pr/7", HuggingFace("Qwen/Qwen2.5-7B-Instruct", "refs/pr/7")),
        ("hf://gpt2", HuggingFace("gpt2", None)),
        ("pvc://models/llama/8b", Claim("models", "llama/8b")),
        ("pvc://models/llama/", Claim("models", "llama")),
        ("pvc://models", Claim("models", "")),
    ],
)
def test_a_source_is_read(source: str, expected: Source) -> None:
    assert parse(source) == expected


@pytest.mark.parametrize("scheme", ["modelscope", "s3", "gs", "oci"])
def test_a_scheme_of_the_design_is_named_as_not_yet_supported(scheme: str) -> None:
    with pytest.raises(ValueError, match=f"{scheme}:// is not supported yet"):
        parse(f"{scheme}://bucket/model")


@pytest.mark.parametrize(
    "source", ["", "Qwen/Qwen2.5", "hf://", "hf://a/b/c", "hf://a/b@", "http://x/y", "pvc://", "pvc://Models/x", "hf://a/b --port", "hf://a/b\n"]
)
def test_anything_else_is_refused_with_what_is_expected(source: str) -> None:
    with pytest.raises(ValueError, match="must be hf://owner/repository"):
        parse(source)


@pytest.mark.parametrize("path", ["../other", "a/../../b", "a//b", ".hidden"])
def test_a_path_cannot_leave_the_volume(path: str) -> None:
    with pytest.raises(ValueError, match="pvc://claim/path"):
        parse(f"pvc://models/{path}")
