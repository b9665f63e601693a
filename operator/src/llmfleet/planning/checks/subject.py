"""What the checks look at."""

from collections.abc import Mapping
from dataclasses import dataclass

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.vllm import versions


@dataclass(frozen=True, slots=True)
class Subject:
    """What the checks look at."""

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
