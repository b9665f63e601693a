"""A hub over an empty directory, and commands that ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.model_sources.commands import Commands
from tests.integration.model_sources.hub import Hub, serving


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    root = tmp_path / "hub"
    root.mkdir()
    with serving(root) as running:
        yield running


@pytest.fixture
def commands(hub: Hub, tmp_path: Path) -> Commands:
    return Commands(tmp_path, {"HF_ENDPOINT": hub.url})
