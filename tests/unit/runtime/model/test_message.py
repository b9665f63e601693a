import json
from typing import Any

import pytest

from llmfleet.api.facts import MAX_BYTES, ModelFacts
from llmfleet.planning.architecture import architecture
from llmfleet.planning.parameters import vision
from llmfleet_runtime.model.configuration import quantization, reduced
from llmfleet_runtime.model.message import termination_message
from tests.unit.runtime.model.giants import GIANTS, LLAMA_4

GROUPS = [
    {"part": part, "dtype": dtype, "bytes": 123_456_789_012, "count": 12_345}
    for part in ("embedding", "lmHead", "linear", "experts", "vision", "other")
    for dtype in ("BF16", "F32", "F8_E4M3")
]
SOURCE = "hf://an-organization-with-a-long-name/" + "a-model-with-a-very-long-name-" * 3


def facts(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = {
        "schemaVersion": 1,
        "source": SOURCE,
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "config": reduced(config),
        "generation": {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "transformers_version": "4.57.0"},
        "weights": {"format": "safetensors", "files": 163, "bytes": 688_586_727_753, "tensors": GROUPS},
        "download": {"files": 175, "bytes": 688_603_634_706},
        **more,
    }
    if (quantized := quantization(config, {})) is not None:
        found["quantization"] = quantized
    return found


def told(document: dict[str, Any], limit_bytes: int = MAX_BYTES) -> Any:
    content = termination_message(document, limit_bytes)
    assert len(content) <= limit_bytes
    return json.loads(content)


def shape(document: dict[str, Any]) -> Any:
    return architecture(ModelFacts.model_validate(document, by_alias=True, by_name=False))


@pytest.mark.parametrize("name", GIANTS)
def test_the_largest_models_fit_and_a_plan_reads_the_same_of_them(name: str) -> None:
    whole = facts(GIANTS[name])
    short = told(whole)
    assert short["weights"] == whole["weights"]
    assert short["config"]["architectures"] == GIANTS[name]["architectures"]
    assert shape(short) == shape(whole) is not None


@pytest.mark.parametrize("name", GIANTS)
def test_at_half_the_room_a_plan_still_reads_the_same_of_them(name: str) -> None:
    whole = facts(GIANTS[name])
    whole["weights"] = {**whole["weights"], "tensors": GROUPS[:4]}
    assert shape(told(whole, 2600)) == shape(whole) is not None


def test_facts_that_fit_are_told_whole() -> None:
    whole = facts({"model_type": "llama", "use_cache": True, "vision_config": {"depth": 1}})
    assert told(whole) == whole


def steps(document: dict[str, Any]) -> list[Any]:
    """What is told with ever less room, each state once."""
    states: list[Any] = []
    for limit in range(len(json.dumps(document)), 700, -20):
        content = json.loads(termination_message(document, limit))
        if not states or states[-1] != content:
            states.append(content)
    return states


def test_what_is_dropped_is_dropped_in_the_documented_order() -> None:
    document = facts(
        {
            "model_type": "x", "hidden_size": 8, "use_cache": True, "architecture_note": "n" * 80, "rms_norm_eps": 1e-6,
            "vision_config": {"model_type": "siglip", "depth": 27, "act": "gelu"},
            "text_config": {"model_type": "y", "use_cache": True, "hidden_act": "silu", "head_dim": 4},
        },
        adapter={"rank": 8, "targetModules": ["q_proj"]},
        quantization={"quant_method": "compressed-tensors", "config_groups": {"group_0": {"a": 1}, "group_1": {"a": 2}}},
    )  # fmt: skip
    document["weights"]["tensors"] = GROUPS[:2]
    whole, defaults, towers, generation, long, plan, nothing = steps(document)
    assert whole == document
    assert "use_cache" not in {**defaults["config"], **defaults["config"]["text_config"]}
    assert defaults["config"]["vision_config"] == {"model_type": "siglip", "depth": 27, "act": "gelu"}
    assert towers["config"]["vision_config"] == {"model_type": "siglip", "depth": 27}
    assert "generation" in towers
    assert "generation" not in generation
    assert "architecture_note" in generation["config"]
    assert "architecture_note" not in long["config"]
    assert (long["adapter"], long["quantization"]["config_groups"]) == ({"rank": 8}, {"group_0": {"a": 1}})
    assert long["config"]["rms_norm_eps"] == 1e-6
    siglip = {"model_type": "siglip", "depth": 27}
    assert plan["config"] == {"model_type": "x", "hidden_size": 8, "vision_config": siglip, "text_config": {"model_type": "y", "head_dim": 4}}
    assert "config" not in nothing
    assert nothing["quantization"] == {"quant_method": "compressed-tensors"}
    assert {key: nothing[key] for key in ("source", "revision", "weights", "download")} == {
        key: document[key] for key in ("source", "revision", "weights", "download")
    }


def test_a_configuration_of_any_length_leaves_the_weights() -> None:
    endless = {f"hidden_size_{number}": {"a": list(range(60))} for number in range(500)} | {"layers_block_type": [f"{number:030d}" for number in range(64)]}
    short = told(facts(endless | {"linear_attn_config": {str(number): "x" * 60 for number in range(100)}}))
    assert short["weights"]["tensors"] == GROUPS


@pytest.mark.parametrize(
    "quantization_config",
    [
        {"quant_method": "awq", "note": "x" * 5000},
        {"quant_method": "awq", **{f"key_{number}": number for number in range(1000)}},
        {"quant_method": "awq" + "x" * 5000},
    ],
)
def test_a_quantization_of_any_length_leaves_the_weights(quantization_config: dict[str, Any]) -> None:
    short = told(facts({"quantization_config": quantization_config}))
    assert short["weights"]["tensors"] == GROUPS
    assert short["quantization"]["quant_method"].startswith("awq")


def test_a_multimodal_model_is_still_known_as_one() -> None:
    encoder = told(facts(LLAMA_4))["config"]["vision_config"]
    assert encoder["model_type"] == "llama4_vision_model"
    assert encoder != LLAMA_4["vision_config"]
    assert vision(encoder, 5120) == vision(LLAMA_4["vision_config"], 5120) != vision({}, 5120)
