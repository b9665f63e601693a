"""What the checks look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from llmfleet.api.accelerator import AcceleratorProfile, Vendor
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.architecture import Architecture, architecture, text_config
from llmfleet.planning.plan import Plan, plan
from llmfleet.vllm import versions
from llmfleet.vllm.catalogue import Catalogue, catalogue

BFLOAT16_CAPABILITY: Final = 80
"""Lowest compute capability of NVIDIA's that has bfloat16 (platforms/cuda.py, supported_dtypes)."""

EXPERTS: Final = ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts", "block_configs")
"""Fields of a config.json by which vLLM knows a mixture of experts (transformers_utils/model_arch_config_convertor.py, get_num_experts)."""


@dataclass(frozen=True)
class Subject:
    """What the checks look at; what several of them ask is worked out once."""

    name: str
    """Name of the LLMService."""
    spec: LLMServiceSpec
    profiles: Mapping[str, AcceleratorProfile]
    """The profiles that exist, by name."""
    default_profile: str = "nvidia"
    """Profile of a service that names none; a setting of the operator."""
    facts: ModelFacts | None = None
    """What is known of the model; a check that needs it says nothing without."""

    @property
    def profile_name(self) -> str:
        """The profile that counts, named or default."""
        return self.spec.accelerator.profile or self.default_profile

    @property
    def profile(self) -> AcceleratorProfile | None:
        """The profile that counts; None if there is none of that name, which is a violation."""
        return self.profiles.get(self.profile_name)

    @property
    def version(self) -> str:
        """The vLLM version that counts, named or default."""
        return self.spec.engine.version or versions.DEFAULT

    @property
    def image(self) -> str | None:
        """The engine's image; None if neither the spec nor the profile has one, which is a violation."""
        return self.spec.engine.image or (self.profile.image(self.version) if self.profile else None)

    @property
    def own_image(self) -> bool:
        """The image is the user's own: it may hold plugins with further names."""
        return self.spec.engine.image is not None

    @property
    def catalogue(self) -> Catalogue | None:
        """What the version understands; None for one of which nothing is known."""
        return catalogue(self.version) if self.version in versions.VERSIONS else None

    @property
    def vendor(self) -> Vendor | None:
        """Who makes the accelerator; None if that is not known."""
        return self.profile.vendor if self.profile else None

    @property
    def capability(self) -> int | None:
        """NVIDIA's compute capability without the dot, as vLLM compares it: 89 for 8.9; None if it is not known."""
        capability = self.profile.compute_capability if self.profile else None
        return None if capability is None else int(capability.replace(".", ""))

    @cached_property
    def architecture(self) -> Architecture | None:
        """The shape of the model; None if it is not known."""
        return architecture(self.facts) if self.facts else None

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """Variables of the engine whose values are known: the profile's, and over them those of spec.engine.env."""
        own = {variable.name: variable.value for variable in self.spec.engine.env if variable.value is not None}
        return {**(self.profile.env if self.profile else {}), **own}

    @cached_property
    def plan(self) -> Plan:
        """What the model needs of memory; Unknown without facts, or without a profile."""
        return plan(self.spec, self.facts, self.profile or AcceleratorProfile(), self.version)

    @property
    def is_dense(self) -> bool:
        """The model is known to have no experts."""
        if self.facts is None or not self.facts.config.get("model_type"):
            return False
        config = text_config(self.facts.config)
        return not any(config.get(name) for name in EXPERTS)
