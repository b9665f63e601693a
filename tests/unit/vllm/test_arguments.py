"""Specification -> arguments of `vllm serve`."""

from typing import Any

import pytest
from pydantic.alias_generators import to_snake

from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.vllm.arguments import TYPED, Place, Places, arguments
from llmfleet.vllm.catalogue import Kind, catalogue
from llmfleet.vllm.versions import SUPPORTED

HERE = Places(Place("a/b"))
HEAD = ["a/b", "--port", "8000"]


def spec(**fields: Any) -> LLMServiceSpec:
    return LLMServiceSpec.model_validate({**fields, "model": {"source": "hf://a/b", **fields.get("model", {})}})


def render(places: Places = HERE, **fields: Any) -> list[str]:
    return arguments(spec(**fields), name="qwen", places=places)


def told(places: Places = HERE, **fields: Any) -> list[str]:
    """What is rendered besides the model, the port and the served name."""
    rendered = render(places, **fields)
    assert rendered[:5] == [*HEAD, "--served-model-name", "qwen"]
    return rendered[5:]


EVERYTHING = {
    "model": {
        "source": "hf://a/b@main",
        "servedNames": ["qwen2.5-7b", "default"],
        "maxLength": "16k",
        "dtype": "bfloat16",
        "runner": "generate",
        "convert": "none",
        "tokenizer": "hf://a/tokenizer@v2",
        "tokenizerMode": "hf",
        "loadFormat": "safetensors",
        "generationConfig": "vllm",
        "generationDefaults": {"top_p": 0.9, "temperature": 0.2},
        "configOverrides": {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
        "trustRemoteCode": True,
        "chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "qwen.jinja"}},
    },
    "quantization": {"method": "online", "config": {"linear": {"weight": "fp8_per_tensor_static"}}, "kvCache": "fp8"},
    "parallelism": {"tensor": 4, "pipeline": 2, "data": 2, "expert": True, "decodeContext": 2, "executor": "mp"},
    "engine": {
        "maxSequences": 256,
        "maxBatchedTokens": 8192,
        "maxQueuedRequests": 512,
        "maxQueuedTokens": 100_000,
        "memoryUtilization": 0.9,
        "blockSize": 32,
        "cpuOffload": "1536Mi",
        "kvOffload": {"memory": "40Gi", "backend": "native"},
        "chunkedPrefill": True,
        "prefixCaching": False,
        "prefixCachingHash": "sha256_cbor",
        "attentionBackend": "FLASHINFER",
        "schedulingPolicy": "priority",
        "performanceMode": "throughput",
        "optimizationLevel": 3,
        "enforceEager": False,
        "speculative": {
            "method": "eagle3",
            "model": "hf://a/draft@v1",
            "tokens": 3,
            "tensor": 1,
            "options": {"draft_sample_method": "probabilistic"},
        },
        "multimodal": {"limits": {"video": 0, "image": 4}, "processorOptions": {"max_pixels": 1003520}, "cache": "0"},
        "toolCalling": {"parser": "hermes"},
        "reasoning": {"parser": "qwen3"},
        "structuredOutputs": {"backend": "xgrammar", "disableAnyWhitespace": True, "enableInReasoning": False},
        "seed": 7,
        "extraArgs": ["--enable-log-requests"],
    },
    "adapters": {"maxLoaded": 1, "maxRank": 32, "items": [{"name": "sql", "source": "hf://a/sql"}, {"name": "code", "source": "hf://a/code"}]},
    "access": {"apiKeys": [{"secretKeyRef": {"name": "keys", "key": "a"}}, {"secretKeyRef": {"name": "keys", "key": "b"}}]},
}
PLACES = Places(
    model=Place("a/b", "main"),
    tokenizer=Place("a/tokenizer", "v2"),
    draft=Place("a/draft", "v1"),
    chat_template="/llmfleet-template/qwen.jinja",
    api_keys=("$(LLMFLEET_API_KEY_0)", "$(LLMFLEET_API_KEY_1)"),
)


def test_five_lines_render_the_name_and_the_port_only() -> None:
    assert render() == [*HEAD, "--served-model-name", "qwen"]


def test_everything_in_a_stable_order_with_extra_args_last() -> None:
    assert render(PLACES, **EVERYTHING) == [
        *("a/b", "--port", "8000", "--served-model-name", "qwen2.5-7b", "default", "--revision", "main"),
        *("--max-model-len", "16k", "--dtype", "bfloat16", "--runner", "generate", "--convert", "none"),
        *("--tokenizer", "a/tokenizer", "--tokenizer-revision", "v2", "--tokenizer-mode", "hf", "--load-format", "safetensors"),
        *("--generation-config", "vllm", "--override-generation-config", '{"temperature":0.2,"top_p":0.9}'),
        *("--hf-overrides", '{"rope_parameters":{"factor":4.0,"rope_type":"yarn"}}', "--trust-remote-code"),
        *("--chat-template", "/llmfleet-template/qwen.jinja"),
        *("--quantization", "online", "--quantization-config", '{"linear":{"weight":"fp8_per_tensor_static"}}', "--kv-cache-dtype", "fp8"),
        *("--tensor-parallel-size", "4", "--pipeline-parallel-size", "2", "--data-parallel-size", "2", "--api-server-count", "1"),
        *("--enable-expert-parallel", "--decode-context-parallel-size", "2", "--distributed-executor-backend", "mp"),
        *("--max-num-seqs", "256", "--max-num-batched-tokens", "8192", "--max-num-queued-reqs", "512", "--max-num-queued-tokens", "100000"),
        *("--enable-chunked-prefill", "--scheduling-policy", "priority"),
        *("--gpu-memory-utilization", "0.9", "--block-size", "32", "--cpu-offload-gb", "1.5"),
        *("--kv-offloading-size", "40", "--kv-offloading-backend", "native"),
        *("--no-enable-prefix-caching", "--prefix-caching-hash-algo", "sha256_cbor"),
        *("--attention-backend", "FLASHINFER", "--performance-mode", "throughput", "--optimization-level", "3", "--no-enforce-eager"),
        "--speculative-config",
        '{"draft_sample_method":"probabilistic","draft_tensor_parallel_size":1,"method":"eagle3","model":"a/draft","num_speculative_tokens":3,"revision":"v1"}',
        *("--limit-mm-per-prompt", '{"image":4,"video":0}', "--mm-processor-kwargs", '{"max_pixels":1003520}', "--mm-processor-cache-gb", "0"),
        *("--tool-call-parser", "hermes", "--enable-auto-tool-choice", "--reasoning-parser", "qwen3"),
        *("--structured-outputs-config", '{"backend":"xgrammar","disable_any_whitespace":true,"enable_in_reasoning":false}', "--seed", "7"),
        *("--enable-lora", "--max-loras", "1", "--max-lora-rank", "32", "--api-key", "$(LLMFLEET_API_KEY_0)", "$(LLMFLEET_API_KEY_1)"),
        "--enable-log-requests",
    ]


def test_the_order_of_the_fields_does_not_count() -> None:
    def reversed_(value: Any) -> Any:
        return {key: reversed_(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    assert render(PLACES, **reversed_(EVERYTHING)) == render(PLACES, **EVERYTHING)


@pytest.mark.parametrize(
    ("fields", "rendered"),
    [
        ({"engine": {"kvCacheMemory": "20Gi"}}, ["--kv-cache-memory-bytes", "21474836480"]),
        ({"engine": {"kvCacheMemory": "1500M"}}, ["--kv-cache-memory-bytes", "1500000000"]),
        ({"engine": {"cpuOffload": "10G"}}, ["--cpu-offload-gb", "9.31322574615"]),
        ({"engine": {"enforceEager": True}}, ["--enforce-eager"]),
        ({"engine": {"prefixCaching": True}}, ["--enable-prefix-caching"]),
        ({"engine": {"chunkedPrefill": False}}, ["--no-enable-chunked-prefill"]),
        ({"engine": {"optimizationLevel": 0}}, ["--optimization-level", "0"]),
        ({"engine": {"seed": 0}}, ["--seed", "0"]),
        ({"engine": {"multimodal": {}, "structuredOutputs": {}}}, []),
        ({"model": {"trustRemoteCode": False, "generationDefaults": {}}}, []),
        ({"parallelism": {"tensor": 1, "pipeline": 1, "data": 1, "expert": False, "decodeContext": 1, "nodes": 1}}, []),
        ({"adapters": {}}, []),
        ({"adapters": {"maxLoaded": 2}}, ["--enable-lora", "--max-loras", "2"]),
        ({"adapters": {"maxRank": 32}}, ["--enable-lora", "--max-loras", "4", "--max-lora-rank", "32"]),
        ({"model": {"maxLength": 4096}}, ["--max-model-len", "4096"]),
        ({"model": {"maxLength": "16K"}}, ["--max-model-len", "16K"]),
        ({"model": {"maxLength": "auto"}}, ["--max-model-len", "auto"]),
    ],
)
def test_what_is_set_is_rendered_and_what_is_vllms_default_is_not(fields: dict[str, Any], rendered: list[str]) -> None:
    assert told(**fields) == rendered


def test_a_speculative_method_without_a_model_is_json_of_its_numbers() -> None:
    speculative = {"method": "ngram", "tokens": 4, "lookupMax": 5, "lookupMin": 2}
    assert told(engine={"speculative": speculative}) == [
        "--speculative-config",
        '{"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":5,"prompt_lookup_min":2}',
    ]


@pytest.mark.parametrize("count", [1, 3, 64])
def test_no_argument_follows_from_which_adapters_there_are(count: int) -> None:
    """Each would restart the engines whenever one comes or goes."""
    items = [{"name": f"a{number}", "source": f"hf://a/b{number}"} for number in range(count)]
    assert told(adapters={"items": items}) == ["--enable-lora", "--max-loras", "4"]
    assert told(adapters={"items": items, "maxLoaded": 2}) == ["--enable-lora", "--max-loras", "2"]


def test_several_data_parallel_ranks_have_one_api_server() -> None:
    """vLLM would start one per rank, and more than one does not drain."""
    assert told(parallelism={"data": 8}) == ["--data-parallel-size", "8", "--api-server-count", "1"]


def test_the_specification_is_not_touched() -> None:
    given = spec(engine={"extraArgs": ["--x"]})
    arguments(given, name="n", places=Places(Place("m"))).append("--y")
    assert given.engine.extra_args == ["--x"]


@pytest.mark.parametrize("typed", TYPED, ids=lambda typed: f"{typed.field} {typed.flag} {typed.key or ''}")
def test_every_entry_names_a_field_of_the_api(typed: Any) -> None:
    model: Any = LLMServiceSpec
    for name in typed.field.split("."):
        assert to_snake(name) in model.model_fields
        annotation = model.model_fields[to_snake(name)].annotation
        model = next((option for option in (annotation, *getattr(annotation, "__args__", ())) if hasattr(option, "model_fields")), None)


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_flag_exists_in_every_supported_version(version: str) -> None:
    known = catalogue(version)
    assert [typed.flag for typed in TYPED if typed.flag not in known.flags] == []
    assert known.spellings["--no-enforce-eager"].kind is Kind.PAIR


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_key_exists_in_every_supported_version(version: str) -> None:
    known = catalogue(version)
    for typed in TYPED:
        if typed.key is not None:
            flag = known.flags[typed.flag]
            declared = known.objects[flag.object or flag.late_object or ""]
            assert typed.key in declared.fields


def test_every_entry_is_rendered_by_the_specification_with_everything_but_what_excludes_each_other() -> None:
    rendered = render(PLACES, **EVERYTHING)
    missing = {typed.flag for typed in TYPED} - {item.replace("--no-", "--") for item in rendered}
    assert missing == {"--kv-cache-memory-bytes"}
