"""The archive format of `docker save`, written as one stream.

containerd reads members in any order, so the configuration, which must hold the layers' digests, comes after the layers: each file is read once.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from e2e.cluster.layer import Layer

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # the kernel's name to the image format's


@dataclass(frozen=True, slots=True)
class ImageConfiguration:
    """How the image's process runs, the part of the OCI image configuration that we use."""

    entrypoint: tuple[str, ...]
    user: str = "0:0"
    environment: tuple[str, ...] = ()
    working_directory: str = "/"
    labels: dict[str, str] = field(default_factory=dict)


def write(stream: IO[bytes], reference: str, configuration: ImageConfiguration, layers: Sequence[Layer]) -> None:
    """Write an image of the given name and layers."""
    names = []
    digests = []
    for number, layer in enumerate(layers):
        info = tarfile.TarInfo(f"layer{number}.tar")
        info.size = layer.size_bytes()
        stream.write(info.tobuf(tarfile.GNU_FORMAT))  # GNU's header holds sizes above 8 GB
        digests.append(layer.write(stream))
        stream.write(b"\0" * (-info.size % tarfile.BLOCKSIZE))
        names.append(info.name)
    described = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {
            "Entrypoint": list(configuration.entrypoint),
            "User": configuration.user,
            "Env": list(configuration.environment),
            "WorkingDir": configuration.working_directory,
            "Labels": configuration.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    encoded = json.dumps(described, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    _member(stream, config_name, encoded)
    _member(stream, "manifest.json", json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": names}]).encode())
    stream.write(b"\0" * tarfile.BLOCKSIZE * 2)


def _member(stream: IO[bytes], name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    stream.write(info.tobuf(tarfile.GNU_FORMAT))
    stream.write(content + b"\0" * (-len(content) % tarfile.BLOCKSIZE))
