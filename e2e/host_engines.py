"""Engines on this machine without a pod: the container that the operator renders, run as a process, with its claims and ConfigMaps as folders."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from e2e.cluster import vllm_environment
from e2e.readback import Readback
from llmfleet import names

_FORKS = Path(__file__).with_name("engine_forks.py")
_WORDS = "The quick brown fox"
_PODS_OWN = frozenset({"HOME", "USER"})
"""Variables that only make sense in the pod."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command line and its environment, as the kubelet would start it."""

    arguments: tuple[str, ...]
    """What follows `vllm serve`."""
    environment: Mapping[str, str]
    folders: Mapping[str, Path]
    """Folder of this machine for each path in the pod."""
    adapters: tuple[Mapping[str, str], ...]
    """The list that the launcher loads from, of what a claim holds."""

    def localized(self, text: str) -> str:
        """Return a text with the paths of this machine."""
        for path, folder in self.folders.items():
            text = re.sub(rf"{re.escape(path)}(?=/|\b|$)", str(folder), text)
        return text

    def in_pod(self, text: str) -> str:
        """Return a text with the paths of the pod."""
        for path, folder in self.folders.items():
            text = text.replace(str(folder), path)
        return text


def order(pod: Mapping[str, Any], *, claims: Mapping[str, Path], objects: Sequence[Mapping[str, Any]], scratch: Path) -> Order:
    """Read a pod's specification as the kubelet does: references expanded, claims and ConfigMaps mounted.

    Args:
        pod: the specification of an engine pod.
        claims: folder of this machine for each claim.
        objects: Secrets and ConfigMaps that the pod refers to.
        scratch: folder in which ConfigMaps become files.

    """
    (container,) = [found for found in pod["containers"] if found["name"] == "engine"]
    secrets = {found["metadata"]["name"]: found["stringData"] for found in objects if found["kind"] == "Secret"}
    maps = {found["metadata"]["name"]: found["data"] for found in objects if found["kind"] == "ConfigMap"}
    environment: dict[str, str] = {}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        environment[variable["name"]] = secrets[reference["name"]][reference["key"]] if reference else variable["value"]
    folders: dict[str, Path] = {}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "persistentVolumeClaim" in volume:
            folders[mount["mountPath"]] = claims[volume["persistentVolumeClaim"]["claimName"]] / mount.get("subPath", "")
        elif "configMap" in volume:
            folder = scratch / mount["name"]
            folder.mkdir(exist_ok=True)
            for key, text in maps[volume["configMap"]["name"]].items():
                (folder / key).write_text(text)
            folders[mount["mountPath"]] = folder
    after = container["args"].index("serve") + 1
    expanded = (re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], argument) for argument in container["args"][after:])
    listed = folders.get(names.ADAPTERS_LIST_DIR)
    adapters = json.loads((listed / names.ADAPTERS_KEY).read_text()) if listed is not None else []
    return Order(tuple(expanded), {name: value for name, value in environment.items() if name not in _PODS_OWN}, folders, tuple(adapters))


class HostEngines:
    """Servers that are forks of one process; see engine_forks.py."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(scratch / "cache")}
        self._forks = subprocess.Popen(
            [vllm_environment.host_python(), "-P", str(_FORKS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **quiet},
        )  # fmt: skip
        assert self._forks.stdout is not None
        assert self._forks.stdout.readline() == "ready\n"

    def __enter__(self) -> HostEngines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._forks.terminate()
        self._forks.wait(30)

    def read(self, wanted: Order, *, port: int, key: str | None, pooling: bool, within_seconds: float) -> Readback:
        """Start a server, have it answer a request, ask what it says of itself, and end it.

        Raises:
            AssertionError: it ended, or does not answer in time; with the end of its log.

        """
        log = self._scratch / "engine.log"
        arguments = [wanted.localized(argument) for argument in wanted.arguments]
        arguments[arguments.index("--port") + 1] = str(port)
        said = {"arguments": [*arguments, "--host", "127.0.0.1"], "environment": dict(wanted.environment), "log": str(log)}
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        print(json.dumps(said), file=self._forks.stdin, flush=True)
        pid = int(self._forks.stdout.readline())
        base = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + within_seconds
            while not _answers(f"{base}/health"):
                assert Path(f"/proc/{pid}").exists(), f"the server ended:\n{log.read_text()[-6000:]}"
                assert time.monotonic() < deadline, f"no answer within {within_seconds:g} s:\n{log.read_text()[-6000:]}"
                time.sleep(0.1)
            for adapter in wanted.adapters:
                # As the launcher does in a pod.
                body = {"lora_name": adapter["name"], "lora_path": wanted.localized(adapter["path"])}
                _get(f"{base}/v1/load_lora_adapter", key, body)
            models = json.loads(_get(f"{base}/v1/models", key))["data"]
            path, request = ("embeddings", {"input": _WORDS}) if pooling else ("completions", {"prompt": _WORDS, "max_tokens": 8, "ignore_eos": True})
            try:
                _get(f"{base}/v1/{path}", key, {"model": models[0]["id"], **request})
            except OSError as error:
                raise AssertionError(f"no answer to a request: {error}\n{log.read_text()[-6000:]}") from error
            return Readback(wanted.in_pod(log.read_text()), _get(f"{base}/metrics", None), tuple(models))
        finally:
            os.killpg(pid, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        _get(url, None)
    except OSError:
        return False
    return True


def _get(url: str, key: str | None, body: object = None) -> str:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as response:
        return str(response.read().decode())
