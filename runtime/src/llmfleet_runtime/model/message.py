"""Facts small enough for a termination message: what is dropped, in which order, until they fit. Never is JSON cut in the middle."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from llmfleet_runtime.failures import MESSAGE_BYTES
from llmfleet_runtime.model.configuration import LAYER_TYPES

DEFAULTS: Final = frozenset(
    [
        "_attn_implementation_autoset",
        "_name_or_path",
        "add_cross_attention",
        "bad_words_ids",
        "begin_suppress_tokens",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "finetuning_task",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "id2label",
        "is_decoder",
        "label2id",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "prefix",
        "problem_type",
        "pruned_heads",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict",
        "return_dict_in_generate",
        "sep_token_id",
        "suppress_tokens",
        "task_specific_params",
        "temperature",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torchscript",
        "transformers_version",
        "typical_p",
        "use_bfloat16",
        "initializer_range",
        "initializer_factor",
        "attention_dropout",
        "hidden_dropout",
        "resid_pdrop",
        "embd_pdrop",
        "attn_pdrop",
        "router_aux_loss_coef",
        "output_router_logits",
        "use_cache",
        "pretraining_tp",
    ]
)
"""Keys of config.json, at every depth, that say nothing of a model's size: defaults of generation, classification and training that Transformers writes out."""

TEXT_CONFIGS: Final = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where a multimodal model keeps the configuration of its language model."""

PLAN: Final = frozenset(
    [
        "architectures",
        "auto_map",
        "model_type",
        "torch_dtype",
        "dtype",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "max_position_embeddings",
        "tie_word_embeddings",
        "sliding_window",
        "sliding_window_pattern",
        "layer_types",
        "max_window_layers",
        "use_sliding_window",
        "attention_chunk_size",
        "no_rope_layers",
        "rope_scaling",
        "rope_parameters",
        "rope_theta",
        "kv_lora_rank",
        "q_lora_rank",
        "qk_rope_head_dim",
        "qk_nope_head_dim",
        "v_head_dim",
        "index_topk",
        "index_head_dim",
        "num_experts",
        "n_routed_experts",
        "num_local_experts",
        "num_experts_per_tok",
        "n_shared_experts",
        "moe_intermediate_size",
        "first_k_dense_replace",
        "num_nextn_predict_layers",
        "num_kv_shared_layers",
        "n_embd",
        "n_layer",
        "n_head",
        "n_positions",
        "n_inner",
        "ffn_dim",
        "d_model",
        "num_layers",
        "state_size",
        "conv_kernel",
        "expand",
        "n_groups",
        "mamba_d_state",
        "mamba_d_conv",
        "mamba_expand",
        "mamba_n_heads",
        "mamba_d_head",
        "mamba_n_groups",
        "mamba_num_heads",
        "mamba_head_dim",
        "ssm_state_size",
        "linear_conv_kernel_dim",
        "linear_key_head_dim",
        "linear_value_head_dim",
        "linear_num_key_heads",
        "linear_num_value_heads",
        "full_attention_interval",
        "hybrid_override_pattern",
        "layers_block_type",
        "attn_layer_period",
        "attn_layer_offset",
    ]
)
"""Keys that a plan reads: kept to the last, together with the text configurations that hold them."""

_Step = Callable[[dict[str, Any]], dict[str, Any]]


def _without_defaults(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "config": _filtered(facts["config"], lambda key: key not in DEFAULTS)}


def _without_towers(facts: dict[str, Any]) -> dict[str, Any]:
    """Configuration of what is neither the model itself nor its language model: vision, audio, speculation."""
    kept = {key: value for key, value in facts["config"].items() if not isinstance(value, dict) or key in TEXT_CONFIGS or key in PLAN}
    return {**facts, "config": kept}


def _without_generation(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "generation"}


def _without_long_text(facts: dict[str, Any]) -> dict[str, Any]:
    """Also the modules of an adapter and the groups of a quantization, of which the method and the first group tell enough."""
    found = {**facts, "config": _short(facts["config"])}
    if groups := facts.get("quantization", {}).get("config_groups"):
        found["quantization"] = {**facts["quantization"], "config_groups": dict([next(iter(groups.items()))])}
    if "adapter" in facts:
        found["adapter"] = {key: value for key, value in facts["adapter"].items() if key != "targetModules"}
    return found


def _only_plan(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "config": _filtered(facts["config"], lambda key: key in PLAN or key in TEXT_CONFIGS)}


def _without_layer_types(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "config": _filtered(facts["config"], lambda key: key != LAYER_TYPES), "quantization": _scalars(facts.get("quantization"))}


def _without_config(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in ("config", "quantization")}


STEPS: Final[tuple[_Step, ...]] = (
    _without_defaults,
    _without_towers,
    _without_generation,
    _without_long_text,
    _only_plan,
    _without_layer_types,
    _without_config,
)
"""What is dropped, each on top of the one before, until the rest fits. The weights are never dropped: they are the larger part of any plan."""


def termination_message(facts: dict[str, Any], limit_bytes: int = MESSAGE_BYTES) -> bytes:
    """The facts as JSON of at most `limit_bytes`."""
    content = encode(facts)
    for step in STEPS:
        if len(content) <= limit_bytes:
            break
        facts = step(facts)
        content = encode(facts)
    return content


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON without spaces."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _filtered(value: Any, wanted: Callable[[str], bool]) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: inner if key in PLAN else _filtered(inner, wanted) for key, inner in value.items() if wanted(key)}


def _short(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: _short(inner)
        for key, inner in value.items()
        if key in PLAN or not ((isinstance(inner, str) and len(inner) > 64) or (isinstance(inner, list) and len(inner) > 8))
    }


def _scalars(quantization: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if quantization is None else {key: value for key, value in quantization.items() if not isinstance(value, dict | list)}
