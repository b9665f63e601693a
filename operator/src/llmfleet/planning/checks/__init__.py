"""The ordered checks of a specification: each a pure function from the subject to what is wrong with it.

Here stands what the schema's CEL cannot say: tables, look-ups, vLLM's spelling, the model's own numbers. A new check is a function in the module of its part,
its place in CHECKS and a test on both sides. The same checks run in the CLI, in admission and in the reconciler, which is the authority.
"""

from collections.abc import Callable, Iterable
from typing import Final

from llmfleet.planning.checks import engine, extra_args, model, pod, quantization, template, template_security, template_shape
from llmfleet.planning.checks.subject import Subject
from llmfleet.planning.violation import Violation

CHECKS: Final[tuple[Callable[[Subject], Iterable[Violation]], ...]] = (
    # What runs at all comes first: the later checks speak of a version and a device.
    engine.unknown_profile,
    engine.unsupported_version,
    engine.unverified_version,
    # The model.
    model.unknown_dtype,
    model.repeated_served_names,
    model.credentials_without_use,
    quantization.unknown_quantization,
    quantization.unknown_kv_cache,
    # The engine's arguments and environment.
    engine.memory_said_twice,
    extra_args.owned_flags,
    extra_args.refused_arguments,
    pod.reserved_environment,
    pod.repeated_environment,
    pod.two_hubs,
    # The pod.
    template.reserved_labels,
    template_shape.template_shape,
    template.kept_fields,
    template.reserved_containers,
    template.reserved_ports,
    template.reserved_volumes,
    template_security.unrestricted_volumes,
    template.misplaced_mounts,
    template.accelerators_said_twice,
    template_security.unrestricted_security,
)
"""In the order in which a person reads a manifest."""


def findings(subject: Subject) -> tuple[Violation, ...]:
    """Everything that there is to say, refusals and warnings, in the order of CHECKS."""
    return tuple(violation for check in CHECKS for violation in check(subject))


def violations(subject: Subject) -> tuple[Violation, ...]:
    """Everything that is refused, in the order of CHECKS; empty means accepted."""
    return tuple(violation for violation in findings(subject) if not violation.warning)


__all__ = ["CHECKS", "Subject", "findings", "violations"]
