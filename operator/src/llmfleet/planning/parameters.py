"""Weights of a model counted from its shape, for models whose files are not known.

The common shape: attention with projections of queries, keys, values and output; a gated feed-forward part of three matrices, or experts of the same.
Checked against the published sizes of files in tests/unit/planning/test_memory.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmfleet.planning.architecture import Architecture
from llmfleet.planning.config_json import positive
from llmfleet.planning.figures import Range
from llmfleet.planning.layers import Layer

UNCERTAINTY: Final = 0.005
"""Biases, norms and what a family adds to the common shape: the largest deviation among the models of the test."""

UNGATED: Final = ("gpt2", "gpt_neox", "gpt_bigcode", "gptj", "opt", "bloom", "falcon", "phi", "starcoder2", "mpt", "nemotron", "nemotron_h")
"""Families with two matrices in the feed-forward part instead of three."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of weights."""

    embedding: int
    """Of the embedding."""
    head: int
    """Of the output layer; 0 where it is the embedding."""
    linear: int
    """Of attention and feed-forward parts."""
    experts: int
    """Of routed experts."""


def count(architecture: Architecture) -> Parameters | None:
    """The weights of a model of the common shape; None for one that has states, whose projections differ from family to family."""
    if architecture.has_state or architecture.unmodelled or not architecture.attention_heads:
        return None
    matrices = 2 if architecture.model_type in UNGATED else 3
    table = architecture.vocabulary * architecture.hidden_size
    experts = architecture.experts
    attention = sum(_attention(architecture, layer) for layer in architecture.layers)
    sparse = experts.layers if experts is not None else 0
    dense = (len(architecture.layers) - sparse) * matrices * architecture.hidden_size * architecture.intermediate_size
    shared = routed = 0
    if experts is not None:
        shared = sparse * architecture.hidden_size * (matrices * experts.shared_intermediate_size + experts.routed)
        routed = sparse * experts.routed * matrices * architecture.hidden_size * experts.intermediate_size
    return Parameters(table, 0 if architecture.tied else table, attention + dense + shared, routed)


def _attention(architecture: Architecture, layer: Layer) -> int:
    """The projections of one layer's attention; a layer that shares its keys is counted as if it had its own."""
    hidden, heads = architecture.hidden_size, architecture.attention_heads
    latent = architecture.latent
    if latent is not None:
        key = latent.nope_size + latent.rope_size
        queries = hidden * latent.query_rank + latent.query_rank * heads * key if latent.query_rank else hidden * heads * key
        return queries + hidden * latent.kept_size + latent.kv_rank * heads * (latent.nope_size + latent.value_size) + heads * latent.value_size * hidden
    kept = layer.attention
    kv_heads, key, value = (kept.kv_heads, kept.key_size, kept.value_size) if kept is not None else (architecture.kv_heads, *(architecture.head_size,) * 2)
    return hidden * (heads * key + kv_heads * (key + value)) + heads * value * hidden


def vision(config: Mapping[str, Any], hidden_size: int) -> Range:
    """The weights of an encoder of images and what joins it to a language model of a width: between two matrices and three in its feed-forward parts.

    Args:
        config: what config.json says of the encoder.
        hidden_size: width of the language model.

    """
    width, layers = positive(config, "hidden_size", "embed_dim", "width") or 0, positive(config, "num_hidden_layers", "depth", "layers") or 0
    wide = positive(config, "intermediate_size") or 4 * width
    joined = (4 * width + hidden_size) * max(4 * width, hidden_size)
    attention = 4 * width * width
    return Range(layers * (attention + 2 * width * wide), layers * (attention + 3 * width * wide) + joined)
