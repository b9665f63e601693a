"""Models and services that the tests of planning share."""

from pathlib import Path
from typing import Any

from llmfleet.api.accelerator import AcceleratorProfile, built_in_profiles
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.plan import Plan, plan
from llmfleet.vllm.versions import DEFAULT

FACTS = Path(__file__).parents[3] / "examples" / "facts"

LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
    "vocab_size": 128_256,
    "max_position_embeddings": 131_072,
    "torch_dtype": "bfloat16",
}


def described(**config: Any) -> ModelFacts:
    """Facts of which only config.json is known."""
    return ModelFacts(source="hf://owner/model", config=config)


def example(name: str) -> ModelFacts:
    """The facts of a public model, from examples/facts."""
    return ModelFacts.model_validate_json((FACTS / f"{name}.json").read_text(encoding="utf-8"))


def service(**parts: Any) -> LLMServiceSpec:
    """A spec, as people write it."""
    return LLMServiceSpec.model_validate({**parts, "model": {"source": "hf://owner/model", **parts.get("model", {})}})


def device(gibibytes: float, capability: str = "9.0", **fields: Any) -> AcceleratorProfile:
    """A GPU of so much memory."""
    return AcceleratorProfile.model_validate(
        {"vendor": "nvidia", "resourceName": "nvidia.com/gpu", "memory": f"{round(gibibytes * 1024)}Mi", "computeCapability": capability, **fields}
    )


def planned(facts: ModelFacts | None, profile: AcceleratorProfile | str, **parts: Any) -> Plan:
    """The plan of a service on a profile, or on the built-in one of that name."""
    return plan(service(**parts), facts, built_in_profiles()[profile] if isinstance(profile, str) else profile, DEFAULT)
