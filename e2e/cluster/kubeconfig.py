"""Kubeconfig files, written as JSON, which is YAML too: no library is needed for it."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster.pki import Pki


def render(server: str, pki: Pki, user: str) -> str:
    """Return a kubeconfig for the certificate `user`, naming its files by path."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "llmfleet", "cluster": {"server": server, "certificate-authority": str(pki.certificate("ca"))}}],
            "users": [{"name": user, "user": {"client-certificate": str(pki.certificate(user)), "client-key": str(pki.key(user))}}],
            "contexts": [{"name": "llmfleet", "context": {"cluster": "llmfleet", "user": user}}],
            "current-context": "llmfleet",
        },
        indent=1,
    )


def write(path: Path, content: str) -> None:
    """Write a file whole or not at all, readable by its owner only: it may name or hold keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(content)
    temporary.chmod(0o600)
    temporary.rename(path)
