"""Specifications and models for the tests of checks."""

from typing import Any, Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor, built_in_profiles
from llmfleet.api.facts import ModelFacts, TensorGroup, Weights
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.checks import Check, Subject
from llmfleet.planning.violation import Violation

PLAIN: Final = Weights(bytes=15_000_000_000, tensors=[TensorGroup(part="linear", dtype="BF16", bytes=15_000_000_000)])
PACKED: Final = Weights(bytes=5_000_000_000, tensors=[TensorGroup(part="linear", dtype="I32", bytes=5_000_000_000)])

QWEN: Final[dict[str, Any]] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "num_hidden_layers": 28,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}
"""Qwen2.5-7B-Instruct."""

MIXTRAL: Final[dict[str, Any]] = {
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 32000,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}
"""Mixtral-8x7B."""

DEEPSEEK: Final[dict[str, Any]] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "num_hidden_layers": 61,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "num_nextn_predict_layers": 1,
    "vocab_size": 129280,
    "max_position_embeddings": 163840,
    "torch_dtype": "bfloat16",
}
"""DeepSeek-V3, as if it were not quantized."""


def facts(config: dict[str, Any] = QWEN, *, quantization: dict[str, Any] | None = None, weights: Weights | None = PLAIN, **changes: Any) -> ModelFacts:
    """What is known of a model; `changes` go over its config."""
    return ModelFacts(source="hf://a/b", config={**config, **changes}, quantization=quantization, weights=weights)


def device(capability: str | None = "9.0", *, vendor: Vendor = Vendor.NVIDIA, per_node: int | None = None, **fields: Any) -> AcceleratorProfile:
    """An accelerator."""
    nvidia = vendor is Vendor.NVIDIA
    return AcceleratorProfile(
        vendor=vendor,
        resource_name="vendor.com/gpu" if vendor is not Vendor.CPU else None,
        compute_capability=capability if nvidia else None,
        per_node=per_node,
        images={"*": "image:{version}"},
        **fields,
    )


CPU: Final = device(None, vendor=Vendor.CPU)


def subject(profile: AcceleratorProfile | None = None, known: ModelFacts | None = None, **fields: Any) -> Subject:
    """A service of the fields; without a profile that of any NVIDIA device."""
    spec = LLMServiceSpec.model_validate({**fields, "model": {"source": "hf://a/b", **fields.get("model", {})}})
    profiles = {**built_in_profiles(), **({"device": profile} if profile is not None else {})}
    return Subject(name="qwen", spec=spec, profiles=profiles, default_profile="device" if profile is not None else "nvidia", facts=known)


def said(check: Check, profile: AcceleratorProfile | None = None, known: ModelFacts | None = None, **fields: Any) -> tuple[Violation, ...]:
    """Everything that one check says."""
    return tuple(check(subject(profile, known, **fields)))


def refused(check: Check, profile: AcceleratorProfile | None = None, known: ModelFacts | None = None, **fields: Any) -> str:
    """The message of the only thing that a check says, which is a refusal."""
    (violation,) = said(check, profile, known, **fields)
    assert not violation.warning
    return violation.message


def warned(check: Check, profile: AcceleratorProfile | None = None, known: ModelFacts | None = None, **fields: Any) -> str:
    """The message of the only thing that a check says, which is a warning."""
    (violation,) = said(check, profile, known, **fields)
    assert violation.warning
    return violation.message
