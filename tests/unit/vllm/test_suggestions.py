"""Names that a person may have meant."""

from llmfleet.vllm.suggestions import nearest, one_of


def test_the_nearest_come_first_and_are_three_at_most() -> None:
    assert nearest("fp8_per_tensr", ["fp8_per_tensor", "fp8_per_token", "fp8_per_block", "fp8", "awq"])[0] == "fp8_per_tensor"
    assert len(nearest("aaa", ["aaab", "aaac", "aaad", "aaae"])) == 3


def test_a_name_that_two_tables_hold_is_offered_once() -> None:
    assert one_of("mxfp", ["mxfp8", "awq", "mxfp8"]) == "did you mean mxfp8?"


def test_where_none_is_near_all_are_told() -> None:
    assert one_of("x", ["b", "a"]) == "choose one of a, b"
