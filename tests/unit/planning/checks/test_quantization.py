"""Number formats of the weights."""

from typing import Any

import pytest

from llmfleet.api.accelerator import Vendor
from llmfleet.planning.checks import quantization
from llmfleet.vllm.checkpoint import declared, reading
from tests.unit.planning.checks.subjects import CPU, MIXTRAL, PACKED, device, facts, refused, said, warned

FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
AWQ = {"quant_method": "awq", "bits": 4}
GPTQ = {"quant_method": "gptq", "bits": 4}
MODELOPT = {"quant_method": "modelopt", "quant_algo": "FP8"}


def with_method(method: str) -> dict[str, Any]:
    return {"quantization": {"method": method}}


@pytest.mark.parametrize(
    ("checkpoint", "method"),
    [(FP8, "fp8"), (AWQ, "awq"), (AWQ, "awq_marlin"), (GPTQ, "gptq"), (GPTQ, "gptq_marlin"), (GPTQ, "auto_gptq"), (GPTQ, "moe_wna16"), (FP8, "humming")],
)
def test_a_method_that_reads_the_checkpoint_is_taken(checkpoint: dict[str, Any], method: str) -> None:
    known = facts(quantization=checkpoint, weights=PACKED)
    assert said(quantization.against_the_checkpoint, known=known, **with_method(method)) == ()


def test_a_method_that_does_not_match_the_checkpoint_is_refused() -> None:
    known = facts(quantization=GPTQ, weights=PACKED)
    assert refused(quantization.against_the_checkpoint, known=known, **with_method("awq")) == (
        "spec.quantization.method 'awq': does not match: the checkpoint is quantized with gptq; leave it out, or set it to gptq"
    )


def test_an_online_method_on_a_quantized_checkpoint_is_refused() -> None:
    known = facts(quantization=FP8)
    assert "quantizes what is not quantized yet" in refused(quantization.against_the_checkpoint, known=known, **with_method("fp8_per_tensor"))


def test_a_method_that_vllm_passes_over_is_worth_a_word() -> None:
    known = facts(quantization=MODELOPT)
    assert "reads it with modelopt whatever is asked for" in warned(quantization.against_the_checkpoint, known=known, **with_method("fp8"))
    assert said(quantization.against_the_checkpoint, known=known, **with_method("modelopt")) == ()


def test_without_a_method_or_without_knowledge_nothing_is_compared() -> None:
    assert said(quantization.against_the_checkpoint, known=facts(quantization=GPTQ)) == ()
    assert said(quantization.against_the_checkpoint, **with_method("awq")) == ()
    assert said(quantization.against_the_checkpoint, known=facts(), **with_method("awq")) == ()


def test_on_the_cpu_awq_goes_by_that_name_alone() -> None:
    known = facts(quantization=AWQ, weights=PACKED)
    assert "does not match" in refused(quantization.against_the_checkpoint, CPU, known, **with_method("awq_marlin"))
    assert said(quantization.against_the_checkpoint, CPU, known, **with_method("awq")) == ()


def test_a_checkpoint_method_on_plain_weights_is_refused() -> None:
    assert "this one is not quantized" in refused(quantization.without_a_checkpoint, known=facts(), **with_method("awq"))
    assert said(quantization.without_a_checkpoint, known=facts(quantization=AWQ, weights=PACKED), **with_method("awq")) == ()


def test_packed_tensors_show_a_checkpoint_whose_configuration_lies_in_another_file() -> None:
    assert said(quantization.without_a_checkpoint, known=facts(weights=PACKED), **with_method("gptq")) == ()
    assert said(quantization.without_a_checkpoint, known=facts(weights=None), **with_method("gptq")) == ()


def test_overrides_may_bring_the_configuration() -> None:
    overrides = {"quantization_config_file": "/models/torchao.json"}
    assert said(quantization.without_a_checkpoint, known=facts(), model={"configOverrides": overrides}, **with_method("torchao")) == ()


@pytest.mark.parametrize("method", ["fp8_per_tensor", "fp8_per_block", "mxfp8", "mxfp4", "experts_int8"])
def test_an_online_method_on_plain_weights_is_taken(method: str) -> None:
    assert said(quantization.without_a_checkpoint, known=facts(), **with_method(method)) == ()


def test_fp8_on_plain_weights_is_an_old_name() -> None:
    assert "set it to fp8_per_tensor" in warned(quantization.without_a_checkpoint, known=facts(), **with_method("fp8"))


@pytest.mark.parametrize("method", ["experts_int8", "int8_per_channel_weight_only", "nvfp4_per_token"])
def test_methods_for_experts_do_nothing_for_a_dense_model(method: str) -> None:
    assert "this model is dense" in warned(quantization.experts_only, known=facts(), **with_method(method))
    assert said(quantization.experts_only, known=facts(MIXTRAL), **with_method(method)) == ()
    assert said(quantization.experts_only, **with_method(method)) == ()


def test_a_method_for_all_layers_is_for_dense_models_too() -> None:
    assert said(quantization.experts_only, known=facts(), **with_method("fp8_per_tensor")) == ()


def test_a_compute_capability_below_the_methods_is_refused_with_those_that_run() -> None:
    message = refused(quantization.against_the_device, device("8.0"), **with_method("fp8_per_channel"))
    assert message.startswith("spec.quantization.method 'fp8_per_channel': needs compute capability 8.9, and device has 8.0; choose one of fp8_per_block, ")
    assert said(quantization.against_the_device, device("8.9"), **with_method("fp8_per_channel")) == ()


def test_a_method_of_one_generation_is_refused_on_the_next() -> None:
    assert "10.0 to 10.9 only" in refused(quantization.against_the_device, device("12.0"), **with_method("nvfp4_per_token"))
    assert said(quantization.against_the_device, device("10.0"), **with_method("nvfp4_per_token")) == ()


@pytest.mark.parametrize(("vendor", "method"), [(Vendor.AMD, "gptq_marlin"), (Vendor.INTEL, "quark"), (Vendor.CPU, "fp8_per_tensor")])
def test_a_method_without_kernels_for_the_vendor_is_refused(vendor: Vendor, method: str) -> None:
    assert f"does not run on {vendor.value}" in refused(quantization.against_the_device, device(vendor=vendor), **with_method(method))


def test_what_is_not_known_of_a_device_is_not_held_against_it() -> None:
    assert said(quantization.against_the_device, device(None), **with_method("fp8_per_channel")) == ()


def test_the_checkpoints_own_method_is_held_against_the_device_too() -> None:
    known = facts(quantization={"quant_method": "mxfp4"}, weights=PACKED)
    assert refused(quantization.against_the_device, device("7.5"), known).startswith(
        "spec.model.source 'hf://a/b': is quantized with mxfp4, which needs compute capability 8.0, and device has 7.5; "
    )
    assert said(quantization.against_the_device, device("9.0"), known) == ()


def test_fp8_on_plain_weights_is_judged_as_what_it_becomes() -> None:
    assert "becomes fp8_per_tensor" in refused(quantization.against_the_device, CPU, facts(), **with_method("fp8"))
    assert said(quantization.against_the_device, CPU, facts(quantization=FP8), **with_method("fp8")) == ()


def test_a_dtype_that_the_method_does_not_compute_in_is_refused() -> None:
    assert refused(quantization.against_the_dtype, **with_method("fp8_per_tensor"), model={"dtype": "float"}) == (
        "spec.model.dtype 'float': is no dtype that the quantization method fp8_per_tensor computes in: bfloat16 or float16; set spec.model.dtype to bfloat16"
    )
    assert said(quantization.against_the_dtype, **with_method("fp8_per_tensor"), model={"dtype": "bfloat16"}) == ()


def test_the_models_own_dtype_counts_where_none_is_asked_for() -> None:
    mxfp4 = {"quant_method": "mxfp4"}
    half = facts(quantization=mxfp4, weights=PACKED, torch_dtype="float16")
    assert "is quantized with mxfp4, which computes in bfloat16, and the model would be served in float16" in refused(
        quantization.against_the_dtype, known=half
    )
    assert said(quantization.against_the_dtype, known=facts(quantization=mxfp4, weights=PACKED)) == ()
    assert said(quantization.against_the_dtype, known=facts(quantization=mxfp4, weights=PACKED, torch_dtype="float32")) == ()


@pytest.mark.parametrize("method", ["mxfp4", "mxfp8"])
def test_a_format_asks_for_less_while_it_quantizes(method: str) -> None:
    assert said(quantization.against_the_dtype, device("7.5"), facts(), **with_method(method)) == ()
    assert said(quantization.against_the_device, device("7.5"), facts(), **with_method(method)) == ()
    assert said(quantization.against_the_device, device("7.5"), **with_method(method)) == ()


def test_an_old_device_serves_bfloat16_as_float16() -> None:
    known = facts(quantization={"quant_method": "mxfp4"}, weights=PACKED)
    assert "served in float16" in refused(quantization.against_the_dtype, device("7.5"), known)


def test_a_deprecated_method_needs_the_flag_that_says_so() -> None:
    assert "is deprecated in vLLM 0.32.0" in refused(quantization.deprecated_method, **with_method("fp_quant"))
    assert said(quantization.deprecated_method, **with_method("fp_quant"), engine={"extraArgs": ["--allow-deprecated-quantization"]}) == ()
    assert said(quantization.deprecated_method, **with_method("fp8")) == ()


def test_settings_are_read_as_vllm_reads_them() -> None:
    config = {"linear": {"wieght": "fp8_per_tensor_static"}}
    assert refused(quantization.settings, quantization={"method": "online", "config": config}).startswith("spec.quantization.config.linear.wieght: ")
    assert said(quantization.settings, quantization={"method": "online", "config": {"linear": {"weight": "fp8_per_tensor_static"}}}) == ()


def test_the_method_online_needs_settings() -> None:
    assert "says nothing by itself" in refused(quantization.settings, **with_method("online"))
    assert said(quantization.settings, **with_method("fp8_per_block")) == ()


def test_settings_without_a_method_are_for_quantized_checkpoints() -> None:
    config = {"config": {"linear": "fp8_per_tensor"}}
    assert "would be ignored without a method" in refused(quantization.settings, known=facts(), quantization=config)
    assert said(quantization.settings, known=facts(quantization=FP8), quantization=config) == ()


def test_settings_name_a_format_unless_the_method_does() -> None:
    config = {"config": {"ignore": ["lm_head"]}}
    assert "names no format" in refused(quantization.settings, known=facts(quantization=GPTQ), quantization=config)
    assert said(quantization.settings, quantization={"method": "fp8_per_tensor", **config}) == ()


def test_targets_exclude_kinds_of_layers() -> None:
    config = {"targets": {"*.up_proj": "mxfp8"}, "moe": "mxfp8"}
    assert "excludes linear and moe" in refused(quantization.settings, quantization={"method": "online", "config": config})


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"linear": "fp8"}, "linear"),
        ({"linear": "nvfp4_per_token"}, "linear"),
        ({"moe": {"weight": "int8"}}, "moe.weight"),
        ({"targets": {"*.up_proj": "fp8"}}, "targets.*.up_proj"),
        ({"targets": {"re:(": "mxfp8"}}, "targets.re:("),
    ],
)
def test_formats_that_vllm_does_not_know_are_refused(config: dict[str, Any], path: str) -> None:
    assert refused(quantization.settings, quantization={"method": "online", "config": config}).startswith(f"spec.quantization.config.{path}: ")


@pytest.mark.parametrize(
    "config",
    [
        {"linear": "fp8_per_block", "moe": "nvfp4_per_token", "ignore": ["lm_head"]},
        {"linear": {"weight": "fp8_per_channel_static", "activation": "fp8_per_token"}},
        {"targets": {"re:.*up.*": "mxfp8", "*.down_proj": "fp8_per_tensor"}},
    ],
)
def test_formats_that_vllm_knows_are_taken(config: dict[str, Any]) -> None:
    assert said(quantization.settings, quantization={"method": "online", "config": config}) == ()


def test_formats_are_those_of_the_version() -> None:
    fields: dict[str, Any] = {"quantization": {"method": "online", "config": {"moe": {"weight": "nvfp4_per_token"}}}}
    assert said(quantization.settings, **fields) == ()
    assert "no format that vLLM knows" in refused(quantization.settings, engine={"version": "0.31.0"}, **fields)


@pytest.mark.parametrize(
    ("configuration", "method"),
    [
        ({"quant_method": "compressed_tensors"}, "compressed-tensors"),
        ({"quant_method": "FP8"}, "fp8"),
        ({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}, "modelopt_fp4"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, "modelopt_mixed"),
        ({"bits": 4}, ""),
    ],
)
def test_a_checkpoint_says_its_method_in_several_ways(configuration: dict[str, Any], method: str) -> None:
    assert declared(configuration) == method


def test_gpt_oss_has_a_method_of_its_own() -> None:
    read = reading({"quant_method": "mxfp4"}, "mxfp4", model_type="gpt_oss", on_cpu=False)
    assert read is not None
    assert (read.method, read.taken) == ("gpt_oss_mxfp4", True)


def test_a_checkpoint_that_does_not_say_its_method_is_not_judged() -> None:
    assert reading({"bits": 4}, "awq", model_type="llama", on_cpu=False) is None
