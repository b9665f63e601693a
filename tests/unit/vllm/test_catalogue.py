"""The catalogues that are shipped: one for every version, whole and different."""

import json
from importlib import resources

import pytest

from llmfleet.vllm import arguments, flag_values, json_values, versions
from llmfleet.vllm import catalogue as package
from llmfleet.vllm.catalogue import Catalogue, ClosedSet, Kind, Reader, catalogue

every_version = pytest.mark.parametrize("known", [catalogue(version) for version in versions.VERSIONS], ids=str)


def test_every_version_of_the_table_has_a_catalogue_and_none_has_no_line() -> None:
    shipped = {file.name.removesuffix(".json") for file in resources.files(package).iterdir() if file.name.endswith(".json")}
    assert shipped == versions.VERSIONS.keys()


def test_a_version_without_a_catalogue_is_told() -> None:
    with pytest.raises(LookupError, match=r"no catalogue of vLLM 0\.1\.0"):
        catalogue("0.1.0")


def test_a_flag_exists_in_one_version_and_not_in_another() -> None:
    assert "--grpc-port" in catalogue("0.32.0").flags
    assert "--grpc-port" not in catalogue("0.31.0").flags
    assert "--enable-mamba-fine-grained-prefix-cache" in catalogue("0.30.0").flags
    assert "--enable-mamba-fine-grained-prefix-cache" not in catalogue("0.31.0").flags


def test_choices_differ_between_versions() -> None:
    newer, older = (set(catalogue(version).flags["--kv-cache-dtype"].choices) for version in ("0.32.0", "0.29.0"))
    assert newer > older


@every_version
def test_every_spelling_belongs_to_one_flag(known: Catalogue) -> None:
    spellings = [spelling for flag in known.flags.values() for spelling in flag.spellings]
    assert len(spellings) == len(set(spellings)) == len(known.spellings)
    assert all(name == flag.name and name.startswith("--") for name, flag in known.flags.items())


@every_version
def test_only_pairs_have_a_negative_form(known: Catalogue) -> None:
    assert all(bool(flag.negative) == (flag.kind is Kind.PAIR) for flag in known.flags.values())


@every_version
def test_objects_are_all_there(known: Catalogue) -> None:
    named = {name for flag in known.flags.values() for name in (flag.object, flag.late_object) if name}
    assert named <= known.objects.keys()
    assert all((flag.reader is Reader.OBJECT) == (flag.object is not None) for flag in known.flags.values())


@every_version
def test_closed_sets_are_all_there_and_name_flags_and_fields_that_exist(known: Catalogue) -> None:
    assert known.sets.keys() == {*ClosedSet}
    assert all(values for values in known.sets.values())
    assert flag_values.CLOSED_FLAGS.keys() <= known.flags.keys()
    assert all(field in known.objects[name].fields for name, field in (*json_values.CLOSED_FIELDS, *json_values.REQUIRED_WITH))


@every_version
def test_every_typed_field_has_its_flag_in_every_version(known: Catalogue) -> None:
    assert {typed.flag for typed in arguments.TYPED} <= known.flags.keys()


@every_version
def test_nothing_of_the_machine_that_made_it_is_in_a_catalogue(known: Catalogue) -> None:
    text = (resources.files(package) / f"{known.version}.json").read_text()
    assert not any(trace in text for trace in ("/root", "/home", "site-packages", " at 0x"))
    assert len(text) < 150_000  # of each version, in the wheel
    assert json.loads(text)["version"] == known.version


def test_what_a_flag_of_each_kind_says() -> None:
    flags = catalogue("0.32.0").flags
    assert (flags["--max-num-seqs"].kind, flags["--max-num-seqs"].reader, flags["--max-num-seqs"].minimum) == (Kind.VALUE, Reader.INTEGER, 1)
    assert flags["--tensor-parallel-size"].aliases == ("-tp",)
    assert flags["--enable-prefix-caching"].negative == ("--no-enable-prefix-caching",)
    assert flags["--headless"].kind is Kind.SWITCH
    assert flags["--middleware"].kind is Kind.APPEND
    assert flags["--served-model-name"].kind is Kind.LIST
    assert flags["--hf-token"].kind is Kind.OPTIONAL_VALUE
    assert flags["--max-model-len"].reader is Reader.HUMAN_INTEGER_OR_AUTO
    assert flags["--moe-backend"].reader is Reader.LOWERED
    assert flags["--compilation-config"].object == "CompilationConfig"
    assert flags["--speculative-config"].late_object == "SpeculativeConfig"
    assert flags["--gpu-memory-utilization"].default == 0.92
    assert "auto" in flags["--tokenizer-mode"].known
    assert flags["--max-lora-rank"].choices[:3] == (1, 8, 16)


def test_what_the_engine_looks_up_late() -> None:
    sets = catalogue("0.32.0").sets
    assert len(sets[ClosedSet.QUANTIZATION]) == 30
    assert set(sets[ClosedSet.QUANTIZATION_DEPRECATED]) < set(sets[ClosedSet.QUANTIZATION])
    assert "hermes" in sets[ClosedSet.TOOL_CALL_PARSER]
    assert "deepseek_r1" in sets[ClosedSet.REASONING_PARSER]
    assert "FLASHINFER" in sets[ClosedSet.ATTENTION_BACKEND]
    assert "ngram" in sets[ClosedSet.SPECULATIVE_METHOD]
    assert "xgrammar" in sets[ClosedSet.STRUCTURED_OUTPUTS_BACKEND]
