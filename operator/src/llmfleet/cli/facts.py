"""What is known of models at a terminal: files that `llmfleet-runtime inspect` wrote, or a model's own config.json."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from llmfleet.api.facts import ModelFacts
from llmfleet.cli.exit_status import CommandError

HOW: Final = (
    "run `llmfleet-runtime inspect SOURCE > facts.json` where the model can be reached and give --facts facts.json, "
    "or give the model's own config.json with --config"
)
"""The next step of somebody who has no facts."""


def from_files(paths: Sequence[Path]) -> Callable[[str], ModelFacts | None]:
    """Facts by source, from files; CommandError for one that is not what it should be."""
    known = {facts.source: facts for facts in map(_facts, paths)}
    return known.get


def from_config(path: Path, source: str) -> ModelFacts:
    """What a bare config.json says of a model: its shape, and nothing of its files."""
    config = _json(path)
    quantization = config.get("quantization_config")
    return ModelFacts(source=source, config=config, quantization=quantization if isinstance(quantization, dict) else None)


def _facts(path: Path) -> ModelFacts:
    content = _json(path)
    if "source" not in content:
        raise CommandError(f"{path}: holds no model facts (it says no source); a model's own config.json is given with --config")
    try:
        return ModelFacts.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CommandError(f"{path}: holds no model facts: {where}: {error.errors()[0]['msg']}; {HOW}") from error


def _json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CommandError(f"{path}: is no JSON object")
    return content
