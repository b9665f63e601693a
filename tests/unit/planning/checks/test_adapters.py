"""LoRA adapters."""

import pytest

from llmfleet.planning.checks import adapters
from tests.unit.planning.checks.subjects import refused, said, warned

SQL = {"name": "sql", "source": "hf://a/sql"}
CODE = {"name": "code", "source": "hf://a/code"}


def test_adapters_have_names_of_their_own() -> None:
    assert "stands there 2 times" in refused(adapters.adapter_names, adapters={"items": [SQL, SQL]})
    assert said(adapters.adapter_names, adapters={"items": [SQL, CODE]}) == ()


def test_an_adapter_with_the_models_name_could_never_be_asked_for() -> None:
    assert "spec.adapters.items[0].name 'qwen'" in refused(adapters.adapter_names, adapters={"items": [{**SQL, "name": "qwen"}]})
    assert "a name of the model" in refused(adapters.adapter_names, model={"servedNames": ["sql"]}, adapters={"items": [SQL]})
    assert said(adapters.adapter_names, model={"servedNames": ["other"]}, adapters={"items": [{**SQL, "name": "qwen"}]}) == ()


@pytest.mark.parametrize(("rank", "larger"), [(4, 8), (33, 64), (200, 256)])
def test_a_rank_without_kernels_is_refused_with_the_next_larger(rank: int, larger: int) -> None:
    assert f"set it to {larger}, the next larger one" in refused(adapters.adapter_rank, adapters={"maxRank": rank})


@pytest.mark.parametrize("rank", [1, 8, 16, 32, 64, 128, 256, 320, 512])
def test_ranks_with_kernels_are_taken(rank: int) -> None:
    assert said(adapters.adapter_rank, adapters={"maxRank": rank}) == ()


FIVE = [{"name": f"a{number}", "source": f"hf://a/b{number}"} for number in range(5)]


def test_adapters_that_take_turns_are_worth_a_word() -> None:
    assert "'4': by default is less than there are adapters (5)" in warned(adapters.adapters_that_take_turns, adapters={"items": FIVE})
    warning = warned(adapters.adapters_that_take_turns, adapters={"items": [SQL, CODE], "maxLoaded": 1})
    assert "'1': is less than there are adapters (2)" in warning
    assert "raise it to 2, or keep all in the host's memory with --max-cpu-loras=2" in warning


def test_adapters_that_are_kept_in_host_memory_cost_no_reading() -> None:
    assert said(adapters.adapters_that_take_turns, adapters={"items": FIVE}, engine={"extraArgs": ["--max-cpu-loras=5"]}) == ()
    assert "(5)" in warned(adapters.adapters_that_take_turns, adapters={"items": FIVE}, engine={"extraArgs": ["--max-cpu-loras=4"]})


def test_room_for_adapters_to_come_is_nothing_to_warn_of() -> None:
    assert said(adapters.adapters_that_take_turns, adapters={"items": [SQL, CODE]}) == ()
    assert said(adapters.adapters_that_take_turns, adapters={"items": [SQL, CODE], "maxLoaded": 8}) == ()
    assert said(adapters.adapters_that_take_turns, adapters={"maxLoaded": 4}) == ()
    assert said(adapters.adapters_that_take_turns) == ()


def test_host_memory_holds_what_the_accelerator_holds() -> None:
    refusal = refused(adapters.adapters_in_host_memory, adapters={"items": [SQL]}, engine={"extraArgs": ["--max-cpu-loras", "2"]})
    assert "(spec.adapters.maxLoaded: 4, the default)" in refusal
    assert "lower spec.adapters.maxLoaded to 2" in refusal
    assert said(adapters.adapters_in_host_memory, adapters={"items": [SQL]}, engine={"extraArgs": ["--max-cpu-loras=4"]}) == ()
    assert said(adapters.adapters_in_host_memory, adapters={"items": [SQL], "maxLoaded": 2}, engine={"extraArgs": ["--max-cpu-loras=2"]}) == ()
    assert said(adapters.adapters_in_host_memory, engine={"extraArgs": ["--max-cpu-loras=2"]}) == ()
