"""Blueprints as the reconciler makes them, from specifications as people write them."""

from typing import Any

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.resources.blueprint import Blueprint, Owner, Platform
from llmfleet.vllm import versions


def blueprint(
    spec: dict[str, Any], *, name: str = "qwen", configuration: dict[str, str] | None = None, runtime: str = "registry.example/runtime:1"
) -> Blueprint:
    """The blueprint of a service in the namespace `chat`."""
    parsed = LLMServiceSpec.model_validate(spec, strict=True, by_alias=True, by_name=False)
    profile = built_in_profiles()[parsed.accelerator.profile or "nvidia"]
    image = parsed.engine.image or profile.image(parsed.engine.version or versions.DEFAULT)
    assert image is not None
    return Blueprint(
        owner=Owner("chat", name, "u1"),
        spec=parsed,
        profile=profile,
        image=image,
        platform=Platform(runtime, 3),
        configuration=configuration or {},
    )
