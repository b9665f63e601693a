"""The tiny models in the cache, and the claim through which engine pods read them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from e2e.cluster import vllm_environment
from e2e.cluster.filelock import exclusive
from e2e.cluster.locations import SOURCE, cache_folder
from e2e.cluster.progress import step

NAME = "tiny"
"""The one that stands for a model where nothing depends on which; the others are the functions of make_tiny_model.py."""
_MAKER = SOURCE / "make_tiny_model.py"


def ensure(name: str = NAME) -> Path:
    """Return the folder of one model's files, making all models when they are missing (about 15 s)."""
    key = hashlib.sha256(_MAKER.read_bytes()).hexdigest()[:16]
    folder = cache_folder() / "models" / key
    with exclusive(cache_folder() / "models" / "make.lock", "another making of the tiny models"):
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            for left in folder.parent.glob(".tmp-*"):
                shutil.rmtree(left)
            temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
            with step("make the tiny models"):
                # -P: the maker's own folder stays off sys.path, where our modules would hide libraries of the same name.
                subprocess.run([str(vllm_environment.host_python()), "-P", str(_MAKER), str(temporary)], check=True, capture_output=True)
            temporary.chmod(0o755)  # the engine runs as another user
            for path in temporary.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            temporary.rename(folder)
    return folder / name


def is_of_a_dead_claim(volume: dict[str, Any], claim: dict[str, Any] | None) -> bool:
    """Whether a volume belongs to a claim that was deleted; right after that its phase is still Bound, and only the claim's uid tells."""
    if volume.get("status", {}).get("phase") in ("Released", "Failed"):
        return True
    bound_to = volume["spec"].get("claimRef", {}).get("uid")
    return bound_to is not None and (claim is None or claim["metadata"]["uid"] != bound_to)


def volume_and_claim(namespace: str, claim: str, host_folder: Path, *, access_mode: str = "ReadOnlyMany") -> list[dict[str, Any]]:
    """Return a static PersistentVolume on a folder of the node and its claim: the restricted profile refuses hostPath in pods.

    The volume names its claim and the claim its volume, so neither can bind to anything else.
    """
    name = f"{namespace}-{claim}"
    common: dict[str, Any] = {"accessModes": [access_mode], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **common,
                "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim},
                "hostPath": {"path": str(host_folder), "type": "Directory"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
        },
    ]
