"""The KV cache of mixed layers, beside what vLLM's own functions said of the same mixes (recorded by tools/kv_pools.py, vLLM 0.32.0)."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmfleet.planning.architecture import Architecture
from llmfleet.planning.kv_cache import Settings, capacity, largest_context
from llmfleet.planning.layers import Attention, Layer, Reach

MIXES = [json.loads(line) for line in (Path(__file__).parent / "vllm_pools.jsonl").read_text(encoding="utf-8").splitlines()]
REACH = {"f": Reach.FULL, "s": Reach.SLIDING, "c": Reach.CHUNKED}


def _architecture(mix: dict[str, Any]) -> Architecture:
    def layer(kind: str) -> Layer:
        heads, size = (mix["heads"], mix["size"]) if kind == "s" else (mix["full_heads"], mix["full_size"])
        return Layer(Attention(REACH[kind], heads, size, size, 0 if kind == "f" else mix["window"]))

    return Architecture("mixed", tuple(layer(kind) for kind in mix["layers"]), 1, 1, 1, 1, 1, 1, None, None, False, None, None, False)


def _settings(mix: dict[str, Any]) -> Settings:
    return Settings(
        mix["block_size"],
        element_bytes=mix["element_bytes"],
        pipeline=len(mix["available_bytes"]),
        in_flight_tokens=mix["in_flight_tokens"],
        hybrid=mix["hybrid"],
    )


@pytest.mark.parametrize("mix", [mix for mix in MIXES if "tokens" in mix])
def test_holds_as_many_blocks_and_tokens_as_vllm_says(mix: dict[str, Any]) -> None:
    held = capacity(_architecture(mix), _settings(mix), available_bytes=mix["available_bytes"], max_length=mix["max_length"])

    assert held is not None
    assert (held.blocks, held.tokens) == (mix["blocks"], mix["tokens"])


@pytest.mark.parametrize("mix", [mix for mix in MIXES if "fits" in mix])
def test_refuses_what_vllm_refuses_and_names_the_context_that_fits(mix: dict[str, Any]) -> None:
    fits = largest_context(_architecture(mix), _settings(mix), available_bytes=mix["available_bytes"], limit=mix["max_length"])

    assert fits < mix["max_length"]
    if len(mix["available_bytes"]) == 1:
        assert fits == mix["fits"]
    else:
        assert fits <= mix["fits"]  # vLLM names what fits the first stage that is too small, whatever the later ones say
