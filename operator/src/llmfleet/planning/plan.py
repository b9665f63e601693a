"""Whether a model fits its accelerators, with the arithmetic, and what to change where it does not."""

from dataclasses import replace

from llmfleet.api.accelerator import AcceleratorProfile
from llmfleet.api.facts import ModelFacts
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.planning.alternatives import alternatives
from llmfleet.planning.estimate import estimate
from llmfleet.planning.figures import Range, Term
from llmfleet.planning.verdict import Alternative, Plan, Verdict

__all__ = ["Alternative", "Plan", "Range", "Term", "Verdict", "plan"]


def plan(spec: LLMServiceSpec, facts: ModelFacts | None, profile: AcceleratorProfile, version: str) -> Plan:
    """What one replica of a service needs, and whether it fits.

    Args:
        spec: the service.
        facts: what is known of the model; None where it was not looked at.
        profile: the accelerator.
        version: vLLM's version; the arithmetic is the same for all that are supported.

    """
    estimated = estimate(spec, facts, profile)
    if facts is None or estimated.verdict not in (Verdict.TIGHT, Verdict.DOES_NOT_FIT):
        return estimated
    return replace(estimated, alternatives=alternatives(spec, facts, profile, estimated))
