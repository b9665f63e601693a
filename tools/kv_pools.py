"""What vLLM's own functions say of random mixes of layers, one JSON object per line: its blocks and tokens, or the context that it says would fit.

tests/unit/planning/vllm_pools.jsonl is recorded by this, in an environment where vLLM is installed (the one that tools/catalogue makes will do):
`PYTHONPATH=<vLLM's site-packages> <its python> tools/kv_pools.py > tests/unit/planning/vllm_pools.jsonl`.
"""

import importlib
import json
import random
import re
import sys
from types import SimpleNamespace
from typing import Any

MIXES = 300


def mix(chance: random.Random) -> dict[str, Any]:
    """Layers (f: full, s: sliding, c: chunked), what they keep per token, and the memory of every pipeline stage."""
    heads, size = chance.choice([1, 2, 4, 8]), chance.choice([32, 64, 128, 256])
    kinds = chance.choice(["f", "s", "fss", "fc", "mixed sizes"])
    layers = "".join(chance.choice("fss" if kinds == "mixed sizes" else kinds) for _ in range(chance.randint(1, 40)))
    stages = min(chance.choice([1, 1, 2, 3]), len(layers))
    return {
        "layers": layers,
        "heads": heads,
        "size": size,
        "full_heads": chance.choice([1, 2, 4, 8]) if kinds == "mixed sizes" else heads,
        "full_size": chance.choice([64, 128, 256, 512]) if kinds == "mixed sizes" else size,
        "element_bytes": chance.choice([1, 2]),
        "window": chance.choice([16, 128, 1024, 4096]),
        "block_size": chance.choice([16, 32, 64, 128]),
        "max_length": chance.choice([100, 1000, 4096, 32_768, 131_072]),
        "in_flight_tokens": chance.choice([256, 2048, 8192, 16_384]),
        "hybrid": chance.random() < 0.8,
        "available_bytes": [chance.choice([64, 256, 1024]) * 1024**2 + chance.randint(0, 10**6) for _ in range(stages)],
    }


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """What vLLM makes of it (v1/core/kv_cache_utils.py, as v1/engine/core.py calls it)."""
    utils = importlib.import_module("vllm.v1.core.kv_cache_utils")
    layout = importlib.import_module("vllm.v1.kv_cache_layout").KVCacheLayout.LBNHC
    config = SimpleNamespace(
        model_config=SimpleNamespace(max_model_len=asked["max_length"], original_max_model_len=asked["max_length"]),
        parallel_config=SimpleNamespace(decode_context_parallel_size=1, prefill_context_parallel_size=1, tensor_parallel_size=1),
        scheduler_config=SimpleNamespace(disable_hybrid_kv_cache_manager=not asked["hybrid"], max_num_batched_tokens=asked["in_flight_tokens"]),
        cache_config=SimpleNamespace(
            num_gpu_blocks_override=None, mamba_cache_mode="align", prefix_cache_retention_interval=0, get_resolved_kv_cache_layout=lambda: layout
        ),
        attention_config=SimpleNamespace(hisparse_config=None),
        max_in_flight_tokens=asked["in_flight_tokens"],
        speculative_config=None,
        num_prefill_lookahead_tokens=0,
        kv_transfer_config=None,
    )
    layers = [specification(kind, asked) for kind in asked["layers"]]
    stages = len(asked["available_bytes"])
    each, rest = divmod(len(layers), stages)
    workers, first = [], 0
    for stage in range(stages):
        # distributed/utils.py, get_pp_indices: what is left over goes to the stages before the last one, from the back.
        last = first + each + (stages - 1 - rest <= stage < stages - 1)
        workers.append({f"layer.{index}": layers[index] for index in range(first, last)})
        first = last
    try:
        scheduler = utils.generate_scheduler_kv_cache_config(utils.get_kv_cache_configs(config, workers, list(asked["available_bytes"])))
    except ValueError as refusal:
        fitting = re.search(r"maximum model length is (\d+)", str(refusal))
        return {"fits": int(fitting[1]) if fitting else 0}
    return {"blocks": scheduler.num_blocks, "tokens": utils.get_kv_cache_capacity(config, scheduler)[0]}


def specification(kind: str, asked: dict[str, Any]) -> Any:
    """One layer, as vLLM describes it."""
    torch, interface = importlib.import_module("torch"), importlib.import_module("vllm.v1.kv_cache_interface")
    common = {"block_size": asked["block_size"], "dtype": torch.bfloat16 if asked["element_bytes"] == 2 else torch.uint8}
    if kind == "s":
        return interface.SlidingWindowSpec(num_kv_heads=asked["heads"], head_size=asked["size"], sliding_window=asked["window"], **common)
    common |= {"num_kv_heads": asked["full_heads"], "head_size": asked["full_size"]}
    return interface.ChunkedLocalAttentionSpec(attention_chunk_size=asked["window"], **common) if kind == "c" else interface.FullAttentionSpec(**common)


def main() -> None:
    """Writes one line per mix."""
    chance = random.Random(0)
    for _ in range(MIXES):
        asked = mix(chance)
        sys.stdout.write(json.dumps(asked | answer(asked)) + "\n")


if __name__ == "__main__":
    main()
