"""Models as files: generated, small, and laid out as the hubs' are. Safetensors are written by hand, so that no library of ours checks itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DTYPE_BYTES = {"F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "I32": 4, "U8": 1}

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}

Shapes = Mapping[str, tuple[str, Sequence[int]]]


def llama_tensors() -> dict[str, tuple[str, Sequence[int]]]:
    """Names, types and shapes of the tensors of LLAMA."""
    tensors: dict[str, tuple[str, Sequence[int]]] = {"model.embed_tokens.weight": ("BF16", (512, 64))}
    for layer in range(2):
        prefix = f"model.layers.{layer}"
        tensors |= {
            f"{prefix}.self_attn.q_proj.weight": ("BF16", (64, 64)),
            f"{prefix}.self_attn.k_proj.weight": ("BF16", (32, 64)),
            f"{prefix}.self_attn.v_proj.weight": ("BF16", (32, 64)),
            f"{prefix}.self_attn.o_proj.weight": ("BF16", (64, 64)),
            f"{prefix}.mlp.gate_proj.weight": ("BF16", (128, 64)),
            f"{prefix}.mlp.up_proj.weight": ("BF16", (128, 64)),
            f"{prefix}.mlp.down_proj.weight": ("BF16", (64, 128)),
            f"{prefix}.input_layernorm.weight": ("BF16", (64,)),
            f"{prefix}.post_attention_layernorm.weight": ("BF16", (64,)),
        }
    return tensors | {"model.norm.weight": ("BF16", (64,)), "lm_head.weight": ("BF16", (512, 64))}


def tensor_bytes(dtype: str, shape: Sequence[int]) -> int:
    size = DTYPE_BYTES[dtype]
    for length in shape:
        size *= length
    return size


def safetensors(tensors: Shapes) -> tuple[bytes, int]:
    """Length and header of a file, and how many zeros follow."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = tensor_bytes(dtype, shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content, offset


def write_safetensors(path: Path, tensors: Shapes) -> int:
    """Header and zeros; the size of the file."""
    head, zeros = safetensors(tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + zeros)
    return len(head) + zeros


def write_json(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def single_file(folder: Path, config: Mapping[str, Any] | None = None) -> Path:
    """A model in one file, with what repositories have besides."""
    write_json(folder / "config.json", config or LLAMA)
    write_json(folder / "generation_config.json", {"temperature": 0.6, "eos_token_id": [1, 2], "do_sample": True})
    write_json(folder / "tokenizer.json", {"version": "1.0"})
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / "README.md").write_text("# A model\n")
    write_safetensors(folder / "model.safetensors", llama_tensors())
    return folder


def sharded(folder: Path, shards: int = 3, *, index: bool = True) -> Path:
    """The same model in several files."""
    single_file(folder)
    (folder / "model.safetensors").unlink()
    tensors = llama_tensors()
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number::shards]
        write_safetensors(folder / file, {name: tensors[name] for name in part})
        weight_map |= dict.fromkeys(part, file)
    if index:
        write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})
    return folder
