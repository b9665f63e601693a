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


def test_adapters_that_take_turns_and_places_that_stay_empty_are_worth_a_word() -> None:
    items = [SQL, CODE]
    assert "--max-cpu-loras=2" in warned(adapters.adapters_that_take_turns, adapters={"items": items, "maxLoaded": 1})
    assert "lower it to 2" in warned(adapters.adapters_that_take_turns, adapters={"items": items, "maxLoaded": 4})
    assert said(adapters.adapters_that_take_turns, adapters={"items": items, "maxLoaded": 2}) == ()
    assert said(adapters.adapters_that_take_turns, adapters={"maxLoaded": 4}) == ()
