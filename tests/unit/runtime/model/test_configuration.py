import json

import pytest

from llmfleet_runtime.model.configuration import quantization, reduced, scalars


def test_long_lists_are_left_out_at_every_depth_and_short_ones_are_kept() -> None:
    config = {"a": list(range(65)), "b": list(range(64)), "text_config": {"c": ["x"] * 65, "d": [1]}}
    assert reduced(config) == {"b": list(range(64)), "text_config": {"d": [1]}}


def test_layer_types_are_written_as_runs_however_many_there_are() -> None:
    types = (["sliding_attention"] * 5 + ["full_attention"]) * 16
    assert reduced({"text_config": {"layer_types": types}})["text_config"]["layer_types"] == [["sliding_attention", 5], ["full_attention", 1]] * 16


def test_auto_map_and_nulls_are_kept_as_the_author_wrote_them() -> None:
    config = {"auto_map": {"AutoModelForCausalLM": "modeling.Custom"}, "sliding_window": None, "rope_scaling": {"factor": 8.0}}
    assert reduced(config) == config


def test_numbers_that_json_does_not_know_are_nulls() -> None:
    config = json.loads('{"time_step_limit": [0.0, Infinity], "scale": NaN, "text_config": {"x": -Infinity}}')
    assert json.dumps(reduced(config), allow_nan=False) == '{"time_step_limit": [0.0, null], "scale": null, "text_config": {"x": null}}'
    assert scalars({"temperature": float("nan"), "top_p": 0.9}) == {"top_p": 0.9}


def test_the_quantization_is_said_once() -> None:
    config = {"model_type": "llama", "quantization_config": {"quant_method": "fp8"}}
    assert reduced(config) == {"model_type": "llama"}
    assert quantization(config, {}) == {"quant_method": "fp8"}


def test_of_a_quantization_scalars_schemes_and_block_sizes_are_kept() -> None:
    found = quantization(
        {
            "quantization_config": {
                "quant_method": "compressed-tensors",
                "weight_block_size": [128, 128],
                "ignore": ["lm_head"],
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4}}},
                "kv_cache_scheme": {"num_bits": 8, "type": "float"},
                "sparsity_config": {},
            }
        },
        {},
    )
    assert found == {
        "quant_method": "compressed-tensors",
        "weight_block_size": [128, 128],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4}}},
        "kv_cache_scheme": {"num_bits": 8, "type": "float"},
    }


def test_the_quantization_of_a_nested_language_model_is_found() -> None:
    assert quantization({"text_config": {"quantization_config": {"quant_method": "awq", "bits": 4}}}, {}) == {"quant_method": "awq", "bits": 4}


def test_files_of_quantizers_are_read_where_the_configuration_says_nothing() -> None:
    modelopt = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head"]},
    }
    assert quantization({}, {"hf_quant_config.json": modelopt}) == {
        "quant_method": "modelopt_fp4",
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "group_size": 16,
    }
    assert quantization({}, {"quantize_config.json": {"bits": 4, "desc_act": True}}) == {"quant_method": "gptq", "bits": 4, "desc_act": True}
    assert quantization({}, {"quant_config.json": {"w_bit": 4}}) == {"quant_method": "awq", "w_bit": 4}
    assert quantization({"quantization_config": {"quant_method": "fp8"}}, {"quantize_config.json": {"bits": 4}}) == {"quant_method": "fp8"}


def test_a_checkpoint_that_is_not_quantized_has_none() -> None:
    assert quantization({"model_type": "llama"}, {}) is None


def test_of_the_generation_only_scalars_are_kept() -> None:
    assert scalars({"temperature": 0.6, "eos_token_id": [1, 2], "do_sample": True, "x": None}) == {"temperature": 0.6, "do_sample": True}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, int(1e30), float("inf"), float("nan")])
def test_a_number_that_comes_back_from_the_api_server_as_another_is_none(number: float) -> None:
    assert reduced({"a": number, "b": [number]}) == {"a": None, "b": [None]}
    assert scalars({"a": number}) == {}


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0.5, True, "x"])
def test_other_values_stay_what_they_are(value: object) -> None:
    assert reduced({"a": value}) == scalars({"a": value}) == {"a": value}
