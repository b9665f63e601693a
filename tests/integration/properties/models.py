"""What an inspection may find: configurations of public models, and what becomes of them when people and converters edit them."""

import copy
import json
from pathlib import Path
from random import Random
from typing import Any, Final

from llmfleet.api.facts import ModelFacts

EXAMPLES: Final = Path(__file__).parents[3] / "examples" / "facts"

ODD: Final[tuple[Any, ...]] = (
    None,
    0,
    -1,
    1,
    3,
    8,
    10**12,
    0.5,
    True,
    "",
    "x",
    "bfloat16",
    [],
    ["x"],
    [0],
    {},
    {"a": {"b": 1}},
    [[1, 2]],
    [["full_attention", 3]],
    float("inf"),
)
"""Values that a configuration may hold where another one is expected."""

KEYS: Final = (
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size", "head_dim", "vocab_size", "intermediate_size", "layer_types"),
    *("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "sliding_window", "sliding_window_pattern", "max_position_embeddings"),
    *("rope_scaling", "rope_parameters", "architectures", "model_type", "torch_dtype", "dtype", "tie_word_embeddings", "num_local_experts", "num_experts"),
    *(
        "n_routed_experts",
        "moe_intermediate_size",
        "num_nextn_predict_layers",
        "text_config",
        "vision_config",
        "quantization_config",
        "hybrid_override_pattern",
    ),
    *("mamba_num_heads", "mamba_head_dim", "ssm_state_size", "state_size", "conv_kernel", "n_groups", "attn_layer_period", "full_attention_interval"),
    *("linear_num_value_heads", "linear_key_head_dim", "index_topk", "index_head_dim", "block_configs", "no_rope_layers", "is_encoder_decoder"),
)
"""Keys that the plan reads, or might."""


class Models:
    """An endless, reproducible supply of facts."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._known = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EXAMPLES.glob("*.json"))]

    def next(self, source: str) -> ModelFacts:
        """The facts of a public model, edited in some places or in none."""
        facts = copy.deepcopy(self._random.choice(self._known))
        facts["source"] = source
        self._edit(facts["config"])
        if isinstance(inner := facts["config"].get("text_config"), dict):
            self._edit(inner)
        if self._random.random() < 0.2:
            facts["quantization"] = self._quantization()
        if self._random.random() < 0.2:
            facts.pop("weights", None)
        return ModelFacts.model_validate(facts)

    def _edit(self, config: dict[str, Any]) -> None:
        for _ in range(self._random.choice((0, 0, 1, 3, 10))):
            key = self._random.choice((self._random.choice(KEYS), self._random.choice(list(config or KEYS))))
            if self._random.random() < 0.2:
                config.pop(key, None)
            else:
                config[key] = copy.deepcopy(self._random.choice(ODD))

    def _quantization(self) -> dict[str, Any]:
        method = self._random.choice(("fp8", "awq", "gptq", "compressed-tensors", "mxfp4", "modelopt", "bitsandbytes", "x", None, 3))
        return {"quant_method": method, self._random.choice(("bits", "group_size", "kv_cache_scheme", "config_groups", "format")): self._random.choice(ODD)}
