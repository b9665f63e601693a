import json

import pytest

from llmfleet_runtime.model.completeness import checked
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.selection import Selection, select
from tests.unit.runtime.model.in_memory import InMemory, file

INDEX = "model.safetensors.index.json"


def result(*names: str, **indexes: list[str]) -> Selection:
    contents = dict.fromkeys(names, b"x")
    for stem, named in indexes.items():
        contents[f"{stem}.safetensors.index.json"] = json.dumps({"weight_map": {f"t{number}": name for number, name in enumerate(named)}}).encode()
    store = InMemory({"config.json": b"{}", **contents})
    return checked(store, select(store.listing().files))


def weights(selection: Selection) -> list[str]:
    return [file.name for file in selection.weights]


def test_the_files_that_the_index_names_are_the_weights() -> None:
    assert weights(result("a.safetensors", "b.safetensors", model=["a.safetensors", "b.safetensors", "a.safetensors"])) == ["a.safetensors", "b.safetensors"]


def test_safetensors_that_the_index_does_not_name_are_left_out_as_vllm_leaves_them() -> None:
    assert weights(result("a.safetensors", "adapter_model.safetensors", model=["a.safetensors"])) == ["a.safetensors"]


def test_files_of_other_folders_are_not_the_indexes_to_name() -> None:
    assert weights(result("a.safetensors", "2_Dense/model.safetensors", model=["a.safetensors"])) == ["a.safetensors", "2_Dense/model.safetensors"]


def test_many_missing_files_are_counted_and_some_are_named() -> None:
    with pytest.raises(
        ModelFailure, match=r"names 6 files of weights, of which 5 are missing: s1.safetensors, s2.safetensors, s3.safetensors and 2 more"
    ) as failed:
        result("s0.safetensors", model=[f"s{number}.safetensors" for number in range(6)])
    assert failed.value.reason is Reason.INCOMPLETE_MODEL


def test_an_index_without_any_of_its_files_is_an_upload_that_has_just_begun() -> None:
    with pytest.raises(ModelFailure, match="names 2 files of weights, of which 2 are missing"):
        result(model=["a.safetensors", "b.safetensors"])


def test_shards_that_count_themselves_are_held_to_it() -> None:
    complete = [f"model-{number:05d}-of-00003.safetensors" for number in (1, 2, 3)]
    assert weights(result(*complete)) == complete
    with pytest.raises(ModelFailure, match="the files of weights count to 3, of which 1 is missing: model-00002-of-00003"):
        result(complete[0], complete[2])


def test_shards_may_count_from_zero() -> None:
    assert len(weights(result("m-00000-of-00002.safetensors", "m-00001-of-00002.safetensors"))) == 2


def test_pickled_shards_are_counted_too() -> None:
    with pytest.raises(ModelFailure, match="pytorch_model-00002-of-00002"):
        result("pytorch_model-00001-of-00002.bin")


def test_the_index_of_the_format_that_was_not_chosen_says_nothing() -> None:
    assert weights(result("model.safetensors", "consolidated.safetensors", model=["model.safetensors"])) == ["consolidated.safetensors"]
    assert weights(result("pytorch_model.bin", model=["model.safetensors"])) == ["pytorch_model.bin"]


def test_an_index_without_a_map_is_told_as_that() -> None:
    store = InMemory({"config.json": b"{}", "a.safetensors": b"x", INDEX: b"{}"})
    with pytest.raises(ModelFailure, match=f"{INDEX} has no weight_map"):
        checked(store, select(store.listing().files))


@pytest.mark.parametrize("size_bytes", [-1, 2**53, 10**30])
def test_a_size_that_no_file_has_is_not_believed(size_bytes: int) -> None:
    listed = [file("config.json"), file("tokenizer.json", size_bytes)]
    with pytest.raises(ModelFailure, match=f"says that tokenizer.json has {size_bytes} bytes") as failed:
        checked(InMemory({}), select(listed))
    assert failed.value.reason is Reason.INVALID_MODEL
