"""LoRA adapters for the tiny model as files: random, strong enough to change every answer, written by hand."""

import json
import random
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

HIDDEN = 128
MODULES = MappingProxyType({"q_proj": (HIDDEN, 128), "v_proj": (HIDDEN, 64)})
"""Inputs and outputs of the modules that the tiny model has."""

LAYERS = 2


def write_lora(folder: Path, seed: int, *, rank: int = 8, modules: Mapping[str, tuple[int, int]] = MODULES) -> Path:
    """An adapter in PEFT's format, in bfloat16."""
    numbers = random.Random(seed)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    content = b""
    for layer in range(LAYERS):
        for module, (inputs, outputs) in modules.items():
            for half, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
                values = b"".join(struct.pack("<f", numbers.gauss(0, 1))[2:] for _ in range(shape[0] * shape[1]))
                name = f"base_model.model.model.layers.{layer}.self_attn.{module}.{half}.weight"
                header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": (len(content), len(content) + len(values))}
                content += values
    folder.mkdir(parents=True)
    head = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + content)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 16, "bias": "none", "target_modules": sorted(modules)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
