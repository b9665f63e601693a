import re

import pytest

from llmfleet.api.source import EXPECTED, PATTERN, Bucket, Claim, Image, Repository, Scheme, Source, parse

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf://Qwen/Qwen2.5-7B-Instruct", Repository(Scheme.HUGGING_FACE, "Qwen/Qwen2.5-7B-Instruct", None)),
        ("hf://Qwen/Qwen2.5-7B-Instruct@main", Repository(Scheme.HUGGING_FACE, "Qwen/Qwen2.5-7B-Instruct", "main")),
        ("hf://Qwen/Qwen2.5-7B-Instruct@refs/pr/7", Repository(Scheme.HUGGING_FACE, "Qwen/Qwen2.5-7B-Instruct", "refs/pr/7")),
        ("hf://gpt2", Repository(Scheme.HUGGING_FACE, "gpt2", None)),
        ("modelscope://Qwen/Qwen2.5-7B@v1.0", Repository(Scheme.MODELSCOPE, "Qwen/Qwen2.5-7B", "v1.0")),
        ("s3://models/llama/8b/", Bucket(Scheme.S3, "models", "llama/8b")),
        ("gs://my-models", Bucket(Scheme.GCS, "my-models", "")),
        ("oci://registry.example:5000/models/llama:8b", Image("registry.example:5000/models/llama:8b")),
        (f"oci://registry.example/llama@{DIGEST}", Image(f"registry.example/llama@{DIGEST}")),
        ("pvc://models", Claim("models", "")),
        ("pvc://models/", Claim("models", "")),
        ("pvc://models/llama/8b", Claim("models", "llama/8b")),
    ],
)
def test_a_source_is_read(text: str, source: Source) -> None:
    assert parse(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "Qwen/Qwen2.5-7B",
        "https://example.com/model",
        "hf://",
        "hf://a/b/c",
        "hf://a/b@",
        "hf://a/b c",
        "modelscope://bare",
        "s3://",
        "s3://UPPER/case",
        "gs://bucket/../other",
        "oci://llama:8b",
        "oci://registry.example/llama@sha256:short",
        "pvc://",
        "pvc://Models/x",
        "pvc://models/../other",
        "pvc://models//x",
    ],
)
def test_what_is_no_source_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(EXPECTED)):
        parse(text)


def test_the_url_of_a_bucket_is_what_was_written() -> None:
    source = parse("s3://models/llama/8b/")
    assert isinstance(source, Bucket)
    assert source.url == "s3://models/llama/8b"


def test_every_scheme_stands_in_the_grammar() -> None:
    assert all(scheme in PATTERN for scheme in Scheme)
