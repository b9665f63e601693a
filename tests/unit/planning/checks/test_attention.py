"""KV cache types and attention backends."""

import pytest

from llmfleet.api.accelerator import Vendor
from llmfleet.planning.checks import attention
from llmfleet.vllm.attention import NVIDIA
from llmfleet.vllm.catalogue import ClosedSet, catalogue
from llmfleet.vllm.quantization import KV_CACHE_TYPES
from llmfleet.vllm.versions import DEFAULT
from tests.unit.planning.checks.subjects import CPU, DEEPSEEK, device, facts, refused, said, warned


def test_the_table_holds_names_of_vllm() -> None:
    assert set(NVIDIA) <= set(catalogue(DEFAULT).sets[ClosedSet.ATTENTION_BACKEND])
    assert {kind for backend in NVIDIA.values() for kind in backend.kv_cache} <= set(KV_CACHE_TYPES)


def test_a_kv_cache_type_without_a_backend_on_the_vendor_is_refused() -> None:
    message = refused(attention.kv_cache_against_the_device, CPU, quantization={"kvCache": "int8_per_token_head"})
    assert message.startswith("spec.quantization.kvCache 'int8_per_token_head': has no attention backend on cpu (device); leave it out, or choose one of ")
    assert said(attention.kv_cache_against_the_device, CPU, quantization={"kvCache": "fp8"}) == ()


def test_a_kv_cache_type_above_the_compute_capability_is_refused() -> None:
    assert "from compute capability 8.0 on, and device has 7.5" in refused(
        attention.kv_cache_against_the_device, device("7.5"), quantization={"kvCache": "fp8"}
    )
    assert said(attention.kv_cache_against_the_device, device("8.0"), quantization={"kvCache": "fp8"}) == ()
    assert said(attention.kv_cache_against_the_device, device(None), quantization={"kvCache": "fp8"}) == ()


def test_a_kv_cache_type_of_one_generation_is_refused_on_the_next() -> None:
    assert "10.x only" in refused(attention.kv_cache_against_the_device, device("12.0"), quantization={"kvCache": "nvfp4_4over6"})
    assert said(attention.kv_cache_against_the_device, device("10.3"), quantization={"kvCache": "nvfp4_4over6"}) == ()


def test_packed_latents_are_for_latent_attention() -> None:
    assert "which this model does not have" in refused(attention.kv_cache_against_the_model, known=facts(), quantization={"kvCache": "fp8_ds_mla"})
    assert said(attention.kv_cache_against_the_model, known=facts(DEEPSEEK), quantization={"kvCache": "fp8_ds_mla"}) == ()


def test_some_types_hold_no_latent() -> None:
    assert "(MLA)" in refused(attention.kv_cache_against_the_model, known=facts(DEEPSEEK), quantization={"kvCache": "nvfp4"})
    assert said(attention.kv_cache_against_the_model, known=facts(), quantization={"kvCache": "nvfp4"}) == ()
    assert said(attention.kv_cache_against_the_model, quantization={"kvCache": "nvfp4"}) == ()
    env = [{"name": "VLLM_MLA_DISABLE", "value": "1"}]
    assert said(attention.kv_cache_against_the_model, known=facts(DEEPSEEK), quantization={"kvCache": "nvfp4"}, engine={"env": env}) == ()


def test_a_backend_that_does_not_run_on_the_device_is_refused_with_those_that_do() -> None:
    assert refused(attention.backend_against_the_device, device("7.5"), engine={"attentionBackend": "flash_attn"}) == (
        "spec.engine.attentionBackend 'FLASH_ATTN': runs on compute capability 8.0 on, and device has 7.5; "
        "leave it out, or choose one of TRITON_ATTN, FLEX_ATTENTION, TURBOQUANT"
    )
    assert said(attention.backend_against_the_device, device("8.0"), engine={"attentionBackend": "FLASH_ATTN"}) == ()
    assert said(attention.backend_against_the_device, device(None), engine={"attentionBackend": "FLASH_ATTN"}) == ()


@pytest.mark.parametrize(("vendor", "name"), [(Vendor.NVIDIA, "ROCM_ATTN"), (Vendor.AMD, "FLASHINFER"), (Vendor.NVIDIA, "CPU_ATTN")])
def test_a_backend_of_another_vendor_is_refused(vendor: Vendor, name: str) -> None:
    assert "leave it out: vLLM chooses one by device" in refused(attention.backend_against_the_device, device(vendor=vendor), engine={"attentionBackend": name})


def test_the_cpu_has_one_backend() -> None:
    assert "passed over" in refused(attention.backend_against_the_device, CPU, engine={"attentionBackend": "FLASHINFER"})
    assert said(attention.backend_against_the_device, CPU, engine={"attentionBackend": "CPU_ATTN"}) == ()


def test_backends_that_several_vendors_have_are_not_held_against_any() -> None:
    assert said(attention.backend_against_the_device, device(vendor=Vendor.AMD), engine={"attentionBackend": "TRITON_ATTN"}) == ()


def test_backends_for_latent_attention_are_for_no_other_model() -> None:
    assert "is for multi-head latent attention" in refused(attention.backend_against_the_model, device(), facts(), engine={"attentionBackend": "FLASHMLA"})
    assert said(attention.backend_against_the_model, device(), facts(DEEPSEEK), engine={"attentionBackend": "FLASHMLA"}) == ()


def test_other_backends_for_latent_attention_are_worth_a_word() -> None:
    assert "TRITON_MLA" in warned(attention.backend_against_the_model, device(), facts(DEEPSEEK), engine={"attentionBackend": "FLASHINFER"})
    assert said(attention.backend_against_the_model, device(), facts(), engine={"attentionBackend": "FLASHINFER"}) == ()


def test_a_backend_that_does_not_read_the_kv_cache_is_refused_with_those_that_do() -> None:
    assert refused(attention.backend_against_the_kv_cache, device(), quantization={"kvCache": "fp8_e5m2"}, engine={"attentionBackend": "FLASH_ATTN"}) == (
        "spec.engine.attentionBackend 'FLASH_ATTN': does not read a KV cache of type fp8_e5m2; choose one of FLASHINFER, TRITON_ATTN, or leave it out"
    )
    assert said(attention.backend_against_the_kv_cache, device(), quantization={"kvCache": "fp8_e5m2"}, engine={"attentionBackend": "FLASHINFER"}) == ()
    assert said(attention.backend_against_the_kv_cache, device(), engine={"attentionBackend": "FLEX_ATTENTION"}) == ()


def test_a_backend_that_computes_in_16_bit_is_refused_for_float32() -> None:
    assert refused(attention.backend_against_the_dtype, device(), model={"dtype": "float"}, engine={"attentionBackend": "FLASHINFER"}) == (
        "spec.engine.attentionBackend 'FLASHINFER': does not compute in float; choose one of TRITON_ATTN, FLEX_ATTENTION, or leave it out"
    )
    assert said(attention.backend_against_the_dtype, device(), model={"dtype": "float32"}, engine={"attentionBackend": "TRITON_ATTN"}) == ()
    assert said(attention.backend_against_the_dtype, device(), model={"dtype": "half"}, engine={"attentionBackend": "FLASHINFER"}) == ()


def test_blocks_that_no_kernel_likes_are_worth_a_word() -> None:
    assert "use 48" in warned(attention.block_size, engine={"blockSize": 50})
    assert "use 16" in warned(attention.block_size, engine={"blockSize": 1})
    assert said(attention.block_size, engine={"blockSize": 64}) == ()


def test_prefixes_of_a_model_without_attention_are_not_kept() -> None:
    mamba = facts({"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280, "state_size": 16, "intermediate_size": 1536})
    assert "without attention" in warned(attention.prefixes_without_attention, known=mamba, engine={"prefixCaching": True})
    assert said(attention.prefixes_without_attention, known=mamba, engine={"prefixCaching": False}) == ()
    assert said(attention.prefixes_without_attention, known=facts(), engine={"prefixCaching": True}) == ()
