"""Which part of a model a tensor belongs to, by its name: what a plan must know is what is divided among accelerators, and how."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from llmfleet_runtime.model.safetensors import Tensor

MAX_GROUPS: Final = 32
"""Most groups that the facts may have (docs/facts.schema.json)."""

MIXED: Final = "MIXED"
"""dtype of the group that takes what would be one group too many."""


class Part(StrEnum):
    """Parts of a model."""

    EMBEDDING = "embedding"
    LM_HEAD = "lmHead"
    LINEAR = "linear"
    EXPERTS = "experts"
    VISION = "vision"
    OTHER = "other"


PATTERNS: Final = (
    (
        Part.VISION,
        r"(^|\.)(vision\w*|visual\w*|vit\w*|image_\w+|img_\w+|audio\w*|speech\w*|multi_?modal\w*|mm_\w+|embed_(vision|audio)\w*"
        r"|vpm|apm|resampler|perceiver\w*|aligner|patch_\w+|mlp1)(\.|$)",
    ),
    (Part.OTHER, r"norm\d*\.|layernorm|(^|\.)ln_\w+\.|\.bias$|_bias$|\.[kvq]_scale$|rotary|inv_freq|sinks$"),
    (Part.EXPERTS, r"(^|\.)experts\.|block_sparse_moe\.(input|output)_linear\."),
    (Part.LM_HEAD, r"(^|\.)(lm_head|embed_out)\.|^output\.weight$"),
    (Part.EMBEDDING, r"(^|\.)(embed_\w+|\w*embeddings?|wte|wpe)\.|^(model\.)?shared\.weight$"),
    (Part.LINEAR, r"\.(qweight|qzeros|scales|g_idx|weight_scale\w*|weight_packed|weight_shape|weight_zero_point|weight_g_idx|input_scale|weight\.[\w.]+)$"),
)
"""Part and what its tensors' names contain; the first row that matches counts. Of what none matches, matrices are linear, the rest is other.

The first row is the towers and projectors of Transformers' multimodal models, hearing as well as seeing. `experts.` does not match `shared_experts.`, which
every token passes and which is divided as a linear layer is. Granite's experts lie in input_linear and output_linear.
"""

_COMPILED: Final = tuple((part, re.compile(pattern)) for part, pattern in PATTERNS)


def part(tensor: Tensor) -> Part:
    """The part of one tensor."""
    for found, pattern in _COMPILED:
        if pattern.search(tensor.name):
            return found
    return Part.LINEAR if len(tensor.shape) > 1 else Part.OTHER


def groups(tensors: Iterable[Tensor]) -> list[dict[str, Any]]:
    """The tensors added up by part and dtype, largest first; as in the facts."""
    added: dict[tuple[str, str], list[int]] = {}
    for tensor in tensors:
        group = added.setdefault((part(tensor), tensor.dtype), [0, 0])
        group[0] += tensor.size_bytes
        group[1] += 1
    ordered = sorted(added.items(), key=lambda item: (-item[1][0], item[0]))
    if len(ordered) > MAX_GROUPS:
        rest = ordered[MAX_GROUPS - 1 :]
        ordered[MAX_GROUPS - 1 :] = [((Part.OTHER, MIXED), [sum(sums[0] for _, sums in rest), sum(sums[1] for _, sums in rest)])]
    return [{"part": str(name), "dtype": dtype, "bytes": size_bytes, "count": count} for (name, dtype), (size_bytes, count) in ordered]
