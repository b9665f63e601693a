"""What a user types, from Python."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with one kubeconfig."""

    path: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, given: object = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl; `given` (an object, a list of them, or YAML text) is its standard input. Fails as kubectl does: by its exit status."""
        text = given if given is None or isinstance(given, str) else yaml.safe_dump_all(given if isinstance(given, list) else [given])
        return subprocess.run([self.path, "--kubeconfig", self.kubeconfig, *arguments], input=text, capture_output=True, text=True, check=False)

    def must(self, *arguments: str, given: object = None) -> str:
        """Run kubectl and return what it prints; an AssertionError with its words when it fails."""
        done = self(*arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, resource: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object; None where there is none."""
        done = self("-n", namespace, "get", resource, name, "--ignore-not-found", "-o", "json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout)) if done.stdout else None

    def items(self, resource: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        """Return all objects of a kind in a namespace."""
        return list(json.loads(self.must("-n", namespace, "get", resource, "-o", "json", *arguments))["items"])
