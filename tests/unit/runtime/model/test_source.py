from pathlib import Path

import pytest

from llmfleet.api import source as operators
from llmfleet_runtime.model.source import Bucket, Directory, Repository, Scheme, Source, parse


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf://Qwen/Qwen2.5-7B-Instruct", Repository(Scheme.HUGGING_FACE, "Qwen/Qwen2.5-7B-Instruct", None)),
        ("hf://gpt2@refs/pr/1", Repository(Scheme.HUGGING_FACE, "gpt2", "refs/pr/1")),
        ("modelscope://qwen/Qwen2-7B@v1.0", Repository(Scheme.MODELSCOPE, "qwen/Qwen2-7B", "v1.0")),
        ("s3://models/team/llama/", Bucket(Scheme.S3, "models", "team/llama")),
        ("s3://models", Bucket(Scheme.S3, "models", "")),
        ("gs://my_models.example.com/a@b", Bucket(Scheme.GOOGLE_CLOUD_STORAGE, "my_models.example.com", "a@b")),
        ("/models/llama", Directory(Path("/models/llama"))),
    ],
)
def test_a_source_is_read_and_written(text: str, source: Source) -> None:
    assert parse(text) == source
    assert str(source) == text.rstrip("/")


@pytest.mark.parametrize("text", ["ftp://a/b", "hf://a/b/c", "models/llama", "", "hf://", "s3://"])
def test_what_is_no_source_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is none of hf://owner/repository\[@revision\]"):
        parse(text)


@pytest.mark.parametrize("text", ["hf://meta-llama/Llama-3.1-8B@main", "hf://gpt2", "modelscope://a/b", "s3://bucket/a/b=c", "gs://bucket/p_1/x"])
def test_what_the_operator_takes_is_taken(text: str) -> None:
    theirs, ours = operators.parse(text), parse(text)
    assert isinstance(theirs, operators.Repository | operators.Bucket)
    assert isinstance(ours, Repository | Bucket)
    assert (str(ours), str(ours.scheme)) == (text, str(theirs.scheme))


def test_a_prefix_does_not_take_in_its_neighbour() -> None:
    source = parse("s3://models/llama")
    assert isinstance(source, Bucket)
    assert not "llama2/config.json".startswith(source.prefix)
