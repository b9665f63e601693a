"""Write language models that are tiny, random and complete: weights, tokenizer and chat template, at most some megabytes each.

One for every shape of KV cache and every form of checkpoint that serving on the CPU knows. Run with the Python of the CPU environment:
`python make_tiny_model.py FOLDER` writes each into a subfolder of its name. The seeds make their answers the same every time.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch  # type: ignore[import-not-found, unused-ignore]
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32  # type: ignore[import-not-found, unused-ignore]
from safetensors.torch import load_file, save_file  # type: ignore[import-not-found, unused-ignore]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found, unused-ignore]
from transformers import (  # type: ignore[import-not-found, unused-ignore]
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    DeepseekV3Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    PreTrainedTokenizerFast,
    Qwen3MoeConfig,
)

_VOCABULARY = 512  # the 256 bytes, five special tokens, and the merges that our two sentences yield
_SENTENCES = ("The quick brown fox jumps over the lazy dog. ", "Kubernetes runs containers. vLLM serves language models. ")
_CHAT_TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}<|assistant|>"

# Two heads of keys and values: the smallest that tensor parallelism over two processes can split. Heads of 32: the least that the CPU's kernel takes.
_SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_HEAD = 32


def tokenizer() -> Any:
    """Return the tokenizer that all of them have."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator([sentence * 20 for sentence in _SENTENCES], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>")
    fast.chat_template = _CHAT_TEMPLATE
    return fast


def _save(folder: Path, words: Any, kind: type, changes: Mapping[str, Any] = MappingProxyType({}), *, seed: int = 0, shards_of: str = "1GB") -> None:
    torch.manual_seed(seed)
    config = kind(**{"vocab_size": len(words), **_SHAPE, **changes})
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder, max_shard_size=shards_of)


# -- one function per model; its name is that of the folder --------------------------------------------------------------------------------------------


def tiny(folder: Path, words: Any) -> None:
    """Llama with grouped queries: what most models of the last years look like."""
    _save(folder, words, LlamaConfig)


def tied(folder: Path, words: Any) -> None:
    """The same with one matrix for both ends."""
    _save(folder, words, LlamaConfig, {"tie_word_embeddings": True})


def sharded(folder: Path, words: Any) -> None:
    """Weights in several files with an index, and a configuration as transformers 4 wrote it."""
    _save(folder, words, LlamaConfig, shards_of="300KB")
    config = json.loads((folder / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype")
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config, indent=2))


def draft(folder: Path, words: Any) -> None:
    """A guesser for `tiny`: one layer, the same tokens."""
    _save(folder, words, LlamaConfig, {"num_hidden_layers": 1}, seed=1)


def mixtral(folder: Path, words: Any) -> None:
    """A mixture of experts."""
    _save(folder, words, MixtralConfig, {"num_local_experts": 4, "num_experts_per_tok": 2})


def qwen3_moe(folder: Path, words: Any) -> None:
    """A mixture of many small experts, with heads wider than hidden_size / heads."""
    sizes = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "head_dim": 64}
    _save(folder, words, Qwen3MoeConfig, sizes)


def deepseek(folder: Path, words: Any) -> None:
    """Multi-head latent attention of DeepSeek's sizes (512 + 64), which are all that the kernel takes; first a dense layer, then experts."""
    attention = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 32, "v_head_dim": 32, "q_lora_rank": None}
    experts: dict[str, Any] = {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
    }
    experts |= {"topk_method": "noaux_tc", "scoring_func": "sigmoid"}  # transformers' class knows no other; vLLM asks for the words
    layers = {"num_hidden_layers": 3, "first_k_dense_replace": 1, "num_key_value_heads": 4}
    _save(folder, words, DeepseekV3Config, {**attention, **experts, **layers})


def gemma3(folder: Path, words: Any) -> None:
    """Five layers that see a window of 256 tokens, then one that sees all."""
    window = {"sliding_window": 256, "layer_types": [*["sliding_attention"] * 5, "full_attention"], "num_hidden_layers": 6}
    _save(folder, words, Gemma3TextConfig, {**window, "head_dim": _HEAD, "max_position_embeddings": 4096})


def mistral(folder: Path, words: Any) -> None:
    """All layers see a window of 256 tokens."""
    _save(folder, words, MistralConfig, {"num_hidden_layers": 4, "sliding_window": 256, "head_dim": _HEAD, "max_position_embeddings": 4096})


def encoder(folder: Path, words: Any) -> None:
    """BERT: a pooling model without a KV cache."""
    torch.manual_seed(0)
    shape = {name: _SHAPE[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=512, **shape)).to(torch.bfloat16).save_pretrained(folder)


def w8a8(folder: Path, words: Any) -> None:
    """Eight-bit weights and activations, as llm-compressor writes them (compressed-tensors, int-quantized)."""
    _save(folder, words, LlamaConfig)
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
    inputs = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}

    def quantized(name: str, weight: Any) -> dict[str, Any]:
        scale = weight.float().abs().amax(dim=1, keepdim=True) / 127
        return {name: (weight.float() / scale).round().clamp(-128, 127).to(torch.int8), f"{name}_scale": scale.to(torch.bfloat16)}

    _quantize(folder, quantized, format_="int-quantized", weights=weights, inputs=inputs)


def w4a16(folder: Path, words: Any) -> None:
    """Four-bit weights in groups of 32, eight to a word (compressed-tensors, pack-quantized)."""
    _save(folder, words, LlamaConfig)
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32, "dynamic": False}

    def quantized(name: str, weight: Any) -> dict[str, Any]:
        rows, columns = weight.shape
        groups = weight.float().reshape(rows, columns // 32, 32)
        scale = groups.abs().amax(dim=2, keepdim=True) / 7
        integers = (groups / scale).round().clamp(-8, 7).to(torch.int8).reshape(rows, columns)
        stem = name.removesuffix("weight")
        return {
            f"{stem}weight_packed": pack_to_int32(integers, 4),
            f"{stem}weight_scale": scale.reshape(rows, columns // 32).to(torch.bfloat16),
            f"{stem}weight_shape": torch.tensor([rows, columns], dtype=torch.int64),
        }

    _quantize(folder, quantized, format_="pack-quantized", weights=weights, inputs=None)


def _quantize(folder: Path, quantized: Callable[[str, Any], dict[str, Any]], *, format_: str, weights: dict[str, Any], inputs: dict[str, Any] | None) -> None:
    """Replace every linear layer's weights but the head's, and say so in the configuration."""
    path = folder / "model.safetensors"
    tensors: dict[str, Any] = {}
    for name, tensor in load_file(path).items():
        linear = name.endswith("_proj.weight")
        tensors |= quantized(name, tensor) if linear else {name: tensor}
    save_file(tensors, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": format_,
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}},
        "ignore": ["lm_head"],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))


def adapter(folder: Path) -> None:
    """A LoRA adapter of rank 8 for `tiny`, in PEFT's format, and strong: its answers differ from the first token on."""
    torch.manual_seed(2)
    rank, hidden = 8, _SHAPE["hidden_size"]
    outputs = {"q_proj": hidden, "v_proj": _SHAPE["num_key_value_heads"] * _HEAD}
    tensors = {}
    for layer in range(_SHAPE["num_hidden_layers"]):
        for name, width in outputs.items():
            stem = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, hidden).to(torch.bfloat16)
            tensors[f"{stem}.lora_B.weight"] = torch.randn(width, rank).to(torch.bfloat16)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "tiny", "r": rank, "lora_alpha": 16, "lora_dropout": 0.0,
        "bias": "none", "target_modules": sorted(outputs), "modules_to_save": None, "inference_mode": True,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))


MODELS = (tiny, tied, sharded, draft, mixtral, qwen3_moe, deepseek, gemma3, mistral, encoder, w8a8, w4a16)


def write(folder: Path) -> None:
    """Write all of them below `folder`."""
    words = tokenizer()
    for make in MODELS:
        into = folder / make.__name__.replace("_", "-")
        make(into, words)
        words.save_pretrained(into)
    adapter(folder / "adapter")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    try:
        write(target)
    except BaseException:
        shutil.rmtree(target)  # half a model is none
        raise
