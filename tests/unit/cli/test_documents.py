"""What can be given to read."""

import json
from pathlib import Path

import pytest

from llmfleet.cli.documents import read
from llmfleet.cli.exit_status import CommandError

SERVICE = "apiVersion: llmfleet.dev/v1alpha1\nkind: LLMService\nmetadata: {name: qwen, namespace: chat}\nspec: {model: {source: 'hf://a/b'}}\n"


def names(*paths: Path) -> list[str]:
    return [document.name for document in read([str(path) for path in paths]).objects]


def test_a_folder_is_read_with_all_below_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for path, name in (("b/z.yml", "third"), ("a.yaml", "first"), ("b/a.json", "second")):
        (tmp_path / path).write_text(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))
    (tmp_path / "notes.txt").write_text("kind: [")
    assert names(tmp_path) == ["first", "second", "third"]


def test_a_list_is_taken_apart_with_the_lines_of_its_items(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text("apiVersion: v1\nkind: List\nitems:\n- kind: A\n  apiVersion: x/v1\n  metadata: {name: a}\n- kind: B\n  metadata:\n    name: b\n")
    found = read([str(file)]).objects
    assert [(document.kind, document.where("metadata.name")) for document in found] == [("A", f"{file}:6"), ("B", f"{file}:9")]


def test_a_list_of_our_own_kind_as_kubectl_prints_it(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMServiceList", "items": [{"kind": "LLMService", "metadata": {"name": "x"}}]}))
    assert names(file) == ["x"]


def test_items_of_a_list_of_our_kind_need_not_say_theirs(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMServiceList", "items": [{"metadata": {"name": "x"}}]}))
    (found,) = read([str(file)]).of_kind("LLMService")
    assert found.content["apiVersion"] == "llmfleet.dev/v1alpha1"


def test_what_is_no_object_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("replicas: 2\n---\n- 1\n---\njust words\n")
    (found,) = read([str(tmp_path)]).objects
    assert (found.kind, found.group, found.name) == ("", "", "")


def test_an_unreadable_file_is_named_with_its_line_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\n")
    (tmp_path / "b.yaml").write_text(SERVICE)
    (tmp_path / "c.yaml").write_bytes(b"ok: 1\nbad: \xff\n")
    found = read([str(tmp_path)])
    assert [document.name for document in found.objects] == ["qwen"]
    assert found.unreadable == [
        f"{tmp_path}/a.yaml:2: the key 'a' stands there twice, first in line 1: keep one",
        f"{tmp_path}/c.yaml:2: is no UTF-8 text: invalid start byte",
    ]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + SERVICE.encode())
    assert names(tmp_path) == ["qwen"]


def test_a_file_that_does_not_exist_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no such file or folder"):
        read([str(tmp_path / "missing.yaml")])
