"""YAML as kubectl reads it, with lines and limits."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmfleet.cli.yaml_tree import DEEPEST, MOST_NODES, YamlError, documents


def read(text: str) -> list[Any]:
    return [node.plain() for node in documents(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("'on'", "on"),
        ("No", False),
        ("~", None),
        ("010", 8),
        ("0x10", 16),
        ("1_000", 1000),
        ("1e3", 1000),
        ("5.", 5),
        ("1_0.5", 10.5),
        ("-.5", -0.5),
        ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"),
        ("1Gi", "1Gi"),
        ("0.32.0", "0.32.0"),
        ("!!str 5", "5"),
        pytest.param("'y'", "y", id="y"),
    ],
)
def test_scalars_mean_what_they_mean_to_kubectl(text: str, value: object) -> None:
    (found,) = read(f"a: {text}")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_every_document_of_a_stream_is_read_and_empty_ones_are_not() -> None:
    assert read("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_json_is_read_however_it_is_indented() -> None:
    assert read('{\n\t"a": [1,\n\t\t{"b": null}]\n}') == [{"a": [1, {"b": None}]}]


def test_anchors_and_merges_are_expanded() -> None:
    assert read("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: [*x]\n") == [{"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": [{"b": 1, "c": 2}]}]


def test_of_several_merged_mappings_the_first_wins() -> None:
    assert read("a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y]}\n")[0]["c"] == {"k": 1, "l": 2}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands there twice, first in line 1"),
        ("a: {b: 1,\n b: 2}\n", 2, "the key 'b' stands there twice"),
        ("a: [1\nb: 2\n", 2, "did not find expected"),
        ("a: *nowhere", 1, "no anchor"),
        ("a: &a [*a]", 1, "an anchor contains itself"),
        ("a: !!binary aGk=", 1, "the tag tag:yaml.org,2002:binary is not taken"),
        ("? [a]\n: 1", 1, "a key must be a word"),
        ("a: 1\nb: \x00", 2, "is no text"),
        ("<<: 3", 1, "<< takes mappings only"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(YamlError, match=words.replace("(", r"\(").replace("*", r"\*")) as error:
        read(text)
    assert error.value.line == line


def test_a_tag_constructs_nothing() -> None:
    assert read("a: !!python/object/apply:os.system [x]") == [{"a": ["x"]}]


def test_a_bomb_goes_off_within_its_limit() -> None:
    levels = [f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 10)}]" for level in range(1, 10)]
    with pytest.raises(YamlError, match=f"more than {MOST_NODES} values"):
        read("\n".join(["x0: &x0 [1]", *levels]))


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000])
def test_deep_nesting_is_refused_and_does_not_end_the_process(text: str) -> None:
    with pytest.raises(YamlError, match=f"deeper than {DEEPEST} levels"):
        read(text)


def test_depth_is_counted_through_anchors() -> None:
    half = "[" * (DEEPEST // 2 + 1)
    with pytest.raises(YamlError, match="nested deeper"):
        read(f"a: &a {half}1{half.replace('[', ']')}\nb: {half}*a{half.replace('[', ']')}\n")


def test_a_field_is_found_with_its_line() -> None:
    (node,) = documents("spec:\n  engine:\n    extraArgs:\n      - --a\n      - --b\n  limits:\n    nvidia.com/gpu: 1\n")
    assert node.at("spec.engine.extraArgs[1]").line == 5
    assert node.at("spec.limits[nvidia.com/gpu]").line == 7
    assert node.at("spec.engine.missing.further").line == 3, "the nearest that there is"
    assert node.at("").line == 1


def test_a_merged_field_is_found_where_it_was_written() -> None:
    (node,) = documents("a: &x\n  b: 1\nc:\n  <<: *x\n")
    assert node.at("c.b").line == 2


Json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8", categories=["L", "N"])), inner, max_size=4),
    max_leaves=20,
)


@given(Json)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert read(json.dumps({"a": value})) == [{"a": value}]


@given(Json.filter(lambda value: value is not None))
def test_what_is_quoted_is_read_back(value: object) -> None:
    assert read(yaml.safe_dump(value, default_style='"', allow_unicode=True)) == [value]
