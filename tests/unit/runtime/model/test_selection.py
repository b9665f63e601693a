import pytest

from llmfleet_runtime.model.selection import Selection, select
from tests.unit.runtime.model.in_memory import files


def names(selection: Selection) -> set[str]:
    return {file.name for file in selection.files}


def test_safetensors_leave_no_room_for_the_same_weights_in_other_formats() -> None:
    selection = select(
        files("config.json", "model.safetensors", "pytorch_model.bin", "model.gguf", "tf_model.h5", "flax_model.msgpack", "model.onnx", "consolidated.00.pth")
    )
    assert (selection.format, names(selection)) == ("safetensors", {"config.json", "model.safetensors"})


def test_folders_with_another_engines_weights_are_left_out() -> None:
    selection = select(
        files("config.json", "model.safetensors", "original/model.safetensors", "metal/model.bin", "onnx/model.json", "checkpoint-500/model.safetensors")
    )
    assert names(selection) == {"config.json", "model.safetensors"}


def test_mistrals_own_format_is_taken_where_it_is_as_vllm_takes_it() -> None:
    both = ("config.json", "params.json", "consolidated.safetensors", "model-00001-of-00001.safetensors")
    assert names(select(files(*both))) == {"config.json", "params.json", "consolidated.safetensors"}
    assert names(select(files("params.json", "consolidated-00001-of-00002.safetensors"))) == {"params.json", "consolidated-00001-of-00002.safetensors"}


def test_without_safetensors_pickles_are_taken_then_gguf() -> None:
    assert select(files("config.json", "pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.pth")).format == "pytorch"
    assert names(select(files("pytorch_model.bin", "training_args.bin"))) == {"pytorch_model.bin"}
    assert names(select(files("model.pt", "rng_state_0.pth"))) == {"model.pt"}
    assert select(files("model-Q4_K_M.gguf", "README.md")).format == "gguf"


def test_what_is_no_weights_is_taken_code_and_templates_and_modules_in_folders() -> None:
    kept = {"config.json", "modeling_custom.py", "chat_template.jinja", "tokenizer.model", "1_Pooling/config.json", "additional_chat_templates/tool_use.jinja"}
    assert names(select(files(*kept, ".gitattributes", ".cache/huggingface/x.metadata"))) == kept
    assert select(files(*kept)).format == "none"


def test_weights_in_folders_of_modules_are_taken() -> None:
    assert names(select(files("model.safetensors", "2_Dense/model.safetensors"))) == {"model.safetensors", "2_Dense/model.safetensors"}


def test_pickles_in_a_module_are_taken_where_it_has_nothing_else_and_not_copies_elsewhere() -> None:
    module = ("2_Dense/config.json", "2_Dense/pytorch_model.bin")
    assert names(select(files("model.safetensors", *module, "pickled/pytorch_model.bin"))) == {"model.safetensors", *module}
    assert names(select(files("pytorch_model.bin", "2_Dense/config.json", "2_Dense/model.safetensors"))) == {
        "pytorch_model.bin",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    }


def test_weights_that_lie_in_folders_alone_are_of_the_first_format_that_there_is() -> None:
    selection = select(files("Q4/model.gguf", "Q8/model.gguf"))
    assert (selection.format, len(selection.weights)) == ("gguf", 2)


def test_the_index_is_the_one_of_the_chosen_format_and_folder() -> None:
    indexes = (
        "model.safetensors.index.json",
        "consolidated.safetensors.index.json",
        "model.fp16.safetensors.index.json",
        "2_Dense/model.safetensors.index.json",
    )

    def chosen(*weights: str) -> list[str]:
        return [file.name for file in select(files(*weights, *indexes)).indexes()]

    assert chosen("model.safetensors") == ["model.safetensors.index.json"]
    assert chosen("consolidated.safetensors") == ["consolidated.safetensors.index.json"]
    assert chosen("model.safetensors", "2_Dense/model.safetensors") == ["model.safetensors.index.json", "2_Dense/model.safetensors.index.json"]
    assert chosen("pytorch_model.bin") == []


def test_weights_come_last() -> None:
    assert [file.name for file in select(files("model.safetensors", "tokenizer.json")).files] == ["tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["a\0b.json", "a\nb.json", "a\ud800.json", "a\x1b[2J.json"])
def test_names_that_no_file_system_or_terminal_takes_are_left_out(name: str) -> None:
    assert names(select(files("config.json", name))) == {"config.json"}


def test_names_in_other_scripts_are_names() -> None:
    assert names(select(files("config.json", "说明.md"))) == {"config.json", "说明.md"}


def test_names_that_would_lead_out_of_the_directory_are_left_out() -> None:
    assert names(select(files("config.json", "/etc/passwd", "../config.json", "a/../../b.json", "a//b.json"))) == {"config.json"}
