"""Services over the tiny models, and what vLLM must say of itself when it has started: the proof that every field does what it says.

`asked` is what vLLM's parser was given beyond its defaults, whole: a field that is lost shows as much as one that nobody asked for. `engine` is what the
engine's own configuration says, `cache` what vllm:cache_config_info says. The KV cache is not in the table: what it holds is the plan's to say before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from e2e.cluster.images import VLLM_CPU

CLAIM: Final = "models"
"""Claim with the tiny models in every test's namespace."""

KEYS: Final = ("first-key-of-the-tests", "second-key-of-the-tests")
"""What the Secret holds."""

OBJECTS: Final[tuple[dict[str, Any], ...]] = (
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"old": KEYS[0], "new": KEYS[1]}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "templates"},
        "data": {"short.jinja": "{% for m in messages %}{{ m['content'] }}{% endfor %}"},
    },
)
"""What variants refer to."""

_MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Variant:
    """One service."""

    name: str
    model: str
    """One of the tiny models."""
    spec: Mapping[str, Any]
    """Fields beside model.source and those of `manifest`."""
    asked: Mapping[str, Any]
    """Arguments that differ from vLLM's defaults, by vLLM's own names, beside those of `expected`."""
    length: int | None = 2048
    """max_model_len by /v1/models."""
    engine: Mapping[str, object] = field(default_factory=dict)
    """Items of the engine's configuration, as vLLM logs it."""
    cache: Mapping[str, str] = field(default_factory=dict)
    """Labels of vllm:cache_config_info."""
    log: tuple[str, ...] = ()
    """Further words of the log."""

    @property
    def key(self) -> str | None:
        """The key that it asks clients for."""
        return KEYS[0] if "access" in self.spec else None

    @property
    def adapters(self) -> frozenset[str]:
        """Names of the adapters that it serves beside the model; loaded while it runs, so that no argument says them."""
        return frozenset(adapter["name"] for adapter in self.spec.get("adapters", {}).get("items", ()))

    @property
    def pooling(self) -> bool:
        """It answers with embeddings."""
        return self.asked.get("runner") == "pooling"

    def manifest(self, namespace: str = "variants") -> dict[str, Any]:
        """Return the LLMService: on the CPU of the test node, without compilation and with a KV cache of 64 MiB unless the variant says otherwise."""
        spec = {name: dict(value) if isinstance(value, Mapping) else value for name, value in self.spec.items()}
        spec["model"] = {"source": f"pvc://{CLAIM}/{self.model}", **spec.get("model", {})}
        spec["accelerator"] = {"profile": "cpu"}
        engine = spec.get("engine", {})
        memory = {} if engine.keys() & {"kvCacheMemory", "memoryUtilization"} else {"kvCacheMemory": "64Mi"}
        # Two ranks on one node of memory would be refused: by itself vLLM binds each to one of its own.
        free_threads = {"env": [{"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"}]} if "parallelism" in spec else {}
        spec["engine"] = {"image": VLLM_CPU, "enforceEager": True, **memory, **free_threads, **engine}
        return {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": {"name": self.name, "namespace": namespace}, "spec": spec}

    def expected(self, model: str) -> dict[str, Any]:
        """Return all arguments that differ from vLLM's defaults, given the model's path."""
        engine = self.manifest()["spec"]["engine"]
        base: dict[str, Any] = {"model_tag": model, "model": model, "served_model_name": [self.name]}
        if engine["enforceEager"]:
            base["enforce_eager"] = True
        if engine.get("kvCacheMemory") == "64Mi":
            base["kv_cache_memory_bytes"] = 64 * _MIB
        return {**base, **self.asked}


_NGRAM: Final = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4, "prompt_lookup_min": 2}

_STRUCTURED: Final = {
    **dict.fromkeys(("disable_any_whitespace", "disable_additional_properties", "enable_in_reasoning"), False),
    **dict.fromkeys(("reasoning_parser", "reasoning_parser_plugin"), ""),
}
"""vLLM's own values of what is logged whole."""

VARIANTS: Final = (
    Variant("plain", "tiny", {}, {}, engine={"dtype": "torch.bfloat16"}, cache={"block_size": "128"}),
    Variant("tied", "tied", {"model": {"maxLength": 1000}}, {"max_model_len": 1000}, length=1000),
    Variant("sharded", "sharded", {"model": {"maxLength": "1k"}}, {"max_model_len": 1000}, length=1000),
    Variant(
        "length-auto",
        "tiny",
        {"model": {"maxLength": "auto"}, "engine": {"kvCacheMemory": "1Mi"}},
        {"max_model_len": -1, "kv_cache_memory_bytes": _MIB},
        length=1920,
    ),
    Variant("length-binary", "tiny", {"model": {"maxLength": "1K"}}, {"max_model_len": 1024}, length=1024),
    Variant("float32", "tiny", {"model": {"dtype": "float32"}}, {"dtype": "float32"}, engine={"dtype": "torch.float32"}),
    Variant("kv-fp8", "tiny", {"quantization": {"kvCache": "fp8"}}, {"kv_cache_dtype": "fp8"}, engine={"kv_cache_dtype": "fp8"}, cache={"cache_dtype": "fp8"}),
    Variant(
        "block-32",
        "tiny",
        {"model": {"maxLength": 1000}, "engine": {"blockSize": 32}},
        {"max_model_len": 1000, "block_size": 32},
        length=1000,
        cache={"block_size": "32"},
    ),
    Variant("utilization", "tiny", {"engine": {"memoryUtilization": 0.1}}, {"gpu_memory_utilization": 0.1}, cache={"gpu_memory_utilization": "0.1"}),
    Variant("tensor-2", "tiny", {"parallelism": {"tensor": 2}}, {"tensor_parallel_size": 2}, engine={"tensor_parallel_size": 2}),
    Variant(
        "pipeline-2",
        "sharded",
        # Compiled: without its warm-up vLLM 0.32.0 on the CPU has no room for what stages hand on, and ends at the first request.
        {"parallelism": {"pipeline": 2}, "engine": {"enforceEager": False}},
        {"pipeline_parallel_size": 2},
        engine={"pipeline_parallel_size": 2},
    ),
    Variant(
        "queue",
        "tiny",
        {"engine": {"maxSequences": 8, "maxBatchedTokens": 512, "maxQueuedRequests": 16, "maxQueuedTokens": 4096}},
        {"max_num_seqs": 8, "max_num_batched_tokens": 512, "max_num_queued_reqs": 16, "max_num_queued_tokens": 4096},
        log=("max_num_batched_tokens=512",),
    ),
    Variant(
        "no-prefix",
        "tiny",
        {"engine": {"prefixCaching": False, "chunkedPrefill": False, "maxBatchedTokens": 2048}},
        {"enable_prefix_caching": False, "enable_chunked_prefill": False, "max_num_batched_tokens": 2048},
        engine={"enable_prefix_caching": False, "enable_chunked_prefill": False},
        cache={"enable_prefix_caching": "False"},
    ),
    Variant(
        "hash",
        "tiny",
        {"engine": {"prefixCaching": True, "prefixCachingHash": "sha256_cbor", "chunkedPrefill": True, "schedulingPolicy": "priority"}},
        {"enable_prefix_caching": True, "prefix_caching_hash_algo": "sha256_cbor", "enable_chunked_prefill": True, "scheduling_policy": "priority"},
        engine={"enable_prefix_caching": True, "enable_chunked_prefill": True},
        cache={"prefix_caching_hash_algo": "sha256_cbor"},
    ),
    Variant(
        "interactive",
        "tiny",
        {"engine": {"enforceEager": False, "optimizationLevel": 0, "performanceMode": "interactivity"}},
        {"optimization_level": "0", "performance_mode": "interactivity"},
        engine={"enforce_eager": False},
    ),
    Variant(
        "ngram",
        "tiny",
        {"engine": {"speculative": {"method": "ngram", "tokens": 3, "lookupMax": 4, "lookupMin": 2}}},
        {"speculative_config": _NGRAM},
        engine={"speculative_config": "SpeculativeConfig(method='ngram', model=None, num_spec_tokens=3)"},
    ),
    Variant(
        "draft",
        "tiny",
        {"engine": {"speculative": {"method": "draft_model", "model": f"pvc://{CLAIM}/draft", "tokens": 2}}},
        {"speculative_config": {"method": "draft_model", "model": "/models/draft", "num_speculative_tokens": 2}},
    ),
    Variant(
        "adapter",
        "tiny",
        {"adapters": {"maxLoaded": 2, "maxRank": 8, "items": [{"name": "sql", "source": f"pvc://{CLAIM}/adapter"}]}},
        {"enable_lora": True, "max_loras": 2, "max_lora_rank": 8},
    ),
    Variant(
        "api-keys",
        "tiny",
        {"access": {"apiKeys": [{"secretKeyRef": {"name": "keys", "key": key}} for key in ("old", "new")]}},
        {"api_key": "***"},
    ),
    Variant(
        "parsers",
        "tiny",
        {"engine": {"toolCalling": {"parser": "hermes"}, "reasoning": {"parser": "qwen3"}, "structuredOutputs": {"backend": "guidance"}}},
        {
            "enable_auto_tool_choice": True,
            "tool_call_parser": "hermes",
            "reasoning_parser": "qwen3",
            "structured_outputs_config": {**_STRUCTURED, "backend": "guidance"},
        },
    ),
    Variant(
        "names",
        "tiny",
        {
            "model": {
                "servedNames": ["first", "org/second"],
                "generationConfig": "vllm",
                "generationDefaults": {"temperature": 0.5, "top_p": 0.9},
                "tokenizerMode": "hf",
                "loadFormat": "safetensors",
            },
            "engine": {"seed": 7},
        },
        {
            "served_model_name": ["first", "org/second"],
            "generation_config": "vllm",
            "override_generation_config": {"temperature": 0.5, "top_p": 0.9},
            "tokenizer_mode": "hf",
            "load_format": "safetensors",
            "seed": 7,
        },
        engine={"seed": 7, "served_model_name": "first", "tokenizer_mode": "hf", "load_format": "safetensors"},
    ),
    Variant(
        "template",
        "tiny",
        {
            "model": {
                "chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "short.jinja"}},
                "configOverrides": {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
            }
        },
        {"chat_template": "/chat-template/short.jinja", "hf_overrides": {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}}},
    ),
    Variant("mixtral", "mixtral", {"model": {"maxLength": 1024}}, {"max_model_len": 1024}, length=1024),
    Variant("experts", "qwen3-moe", {"parallelism": {"tensor": 2}}, {"tensor_parallel_size": 2}, engine={"tensor_parallel_size": 2}),
    Variant("latent", "deepseek", {"model": {"maxLength": 512}}, {"max_model_len": 512}, length=512, cache={"block_size": "16"}),
    Variant("windows", "gemma3", {"engine": {"maxBatchedTokens": 512}}, {"max_num_batched_tokens": 512}, length=4096),
    Variant("window", "mistral", {"engine": {"maxBatchedTokens": 512}}, {"max_num_batched_tokens": 512}, length=4096, cache={"sliding_window": "256"}),
    Variant("w8a8", "w8a8", {}, {}, engine={"quantization": "compressed-tensors"}),
    Variant(
        "w4a16",
        "w4a16",
        {"quantization": {"method": "compressed-tensors"}},
        {"quantization": "compressed-tensors"},
        engine={"quantization": "compressed-tensors"},
    ),
    Variant("embedding", "tiny", {"model": {"runner": "pooling", "convert": "embed"}}, {"runner": "pooling", "convert": "embed"}),
    Variant("encoder", "encoder", {"model": {"runner": "pooling"}}, {"runner": "pooling"}, length=512),
)
"""The table; each is started on this machine by `make test`, four of them on the node, and all of them there by `make variants`."""

ON_THE_NODE: Final = ("length-auto", "experts", "windows", "w8a8")
"""Those that stand for the others on the node: a length that follows from memory, two ranks with experts, hybrid groups, a quantized checkpoint."""
