"""What each layer of a model keeps of a request: keys and values of all of it, of a window, or a state of constant size.

Facts: vLLM 0.32.0, model_executor/models (per_layer_sliding_window of each family), model_executor/layers/attention/attention.py (a window without
layer_types is every layer's), engine/arg_utils.py (CacheConfig.sliding_window), model_executor/layers/mamba/mamba_utils.py (shapes of states).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from llmfleet.planning.config_json import integers, number, positive
from llmfleet.planning.state import State, state


class Reach(StrEnum):
    """How far back a layer of attention looks."""

    FULL = "full"
    """To the beginning."""
    SLIDING = "sliding"
    """Over a window of the last tokens."""
    CHUNKED = "chunked"
    """To the beginning of its chunk."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What a layer of attention keeps of a token."""

    reach: Reach
    """How far back it looks."""
    kv_heads: int
    """Key-value heads; 1 for a latent."""
    key_size: int
    """Numbers of a key, or of the latent."""
    value_size: int
    """Numbers of a value; 0 for a latent."""
    window: int = 0
    """Tokens of the window or chunk; 0 for full attention."""
    latent: bool = False
    """One vector for all heads (MLA): every tensor rank keeps the whole of it."""
    indexer_size: int = 0
    """Numbers of the key by which sparse attention picks tokens."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps. Falcon-H1 has both in one layer; a layer may keep nothing (feed-forward alone, or keys shared with an earlier layer)."""

    attention: Attention | None = None
    """Keys and values."""
    state: State | None = None
    """A state of constant size."""


@dataclass(frozen=True, slots=True)
class Described:
    """The layers of a model, or why they are not known."""

    layers: tuple[Layer, ...]
    """From the first to the last; every one as if it had full attention where unmodelled says so."""
    unmodelled: str | None = None
    """What cannot be computed."""


_ENCODERS: Final = ("bert", "roberta", "xlm-roberta", "modernbert", "nomic_bert", "distilbert", "electra", "deberta-v2", "new", "gte", "camembert", "mpnet")
"""Families that read a text once and keep nothing of it."""

_UNMODELLED: Final = ("deepseek_v4", "qwen4", "dots3", "hy_v4", "mimo_v2", "step3", "hunyuan_v4", "whisper", "t5", "bart", "plamo", "recurrent_gemma")
"""Beginnings of model types whose cache vLLM lays out in a way of their own."""

_FULL: Final = ("full_attention", "attention", "full", "sparse", "deepseek_sparse_attention")
_STATE: Final = ("linear_attention", "mamba", "mamba2", "conv", "recurrent", "kda")
_SLIDING: Final = ("sliding_attention", "sliding_window_attention")
_CHUNKED: Final = ("chunked_attention",)
_HYBRID: Final = ("hybrid",)
_NOTHING: Final = ("mlp", "moe", "-", "E")


def attention_free(config: Mapping[str, Any]) -> bool:
    """A model that has states and no attention at all."""
    return config.get("model_type") in ("mamba", "mamba2", "falcon_mamba")


def layers(config: Mapping[str, Any], *, count: int, kv_heads: int, head_size: int, latent: bool) -> Described:
    """The layers of a model.

    Args:
        config: config.json of the language model; lists of layers may be written as runs.
        count: number of layers.
        kv_heads: key-value heads of a layer.
        head_size: width of a head.
        latent: multi-head latent attention.

    """
    family = str(config.get("model_type", ""))
    full = _full_attention(config, kv_heads=kv_heads, head_size=head_size, latent=latent)
    if family in _ENCODERS:
        return Described((Layer(),) * count)
    if config.get("is_encoder_decoder") is True or family.startswith(_UNMODELLED) or "compress_ratios" in config:
        return Described((Layer(full),) * count, f"vLLM lays out the KV cache of {family or 'this model'} in a way of its own")
    kinds = _kinds(config, count)
    kept = state(config)
    if family == "falcon_h1":
        kinds = ("hybrid",) * count
    window = _window(config)
    built: list[Layer] = []
    for kind in kinds:
        if kind in _SLIDING and window:
            built.append(Layer(replace(full, reach=Reach.SLIDING, window=window)))
        elif kind in _CHUNKED:
            built.append(Layer(replace(full, reach=Reach.CHUNKED, window=number(config, "attention_chunk_size", 8192))))
        elif kind in _STATE and kept is not None:
            built.append(Layer(state=kept))
        elif kind in _HYBRID and kept is not None:
            built.append(Layer(full, kept))
        elif kind in _FULL or (kind in _SLIDING and not window):
            built.append(Layer(_global_attention(config, full)))
        elif kind in _NOTHING:
            built.append(Layer())
        else:
            return Described((Layer(full),) * count, f"layers of the type {kind} of {family or 'this model'} are not modelled")
    shared = min(number(config, "num_kv_shared_layers", 0), count)
    if shared:
        built[count - shared :] = [Layer()] * shared
    return Described(tuple(built))


def with_experts(config: Mapping[str, Any], count: int) -> int:
    """Layers that have experts instead of one wide part."""
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern.count("E")
    first = number(config, "first_k_dense_replace", number(config, "moe_layer_start_index", 0))
    step = number(config, "moe_layer_freq", 1) or 1
    dense = integers(config.get("mlp_only_layers"))
    sparse_step = number(config, "decoder_sparse_step", number(config, "interleave_moe_layer_step", number(config, "moe_layer_interval", 1))) or 1
    period, offset = number(config, "expert_layer_period", 1) or 1, number(config, "expert_layer_offset", 0)
    return sum(
        index >= first and index % step == 0 and (index + 1) % sparse_step == 0 and index not in dense and (index - offset) % period == 0
        for index in range(count)
    )


def _full_attention(config: Mapping[str, Any], *, kv_heads: int, head_size: int, latent: bool) -> Attention:
    if latent:
        size = number(config, "kv_lora_rank", 0) + number(config, "qk_rope_head_dim", 0)
        return Attention(Reach.FULL, 1, size, 0, latent=True, indexer_size=number(config, "index_head_dim", 0))
    return Attention(Reach.FULL, kv_heads, head_size, number(config, "v_head_dim", head_size))


def _global_attention(config: Mapping[str, Any], full: Attention) -> Attention:
    """Gemma 4 gives its layers of full attention heads of another size and number."""
    size = number(config, "global_head_dim", 0)
    if not size:
        return full
    return replace(full, kv_heads=number(config, "num_global_key_value_heads", full.kv_heads), key_size=size, value_size=size)


def _window(config: Mapping[str, Any]) -> int:
    """Tokens of the window; 0 without. Cohere's layers see one token more (models/commandr.py)."""
    if config.get("use_sliding_window") is False:
        return 0
    window = number(config, "sliding_window", 0)
    family = str(config.get("model_type", ""))
    if not window and "sliding_window" not in config:
        # The configuration classes of Gemma fill it in (transformers, Gemma2Config and Gemma3TextConfig: 4096).
        window = 4096 if family.startswith(("gemma2", "gemma3")) else 0
    return window + 1 if window and family.startswith("cohere") else window


def _kinds(config: Mapping[str, Any], count: int) -> Sequence[str]:
    """The type of each layer, by the first of the ways in which families write it."""
    for name in ("layer_types", "layers_block_type"):
        kinds = _expanded(config.get(name), count)
        if len(kinds) >= count:
            return kinds[:count]
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str) and len(pattern) >= count:
        return tuple({"M": "mamba", "*": "attention"}.get(letter, letter) for letter in pattern[:count])
    attention = _attention_layers(config, count)
    if attention is not None:
        return tuple("attention" if index in attention else "mamba" for index in range(count))
    return _by_family(config, count)


def _attention_layers(config: Mapping[str, Any], count: int) -> frozenset[int] | None:
    """Indices of the layers with attention among layers with states; None for a model without states."""
    family = config.get("model_type")
    if attention_free(config):
        return frozenset()
    linear = config.get("linear_attn_config")
    if isinstance(linear, Mapping):
        return frozenset(index - 1 for index in integers(linear.get("full_attn_layers")))
    if isinstance(config.get("attn_type_list"), list):
        return frozenset(index for index, kind in enumerate(integers(config["attn_type_list"])) if kind == 1)
    for name in ("attn_layer_indices", "full_attn_idxs"):
        if isinstance(config.get(name), list):
            return frozenset(integers(config[name]))
    if period := number(config, "attn_layer_period", 0):
        return frozenset(index for index in range(count) if index % period == number(config, "attn_layer_offset", 0))
    if family in ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text") or "full_attention_interval" in config:
        interval = positive(config, "full_attention_interval") or 4
        return frozenset(index for index in range(count) if (index + 1) % interval == 0)
    return None


_PATTERN: Final[Mapping[str, Callable[[Mapping[str, Any]], int]]] = {
    "gemma2": lambda _: 2,
    "gpt_oss": lambda _: 2,
    "gemma3": lambda config: positive(config, "sliding_window_pattern") or 6,
    "gemma3_text": lambda config: positive(config, "sliding_window_pattern") or 6,
    "gemma3n_text": lambda _: 5,
    "cohere2": lambda config: positive(config, "sliding_window_pattern") or 4,
}
"""Families of which every n-th layer looks back to the beginning and the others over a window."""


_EVERY_LAYER_SLIDES: Final = ("mistral", "ministral", "mixtral", "phi3", "phimoe", "starcoder2", "stablelm")
"""Families whose window is every layer's."""


def _by_family(config: Mapping[str, Any], count: int) -> Sequence[str]:
    family = str(config.get("model_type", ""))
    if family in ("llama4_text", "llama4"):
        every = positive(config, "no_rope_layer_interval") or 4
        rope = integers(config.get("no_rope_layers")) or [int((index + 1) % every != 0) for index in range(count)]
        chunked = number(config, "attention_chunk_size", 8192) > 0
        return tuple("chunked_attention" if uses_rope and chunked else "full_attention" for uses_rope in rope[:count])
    if family in _PATTERN:
        every = _PATTERN[family](config)
        return tuple("full_attention" if (index + 1) % every == 0 else "sliding_attention" for index in range(count))
    if not _window(config):
        return ("full_attention",) * count
    if family.startswith(("qwen2", "qwen3")):
        first = number(config, "max_window_layers", count)
        return ("full_attention",) * min(first, count) + ("sliding_attention",) * max(0, count - first)
    return ("sliding_attention" if family in _EVERY_LAYER_SLIDES else "an unknown reach",) * count


def _expanded(value: object, count: int) -> tuple[str, ...]:
    """A list of so many layers, be it written one by one or as runs [["full_attention", 4], ...]."""
    kinds: list[str] = []
    for item in value if isinstance(value, list) else ():
        match item:
            case str():
                kinds.append(item)
            case [str(kind), int(times)]:
                kinds.extend([kind] * min(times, count))
    return tuple(kinds)
