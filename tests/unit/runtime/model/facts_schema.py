"""docs/facts.schema.json from the operator's model: python -m tests.unit.runtime.model.facts_schema > docs/facts.schema.json"""

import json
import sys
from typing import Any

from llmfleet.api.facts import SCHEMA_VERSION, ModelFacts


def schema() -> dict[str, Any]:
    """The contract between the runtime, which writes facts, and the operator, which reads them."""
    generated = _untitled(ModelFacts.model_json_schema(by_alias=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://llmfleet.dev/schemas/facts-{SCHEMA_VERSION}.json",
        "title": "Facts of a model",
        **generated,
    }


def _untitled(value: Any) -> Any:
    """Titles say again what names say; a default of null says what is not required anyway."""
    if isinstance(value, dict):
        return {
            key: _untitled(inner)
            for key, inner in value.items()
            if not (key == "title" and isinstance(inner, str)) and not (key == "default" and inner is None)
        }
    return [_untitled(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
