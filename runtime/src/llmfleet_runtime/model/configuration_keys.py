"""Keys of config.json, by what they are good for: what can be dropped first, and what must be kept longest, when facts have to be small."""

from typing import Final

# fmt: off
DEFAULTS: Final = frozenset((
    # Of generation and classification (transformers, PretrainedConfig), written out whatever the model is.
    "_attn_implementation_autoset", "_name_or_path", "add_cross_attention", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward",
    "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label", "is_decoder", "label2id", "length_penalty",
    "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "output_attentions", "output_hidden_states",
    "output_scores", "prefix", "problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate",
    "sep_token_id", "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p",
    "torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
    # Of training.
    "attention_dropout", "attn_pdrop", "embd_pdrop", "hidden_dropout", "initializer_factor", "initializer_range", "output_router_logits", "pretraining_tp",
    "resid_pdrop", "router_aux_loss_coef", "router_jitter_noise",
))
"""What says nothing of a model's size, at every depth."""

TEXT_CONFIGS: Final = frozenset((
    "text_config", "llm_config", "language_config", "thinker_config", "language_model_config", "text_model_config",
))
"""Where a multimodal model keeps the configuration of its language model."""

TOWERS: Final = frozenset(("vision_config", "audio_config", "vision_tower_config", "visual", "video_config", "speech_config", "mm_vision_tower"))
"""By which a model is known to take more than text; of what is in them a plan needs the shape alone, for their weights are counted."""

PLAN: Final = frozenset((
    "architectures", "auto_map", "model_type", "torch_dtype", "dtype", "is_encoder_decoder", "vocab_size", "padded_vocab_size", "tie_word_embeddings",
    # Length.
    "max_position_embeddings", "n_positions", "max_seq_len", "max_seq_length", "max_sequence_length", "max_target_positions", "model_max_length", "seq_len",
    "seq_length", "rope_parameters", "rope_scaling", "rope_theta",
    # Size of a layer.
    "hidden_size", "n_embd", "d_model", "intermediate_size", "intermediate_size_mlp", "ffn_hidden_size", "ffn_dim", "n_inner", "num_hidden_layers", "n_layer",
    "n_layers", "num_layers", "num_nextn_predict_layers", "mtp_num_hidden_layers",
    # Attention.
    "num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "num_kv_heads", "n_head_kv", "num_attention_groups",
    "multi_query_group_num", "multi_query", "new_decoder_architecture", "head_dim", "kv_channels", "attention_head_dim", "v_head_dim", "global_head_dim",
    "num_global_key_value_heads", "num_kv_shared_layers", "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "index_head_dim",
    "index_topk", "compress_ratios",
    # Which layers keep what.
    "layer_types", "layers_block_type", "hybrid_override_pattern", "sliding_window", "sliding_window_pattern", "use_sliding_window", "max_window_layers",
    "attention_chunk_size", "no_rope_layers", "no_rope_layer_interval", "attn_layer_indices", "attn_layer_offset", "attn_layer_period", "attn_type_list",
    "full_attention_interval", "full_attn_idxs", "full_attn_layers", "linear_attn_config",
    # State of constant size.
    "conv_L_cache", "conv_dim", "conv_kernel", "expand", "linear_conv_kernel_dim", "linear_key_head_dim", "linear_num_key_heads", "linear_num_value_heads",
    "linear_value_head_dim", "mamba_d_conv", "mamba_d_head", "mamba_d_ssm", "mamba_d_state", "mamba_expand", "mamba_head_dim", "mamba_headdim",
    "mamba_n_groups", "mamba_n_heads", "mamba_ngroups", "mamba_num_heads", "mamba_ssm_cache_dtype", "mamba_ssm_dtype", "n_groups", "n_mamba_heads",
    "short_conv_kernel_size", "ssm_state_size", "state_size",
    # Experts.
    "decoder_sparse_step", "expert_ffn_hidden_size", "expert_layer_offset", "expert_layer_period", "first_k_dense_replace", "interleave_moe_layer_step",
    "mlp_only_layers", "moe_intermediate_size", "moe_k", "moe_layer_freq", "moe_layer_interval", "moe_layer_start_index", "moe_num_experts",
    "moe_num_shared_experts", "moe_shared_expert_intermediate_size", "moe_topk", "n_routed_experts", "n_shared_experts", "num_experts", "num_experts_per_tok",
    "num_experts_per_token", "num_local_experts", "num_shared_experts", "shared_expert_intermediate_size", "shared_intermediate_size", "top_k_experts",
    # Encoders of images.
    "depth", "embed_dim", "image_size", "layers", "mm_tokens_per_image", "patch_size", "pooling_kernel_size", "spatial_merge_size", "width",
))
"""What the operator's plan reads (llmfleet.planning.architecture and layers): kept to the last."""
# fmt: on
