"""The model: names, sources, what it is run for."""

from typing import Any

import pytest

from llmfleet.planning.checks import model
from tests.unit.planning.checks.subjects import CPU, QWEN, device, facts, refused, said, warned

TOKEN = {"secretKeyRef": {"name": "hf", "key": "token"}}
KEYS = {"secretRef": {"name": "aws"}}


def test_a_served_name_twice_is_refused() -> None:
    assert refused(model.repeated_served_names, model={"servedNames": ["a", "b", "a"]}) == "spec.model.servedNames 'a': stands there 2 times; keep it once"
    assert said(model.repeated_served_names, model={"servedNames": ["a", "b"]}) == ()


@pytest.mark.parametrize("source", ["pvc://models/a", "oci://registry.example/models/a:1"])
def test_credentials_for_what_the_kubelet_mounts_would_be_ignored(source: str) -> None:
    assert "the kubelet mounts" in refused(model.credentials_without_use, model={"source": source, "credentials": TOKEN})


@pytest.mark.parametrize(
    ("source", "credentials"), [("hf://a/b", TOKEN), ("hf://a/b", KEYS), ("modelscope://a/b", TOKEN), ("s3://bucket/a", KEYS), ("gs://bucket/a", TOKEN)]
)
def test_credentials_that_a_source_asks_for_are_taken(source: str, credentials: dict[str, Any]) -> None:
    assert said(model.credentials_without_use, model={"source": source, "credentials": credentials}) == ()


def test_one_value_does_not_open_s3() -> None:
    message = refused(model.credentials_without_use, model={"source": "s3://bucket/a", "credentials": TOKEN})
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in message


def test_the_credentials_of_an_adapter_are_looked_at_too() -> None:
    item = {"name": "sql", "source": "pvc://claim/sql", "credentials": TOKEN}
    assert refused(model.credentials_without_use, adapters={"items": [item]}).startswith("spec.adapters.items[0].credentials: ")


def test_a_cache_of_what_is_mounted_would_never_be_filled() -> None:
    cache = {"claimName": "models"}
    assert "never be filled" in refused(model.cache_without_use, model={"source": "pvc://models/a", "cache": cache})
    assert said(model.cache_without_use, model={"source": "s3://bucket/a", "cache": cache}) == ()


def test_a_tokenizer_or_a_draft_model_in_object_storage_is_refused() -> None:
    speculative = {"method": "eagle3", "model": "s3://bucket/draft", "tokens": 2}
    assert refused(model.sources_that_vllm_cannot_read, model={"tokenizer": "gs://bucket/t"}).startswith("spec.model.tokenizer 'gs://bucket/t': ")
    assert "engine.speculative.model" in refused(model.sources_that_vllm_cannot_read, engine={"speculative": speculative})
    assert said(model.sources_that_vllm_cannot_read, model={"tokenizer": "hf://a/t"}, engine={"speculative": {**speculative, "model": "pvc://c/d"}}) == ()


def test_a_load_format_that_does_not_stream_needs_a_cache_for_object_storage() -> None:
    bucket = {"source": "s3://bucket/a", "loadFormat": "safetensors"}
    assert "set spec.model.cache" in refused(model.load_format_of_object_storage, model=bucket)
    assert said(model.load_format_of_object_storage, model={**bucket, "cache": {"claimName": "models"}}) == ()
    assert said(model.load_format_of_object_storage, model={**bucket, "loadFormat": "runai_streamer"}) == ()
    assert said(model.load_format_of_object_storage, model={"loadFormat": "safetensors"}) == ()


def test_streaming_on_the_cpu_is_worth_a_word() -> None:
    bucket = {"source": "s3://bucket/a"}
    assert "set spec.model.cache" in warned(model.streaming_on_the_cpu, CPU, model=bucket)
    assert said(model.streaming_on_the_cpu, CPU, model={**bucket, "cache": {"claimName": "models"}}) == ()
    assert said(model.streaming_on_the_cpu, device(), model=bucket) == said(model.streaming_on_the_cpu, CPU) == ()


def test_dummy_weights_are_worth_a_word() -> None:
    assert "random weights" in warned(model.dummy_weights, model={"loadFormat": "dummy"})
    assert said(model.dummy_weights, model={"loadFormat": "safetensors"}) == ()


def test_code_that_a_repository_brings_is_worth_a_word_where_it_is_not_run() -> None:
    custom = facts(auto_map={"AutoConfig": "configuration_x.XConfig"})
    assert "read that code" in warned(model.code_that_is_not_run, known=custom)
    assert said(model.code_that_is_not_run, known=custom, model={"trustRemoteCode": True}) == ()
    assert said(model.code_that_is_not_run, known=facts()) == said(model.code_that_is_not_run) == ()


@pytest.mark.parametrize("where", ["acme/code--modeling.X", ["acme/code--slow.X", None]])
@pytest.mark.parametrize("place", [{"cache": {"claimName": "models"}}, {"source": "pvc://models/x"}, {"source": "s3://bucket/x"}])
def test_code_of_another_repository_is_not_there_for_an_engine_that_asks_no_hub(where: object, place: dict[str, Any]) -> None:
    custom, trusting = facts(auto_map={"AutoConfig": where}), {"trustRemoteCode": True, **place}
    warning = warned(model.code_of_another_repository, known=custom, model=trusting)
    assert "acme/code" in warning
    assert "HF_HUB_OFFLINE" in warning
    online = {"env": [{"name": "HF_HUB_OFFLINE", "value": "0"}]}
    assert said(model.code_of_another_repository, known=custom, model=trusting, engine=online) == ()
    assert said(model.code_of_another_repository, known=custom, model={**trusting, "tokenizer": "hf://a/b"}) == ()
    assert said(model.code_of_another_repository, known=custom, model=place) == ()


def test_code_of_the_models_own_repository_is_there() -> None:
    own = facts(auto_map={"AutoConfig": "configuration_x.XConfig", "AutoModel": 3})
    cached = {"trustRemoteCode": True, "cache": {"claimName": "models"}}
    assert said(model.code_of_another_repository, known=own, model=cached) == ()
    assert said(model.code_of_another_repository, known=facts(auto_map={"AutoConfig": "a/b--c.D"}), model={"trustRemoteCode": True}) == ()


def test_a_converted_model_does_not_generate() -> None:
    assert "set spec.model.runner to pooling" in warned(model.runner_against_architecture, model={"runner": "generate", "convert": "embed"})
    assert said(model.runner_against_architecture, model={"runner": "pooling", "convert": "embed"}) == ()


def test_an_architecture_that_classifies_does_not_generate() -> None:
    classifier = facts(architectures=["BertForSequenceClassification"])
    assert "BertForSequenceClassification" in warned(model.runner_against_architecture, known=classifier, model={"runner": "generate"})
    assert said(model.runner_against_architecture, known=facts(), model={"runner": "generate"}) == ()


def test_an_architecture_that_generates_is_converted_for_pooling() -> None:
    assert "set it to embed or classify" in warned(model.runner_against_architecture, known=facts(), model={"runner": "pooling", "convert": "none"})
    assert said(model.runner_against_architecture, known=facts(), model={"runner": "pooling"}) == ()


def test_float16_is_refused_for_families_that_overflow_in_it() -> None:
    assert "use bfloat16" in refused(model.float16_of_unstable_models, known=facts(model_type="gemma3"), model={"dtype": "half"})
    assert said(model.float16_of_unstable_models, known=facts(model_type="gemma3"), model={"dtype": "bfloat16"}) == ()
    assert said(model.float16_of_unstable_models, known=facts(QWEN), model={"dtype": "float16"}) == ()


def test_without_bfloat16_such_a_family_takes_float32() -> None:
    assert "twice the memory" in warned(model.float16_of_unstable_models, device("7.5"), facts(model_type="gemma3"))
    assert said(model.float16_of_unstable_models, device("8.0"), facts(model_type="gemma3")) == ()
    assert said(model.float16_of_unstable_models, device("7.5"), facts()) == ()


def test_bfloat16_is_refused_where_the_device_does_not_have_it() -> None:
    assert refused(model.bfloat16_of_old_devices, device("7.5"), model={"dtype": "bfloat16"}) == (
        "spec.model.dtype 'bfloat16': needs compute capability 8.0, and device has 7.5; use float16, leave it out, or choose another accelerator profile"
    )
    assert said(model.bfloat16_of_old_devices, device("8.0"), model={"dtype": "bfloat16"}) == ()
    assert said(model.bfloat16_of_old_devices, device(None), model={"dtype": "bfloat16"}) == ()
    assert said(model.bfloat16_of_old_devices, device("7.5")) == ()
