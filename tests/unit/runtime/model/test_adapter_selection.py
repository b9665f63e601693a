import pytest

from llmfleet_runtime.model.adapter_selection import select_adapter
from llmfleet_runtime.model.failure import ModelFailure
from llmfleet_runtime.model.store import File


def files(*names: str) -> list[File]:
    return [File(name, 10) for name in names]


def test_an_adapter_is_its_configuration_and_its_weights_and_nothing_else() -> None:
    found = select_adapter(files("README.md", "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "tokenizer.json", "optimizer.pt"))
    assert [file.name for file in found.files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert found.format == "safetensors"


def test_pickled_weights_are_taken_where_there_are_no_others() -> None:
    found = select_adapter(files("adapter_config.json", "adapter_model.bin"))
    assert (found.format, [file.name for file in found.weights]) == ("pytorch", ["adapter_model.bin"])


def test_a_whole_model_is_no_adapter() -> None:
    with pytest.raises(ModelFailure, match=r"no adapter_config\.json among 2 files \(config\.json, model\.safetensors\): this is no LoRA adapter"):
        select_adapter(files("config.json", "model.safetensors"))


def test_a_configuration_alone_is_no_adapter() -> None:
    with pytest.raises(ModelFailure, match=r"no adapter_model\.safetensors or adapter_model\.bin or adapter_model\.pt among 1 files"):
        select_adapter(files("adapter_config.json"))


def test_an_adapter_in_a_folder_is_pointed_to() -> None:
    with pytest.raises(ModelFailure, match="there is an adapter in checkpoint-7"):
        select_adapter(files("checkpoint-7/adapter_config.json", "checkpoint-7/adapter_model.safetensors"))
