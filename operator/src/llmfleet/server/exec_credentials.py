"""Credentials that a program gives, as the kubeconfigs of the large clouds want it (users[].user.exec): kopf's reader of kubeconfigs leaves them out.

kubernetes.io, "client-go credential plugins": the program prints an ExecCredential with a token, or a client certificate and its key.
"""

import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import kopf
import yaml

PATIENCE_SECONDS: Final = 60.0
"""Longest time that the program may take: it may ask a server."""


def completed(info: kopf.ConnectionInfo) -> kopf.ConnectionInfo:
    """What a kubeconfig says, with the credentials that its program gives where it names one. kopf.LoginError where the program gives none."""
    plugin = _user(list(_kubeconfigs())).get("exec")
    if info.token or info.certificate_path or info.certificate_data or not plugin:
        return info
    given = _asked(plugin, info)
    return dataclasses.replace(info, token=given.get("token"), certificate_data=given.get("clientCertificateData"), private_key_data=given.get("clientKeyData"))


def _kubeconfigs() -> Iterator[Mapping[str, Any]]:
    for path in (os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep):
        file = Path(path.strip()).expanduser()
        if path.strip() and file.is_file():
            yield yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def _user(configurations: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The user of the current context; of equal names the first counts, as for kubectl."""
    current = next((found for configuration in configurations if (found := configuration.get("current-context"))), None)
    context = _named(configurations, "contexts", "context", current)
    return _named(configurations, "users", "user", context.get("user"))


def _named(configurations: list[Mapping[str, Any]], plural: str, singular: str, name: str | None) -> Mapping[str, Any]:
    entries = (entry for configuration in configurations for entry in configuration.get(plural) or ())
    return next((entry.get(singular) or {} for entry in entries if entry.get("name") == name), {})


def _asked(plugin: Mapping[str, Any], info: kopf.ConnectionInfo) -> Mapping[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {"server": info.server, "certificate-authority-data": info.ca_data}
    request = json.dumps({"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": spec})
    environment = {**os.environ, **{variable["name"]: variable["value"] for variable in plugin.get("env") or ()}, "KUBERNETES_EXEC_INFO": request}
    command = [plugin["command"], *(plugin.get("args") or ())]
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS)
        given: Mapping[str, Any] = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        # Not the output: it may hold a token.
        raise kopf.LoginError(f"{plugin['command']}, which the kubeconfig names, gave no credentials: {type(error).__name__}") from error
    return given
