"""What a plan says: whether a model fits its accelerators, with every figure that led there."""

from dataclasses import dataclass
from enum import StrEnum

from llmfleet.planning.figures import Range, Term


class Verdict(StrEnum):
    """What the arithmetic says."""

    FITS = "Fits"
    """Even by the pessimistic bounds."""
    TIGHT = "Tight"
    """By the optimistic bounds only."""
    DOES_NOT_FIT = "DoesNotFit"
    """Not even by the optimistic bounds: refused before an accelerator is taken."""
    UNKNOWN = "Unknown"
    """Something that decides is not known; never refused."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One change that was computed through, and what it leads to."""

    field: str
    """The field to change."""
    value: str
    """Its new value."""
    verdict: Verdict
    """What the arithmetic says then."""
    figures: str
    """What it leads to, in words and numbers."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one replica needs of each of its accelerators. Sizes are bytes of one accelerator; None is not known."""

    verdict: Verdict
    """Whether it fits."""
    reason: str
    """Why, in one sentence with the arithmetic."""
    accelerators_per_replica: int
    """Accelerators that one replica takes."""
    max_length: int | None
    """Greatest length of a request: what is asked, else the model's own."""
    capacity_bytes: int | None
    """Memory of the accelerator, as its profile says."""
    weights: Range | None
    """Weights."""
    activations: Range | None
    """What a step of the greatest size needs besides."""
    cuda_graphs: Range | None
    """Recorded graphs of steps."""
    overhead: Range | None
    """What is not torch's: libraries, workspaces, communication."""
    kv_cache: Range | None
    """What is left for the KV cache; low is the pessimistic bound."""
    kv_bytes_per_token: int | None
    """What one more token of a long request takes."""
    kv_tokens: Range | None
    """Tokens that the KV cache holds, as vLLM will tell; low is the pessimistic bound."""
    concurrency: Range | None
    """Requests of the greatest length that run at once; low is the pessimistic bound."""
    largest_context: Range | None
    """Longest context with which one request fits; low is the pessimistic bound."""
    terms: tuple[Term, ...] = ()
    """The lines that weights, activations, graphs and overhead are made of."""
    alternatives: tuple[Alternative, ...] = ()
    """What to change where it does not fit for certain; empty where it does, or nothing helps."""
