"""The shape of a model as its config.json tells it: layers and what each keeps of a token, heads, experts, vocabulary.

One interpretation of config.json for the cluster and the terminal. It follows vLLM 0.32.0: transformers_utils/model_arch_config_convertor.py (which field
is which), config/model.py (_get_and_verify_max_len), model_executor/models (which layers slide). What a config does not say is not guessed: the result is
None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmfleet.api.facts import ModelFacts
from llmfleet.planning import layers
from llmfleet.planning.config_json import LARGEST, MOST_LAYERS, positive
from llmfleet.planning.layers import Layer

TEXT_CONFIGS: Final = ("text_config", "llm_config", "language_config", "thinker_config", "language_model_config", "text_model_config")
"""Where models with other inputs than text keep the configuration of their language model (transformers, PretrainedConfig.get_text_config)."""

OTHER_INPUTS: Final = ("vision_config", "audio_config", "vision_tower_config", "visual", "video_config", "speech_config", "mm_vision_tower")
"""Parts of a config.json that only models with other inputs than text have."""

DTYPES: Final[Mapping[str, str]] = {"half": "float16", "float": "float32"}
"""vLLM's short names (config/model.py, _STR_DTYPE_TO_TORCH_DTYPE)."""


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture of experts of a model."""

    routed: int
    """Experts that a router chooses from, in each of the layers that have them."""
    per_token: int
    """Experts that one token goes through."""
    intermediate_size: int
    """Width of one of them."""
    layers: int
    """Layers that have experts instead of one wide part."""
    shared_intermediate_size: int
    """Width of what every token goes through besides; 0 without."""


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek): keys and values of all heads are kept as one vector."""

    kv_rank: int
    """Width of the latent (kv_lora_rank)."""
    rope_size: int
    """Width of the part that carries the position (qk_rope_head_dim)."""
    nope_size: int
    """Width of a head's key without it (qk_nope_head_dim)."""
    value_size: int
    """Width of a head's value (v_head_dim)."""
    query_rank: int
    """Width of the queries' latent (q_lora_rank); 0 where queries are projected directly."""
    indexer_size: int
    """Width of the key by which sparse attention picks tokens (index_head_dim); 0 without."""

    @property
    def kept_size(self) -> int:
        """Numbers that are kept of a token."""
        return self.kv_rank + self.rope_size


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a model."""

    model_type: str
    """As config.json names the family, of the language model."""
    layers: tuple[Layer, ...]
    """What each layer keeps of a request, from the first to the last."""
    hidden_size: int
    """Width of the stream between layers."""
    intermediate_size: int
    """Width of the feed-forward part of a layer without experts."""
    attention_heads: int
    """Query heads."""
    kv_heads: int
    """Key-value heads; as many as query heads where the config names none."""
    head_size: int
    """Width of a head's key, and of its value."""
    vocabulary: int
    """Tokens that the model knows."""
    max_length: int | None
    """Longest context that it was made for; None where the config does not say."""
    dtype: str | None
    """Number format that it was published in (torch_dtype)."""
    tied: bool
    """The output layer is the embedding."""
    experts: Experts | None
    """The mixture of experts; None for a dense model."""
    latent: LatentAttention | None
    """Multi-head latent attention; None where keys and values are kept."""
    other_inputs: bool
    """Takes images, audio or video besides text."""
    rotary_positions: int = 0
    """Rows of the tables of rotary positions: every length that there is an angle for; linear scaling multiplies them."""
    predictors: int = 0
    """Layers at the end of the files that predict further tokens (num_nextn_predict_layers)."""
    unmodelled: str | None = None
    """What of its KV cache this operator cannot compute; None where it can."""

    @property
    def has_state(self) -> bool:
        """Has layers that keep a state of constant size (Mamba, linear attention)."""
        return any(layer.state is not None for layer in self.layers)


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that describes the language model."""
    for name in TEXT_CONFIGS:
        inner = config.get(name)
        if isinstance(inner, Mapping):
            # qwen2_5_omni nests twice: thinker_config holds a text_config.
            return {**{key: config[key] for key in ("torch_dtype", "dtype", "tie_word_embeddings") if key in config}, **text_config(inner)}
    return config


def vision_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that describes the encoder of images; empty without."""
    for name in ("vision_config", "vision_tower_config", "thinker_config"):
        inner = config.get(name)
        if isinstance(inner, Mapping):
            nested = inner.get("vision_config", inner) if name == "thinker_config" else inner
            return nested if isinstance(nested, Mapping) else {}
    return {}


def architecture(facts: ModelFacts) -> Architecture | None:
    """The shape of a model; None where its config.json does not say enough to compute with."""
    config = text_config(facts.config)
    hidden_size = positive(config, "hidden_size", "n_embd", "d_model")
    heads = positive(config, "num_attention_heads", "n_head", "n_heads")
    count = positive(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    vocabulary = positive(config, "vocab_size", "padded_vocab_size")
    if hidden_size is None or count is None or vocabulary is None or count > MOST_LAYERS:
        return None
    if heads is None and not layers.attention_free(config):
        return None
    heads = heads or 0
    kv_heads = positive(config, "n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups") or heads
    if config.get("multi_query") is True and "num_key_value_heads" not in config and not config.get("new_decoder_architecture"):
        kv_heads = 1
    head_size = positive(config, "head_dim", "kv_channels", "attention_head_dim") or (hidden_size // heads if heads else 0)
    if heads and not head_size:
        return None
    latent = _latent(config)
    described = layers.layers(config, count=count, kv_heads=kv_heads, head_size=head_size, latent=latent is not None)
    return Architecture(
        model_type=str(config.get("model_type", "")),
        layers=described.layers,
        hidden_size=hidden_size,
        intermediate_size=positive(config, "intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim") or 4 * hidden_size,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        vocabulary=vocabulary,
        max_length=_max_length(config),
        dtype=_dtype(config),
        tied=config.get("tie_word_embeddings", _tied_by_default(config)) is True,
        experts=_experts(config, count),
        latent=latent,
        other_inputs=any(facts.config.get(name) for name in OTHER_INPUTS),
        rotary_positions=_rotary_positions(config),
        predictors=positive(config, "num_nextn_predict_layers", "mtp_num_hidden_layers") or 0,
        unmodelled=described.unmodelled,
    )


def _dtype(config: Mapping[str, Any]) -> str | None:
    name = config.get("torch_dtype", config.get("dtype"))
    if not isinstance(name, str):
        return None
    name = name.removeprefix("torch.")
    return DTYPES.get(name, name)


def _tied_by_default(config: Mapping[str, Any]) -> bool:
    """Families whose configuration class ties unless told otherwise, and whose config.json leaves it out (transformers, GemmaConfig, CohereConfig)."""
    return str(config.get("model_type", "")).startswith(("gemma", "cohere", "command"))


_SCALED_ALREADY: Final = ("su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "mrope", "default", "proportional")
"""Kinds of rotary scaling after which max_position_embeddings holds the scaled length (config/model.py, _get_and_verify_max_len)."""


def _max_length(config: Mapping[str, Any]) -> int | None:
    """The smallest of the fields that may hold it, scaled where vLLM scales it."""
    names = (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "model_max_length",
        "max_target_positions",
        "max_sequence_length",
        "max_seq_length",
        "seq_len",
    )
    found = [length for name in names if (length := positive(config, name)) is not None]
    length = positive(config, "model_max_length") or (min(found) if found else None)
    if length is None:
        return None
    rope = config.get("rope_scaling") or config.get("rope_parameters")
    if isinstance(rope, Mapping) and "gemma3" not in str(config.get("model_type")):
        kind = rope.get("rope_type", rope.get("type"))
        factor = rope.get("factor")
        if isinstance(factor, int | float) and not isinstance(factor, bool) and 0 < factor <= LARGEST and kind not in _SCALED_ALREADY:
            length = int(length * factor)
    return length


def _rotary_positions(config: Mapping[str, Any]) -> int:
    """Rows of rotary_embedding/base.py and linear_scaling_rope.py; of several scalings, the largest."""
    rope = config.get("rope_scaling") or config.get("rope_parameters")
    nested = [rope, *rope.values()] if isinstance(rope, Mapping) else []
    factors = [part.get("factor") for part in nested if isinstance(part, Mapping) and part.get("rope_type", part.get("type")) == "linear"]
    longest = max((factor for factor in factors if isinstance(factor, int | float) and 1 <= factor <= LARGEST), default=1)
    return int((positive(config, "max_position_embeddings") or 0) * longest)


def _latent(config: Mapping[str, Any]) -> LatentAttention | None:
    rank = positive(config, "kv_lora_rank")
    if rank is None:
        return None
    nope = positive(config, "qk_nope_head_dim") or 0
    return LatentAttention(
        kv_rank=rank,
        rope_size=positive(config, "qk_rope_head_dim") or 0,
        nope_size=nope,
        value_size=positive(config, "v_head_dim") or nope,
        query_rank=positive(config, "q_lora_rank") or 0,
        indexer_size=positive(config, "index_head_dim") or 0,
    )


def _experts(config: Mapping[str, Any], count: int) -> Experts | None:
    routed = positive(config, "num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts")
    if routed is None or routed == 1:
        return None
    size = positive(config, "moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
    if size is None:
        return None
    shared = positive(config, "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size")
    if shared is None:
        # Llama 4 has one without saying so.
        number = positive(config, "n_shared_experts", "num_shared_experts", "moe_num_shared_experts") or int(str(config.get("model_type")).startswith("llama4"))
        shared = number * size
    return Experts(
        routed=routed,
        per_token=positive(config, "num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", "moe_k") or 1,
        intermediate_size=size,
        layers=layers.with_experts(config, count),
        shared_intermediate_size=shared,
    )
