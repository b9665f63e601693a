"""The table of api/pod_shape.json, made from the API server's OpenAPI document: `python -m tests.integration.kube.pod_shape_table` writes it anew.

Of each definition is kept what a check and a merge need: fields, required ones, types, choices, and the keys by which list items are known.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.cluster.controlplane import ControlPlane

ROOT = "io.k8s.api.core.v1.PodTemplateSpec"
FILE = Path(__file__).parents[3] / "operator/src/llmfleet/api/pod_shape.json"
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "quantity"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "intOrString"},
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": {"type": "string"},
}
# Metadata is our own model; what is left out of a pod's metadata is left out here.
LEFT_OUT = {(ROOT, "metadata")}


def table(document: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce an OpenAPI v3 document of group v1 to what can be reached from a PodTemplateSpec."""
    schemas = document["components"]["schemas"]
    definitions: dict[str, Any] = {}

    def definition(name: str) -> str:
        short = name.rsplit(".", 1)[-1]
        if short not in definitions:
            schema = schemas[name]
            entry: dict[str, Any] = {"fields": {}}
            definitions[short] = entry
            if required := schema.get("required"):
                entry["required"] = sorted(required)
            entry["fields"] = {field: node(part) for field, part in sorted(schema.get("properties", {}).items()) if (name, field) not in LEFT_OUT}
        return short

    def node(schema: Mapping[str, Any]) -> dict[str, Any]:
        reference = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ())), None)
        if reference is not None:
            name = reference.rsplit("/", 1)[1]
            return SPECIAL.get(name) or {"ref": definition(name)}
        if schema["type"] == "array":
            items = {"list": node(schema["items"])}
            if schema.get("x-kubernetes-list-type") == "map":
                resolved = schemas[next(part["$ref"] for part in schema["items"].get("allOf", [schema["items"]])).rsplit("/", 1)[1]]
                items["keys"] = {key: resolved["properties"][key].get("default") for key in sorted(schema["x-kubernetes-list-map-keys"])}
            return items
        if "additionalProperties" in schema:
            return {"map": node(schema["additionalProperties"])}
        return {"type": schema["type"]} | ({"choices": schema["enum"]} if "enum" in schema else {})

    definition(ROOT)
    return dict(sorted(definitions.items()))


def _answer(plane: ControlPlane, path: str) -> Any:
    status, answer = plane.client().request("GET", path)
    if status != 200:
        raise RuntimeError(f"{path}: {status} {answer}")
    return answer


def fetched(plane: ControlPlane) -> str:
    """The table of a running API server, as the file has it."""
    version = _answer(plane, "/version")
    release = f"{version['major']}.{version['minor']}"
    return json.dumps({"kubernetes": release, "definitions": table(_answer(plane, "/openapi/v3/api/v1"))}, indent=1) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, ControlPlane(Path(folder), controllers=False) as running:
        FILE.write_text(fetched(running), encoding="utf-8")
    print(FILE, file=sys.stderr)
