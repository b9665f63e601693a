"""Which engine runs: profile, version, image."""

from collections.abc import Iterator

from llmfleet.planning.checks.check import check
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation
from llmfleet.vllm import versions
from llmfleet.vllm.suggestions import one_of


@check("accelerator.profile")
def unknown_profile(subject: Subject) -> Iterator[Violation]:
    """The profile must exist: it names the device and the image."""
    if subject.profile is None:
        yield Violation("spec.accelerator.profile", subject.profile_name, "is no accelerator profile", one_of(subject.profile_name, subject.profiles))


@check("engine.version", "engine.image", "accelerator.profile")
def unsupported_version(subject: Subject) -> Iterator[Violation]:
    """A version that this operator does not know is taken only with an image of the user's own."""
    engine = subject.spec.engine
    if engine.image is not None:
        return
    if subject.version not in versions.SUPPORTED:
        remedy = f"choose one of {', '.join(versions.SUPPORTED)}, or set spec.engine.image to an image of that version"
        yield Violation("spec.engine.version", subject.version, "is not supported by this operator", remedy)
    elif subject.profile is not None and subject.image is None:
        rule = f"has no image for vLLM {subject.version}"
        yield Violation("spec.accelerator.profile", subject.profile_name, rule, "set spec.engine.image, or add the version to the profile's images")


@check("engine.version", "engine.image")
def unverified_version(subject: Subject) -> Iterator[Violation]:
    """A version of which no engine was started by this operator may work all the same."""
    if versions.state(subject.version) is versions.State.NOT_VERIFIED and (subject.catalogue is not None or subject.own_image):
        known = "its flags are checked" if subject.catalogue is not None else "its flags are not known and not checked"
        rule = f"is not verified: no engine of it was started by this operator, and {known}"
        yield Violation("spec.engine.version", subject.version, rule, f"try it before you rely on it, or take {versions.DEFAULT}", warning=True)
