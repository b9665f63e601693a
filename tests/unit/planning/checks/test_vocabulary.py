"""Names that vLLM's parser takes as free text."""

from typing import Any

import pytest

from llmfleet.planning.checks.vocabulary import NAMED, optional_packages, unknown_names, unknown_quantization
from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.versions import SUPPORTED
from tests.unit.planning.checks.subjects import refused, said, warned


def spec_with(field: str, name: str) -> dict[str, Any]:
    """A specification whose field holds a name."""
    part, *rest = field.split(".")
    value: Any = name
    for key in reversed(rest):
        value = {key: value}
    if field == "engine.speculative.method":
        value["speculative"]["tokens"] = 1
    return {part: value}


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.field)
def test_a_name_that_vllm_does_not_know_is_refused_with_what_it_knows(named: Any) -> None:
    message = refused(unknown_names, **spec_with(named.field, "no-such-name"))
    assert message.startswith(f"spec.{named.field} 'no-such-name': is no {named.what} of vLLM 0.32.0; ")


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.field)
def test_every_name_that_vllm_knows_is_taken(named: Any, version: str) -> None:
    for name in named.known(catalogue(version)):
        fields = spec_with(named.field, name)
        fields["engine"] = {**fields.get("engine", {}), "version": version}
        assert said(unknown_names, **fields) == ()


def test_a_slip_is_answered_with_what_was_meant() -> None:
    assert "did you mean hermes" in refused(unknown_names, engine={"toolCalling": {"parser": "herms"}})
    assert "bfloat16" in refused(unknown_names, model={"dtype": "bfloat"})


def test_backends_are_named_in_any_case() -> None:
    assert said(unknown_names, engine={"attentionBackend": "flashinfer"}) == ()


def test_a_name_that_another_version_knows_is_refused_with_that_version() -> None:
    message = refused(unknown_names, quantization={"kvCache": "ultraquant_4bit"}, engine={"version": "0.29.0"})
    assert message == ("spec.quantization.kvCache 'ultraquant_4bit': is no KV cache type of vLLM 0.29.0; set spec.engine.version to 0.32.0, which knows it")


@pytest.mark.parametrize("field", ["engine.toolCalling.parser", "model.loadFormat", "engine.attentionBackend"])
def test_an_image_of_ones_own_may_hold_plugins_with_further_names(field: str) -> None:
    fields = spec_with(field, "mine")
    assert said(unknown_names, **{**fields, "engine": {**fields.get("engine", {}), "image": "mine:1"}}) == ()
    assert said(unknown_quantization, quantization={"method": "mine"}, engine={"image": "mine:1"}) == ()


def test_no_plugin_brings_a_dtype() -> None:
    assert "dtype" in refused(unknown_names, model={"dtype": "float8"}, engine={"image": "mine:1"})


def test_of_a_version_without_a_catalogue_nothing_is_said() -> None:
    fields: dict[str, Any] = {"model": {"dtype": "float8"}, "quantization": {"method": "mine"}, "engine": {"version": "9.0.0", "image": "mine:1"}}
    assert said(unknown_names, **fields) == said(unknown_quantization, **fields) == ()


def test_a_misspelt_method_is_refused_with_the_nearest() -> None:
    message = refused(unknown_quantization, quantization={"method": "fp8_per_tensr"})
    assert message.startswith("spec.quantization.method 'fp8_per_tensr': is no quantization method of vLLM 0.32.0; did you mean fp8_per_tensor")


@pytest.mark.parametrize(("method", "plugin"), [("gguf", "vllm-gguf-plugin"), ("bitsandbytes", "vllm-bnb-plugin")])
def test_a_method_that_left_the_tree_is_refused_with_its_plugin(method: str, plugin: str) -> None:
    assert plugin in refused(unknown_quantization, quantization={"method": method})
    assert said(unknown_quantization, quantization={"method": method}, engine={"image": "with-plugin:1"}) == ()


@pytest.mark.parametrize(
    ("engine", "package"),
    [
        ({"speculative": {"method": "suffix", "tokens": 4}}, "arctic-inference"),
        ({"prefixCachingHash": "xxhash_cbor"}, "xxhash"),
        ({"kvOffload": {"memory": "4Gi", "backend": "lmcache"}}, "lmcache"),
    ],
)
def test_a_choice_that_needs_a_package_is_worth_a_word(engine: dict[str, Any], package: str) -> None:
    assert f"needs the package {package}" in warned(optional_packages, engine=engine)
    assert said(optional_packages, engine={**engine, "image": "mine:1"}) == ()


def test_what_vllm_installs_needs_no_word() -> None:
    assert said(optional_packages, model={"loadFormat": "safetensors"}, engine={"prefixCachingHash": "sha256"}) == ()
