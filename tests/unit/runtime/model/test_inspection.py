import json
from typing import Any

import pytest

from llmfleet_runtime.model.inspection import inspect
from llmfleet_runtime.model.source import parse
from tests.unit.runtime.model.in_memory import InMemory


def adapter(document: Any) -> Any:
    contents = {"adapter_config.json": json.dumps(document).encode(), "config.json": b"{}"}
    return inspect(parse("hf://acme/lora"), InMemory(contents)).get("adapter")


def test_an_adapter_is_known_by_its_rank() -> None:
    assert adapter({"r": 16, "base_model_name_or_path": "acme/tiny", "target_modules": "all-linear"}) == {
        "rank": 16,
        "baseModel": "acme/tiny",
        "targetModules": ["all-linear"],
    }


@pytest.mark.parametrize("rank", [None, True, 0, -8, "16", 16.0, 2**31])
def test_what_is_no_rank_tells_of_no_adapter(rank: object) -> None:
    assert adapter({"r": rank}) is None
