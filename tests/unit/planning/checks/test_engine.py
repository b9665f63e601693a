"""Which engine runs."""

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.planning.checks import engine
from llmfleet.vllm.versions import SUPPORTED
from tests.unit.planning.checks.subjects import refused, said, warned


def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    message = refused(engine.unknown_profile, accelerator={"profile": "nvidia-h10"})
    assert message.startswith("spec.accelerator.profile 'nvidia-h10': is no accelerator profile; did you mean nvidia-")
    assert said(engine.unknown_profile) == ()


def test_an_unsupported_version_is_refused_with_those_that_are_supported() -> None:
    message = refused(engine.unsupported_version, engine={"version": "0.19.0"})
    assert message.endswith(f"choose one of {', '.join(SUPPORTED)}, or set spec.engine.image to an image of that version")
    assert said(engine.unsupported_version, engine={"version": "0.19.0", "image": "mine:1"}) == ()


def test_a_profile_without_an_image_for_the_version_is_refused() -> None:
    assert "has no image for vLLM 0.32.0" in refused(engine.unsupported_version, AcceleratorProfile())
    assert said(engine.unsupported_version, AcceleratorProfile(images={"0.32.0": "mine:1"})) == ()


def test_a_version_that_was_never_started_is_worth_a_word() -> None:
    message = warned(engine.unverified_version, engine={"version": "0.40.0", "image": "mine:1"})
    assert "is not verified: no engine of it was started by this operator, and its flags are not known" in message
    assert said(engine.unverified_version) == ()
    assert said(engine.unverified_version, engine={"version": "0.40.0"}) == ()  # refused as unsupported, which says enough
