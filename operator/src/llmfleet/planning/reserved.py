"""Names in the engine's pod that the operator gives away itself, so that spec.template and spec.engine.env may not."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from llmfleet import names

MOUNT_PATHS: Final = (
    *(names.RUNTIME_DIR, names.SHM_DIR, names.TMP_DIR, names.HOME_DIR, names.MODEL_DIR, names.CLAIMS_DIR, names.IMAGES_DIR),
    *(names.ADAPTERS_DIR, names.ADAPTERS_LIST_DIR, names.CHAT_TEMPLATE_DIR, names.CREDENTIALS_DIR, names.COMPILE_CACHE_DIR),
)
"""Where the operator mounts. A path below /tmp or /home/vllm is free: a volume for the engine's own downloads belongs there."""

OPEN_PATHS: Final = (names.TMP_DIR, names.HOME_DIR)
"""Those below which people may mount; what lies in the others is read-only or counted."""

CONTAINERS: Final = re.compile(rf"{names.ENGINE_CONTAINER}|{names.RUNTIME_CONTAINER}|{names.COMPILE_CACHE_CONTAINER}|{names.ADAPTERS_CONTAINER}[0-9]+")
"""Names of the pod's containers and init containers."""

PORTS: Final[Mapping[int, str]] = MappingProxyType({names.ENGINE_PORT: "vLLM's", names.LAUNCHER_PORT: "the launcher's"})
PORT_NAMES: Final = (names.PORT_HTTP, names.PORT_LAUNCHER)
"""Ports of the pod, whose containers share one network, and their names."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A field of the pod that the operator keeps."""

    rule: str
    """Why, as it goes on from the field's name."""
    remedy: str
    allowed: object = None
    """The one value that may be written all the same: what it is anyway. None: none."""


_IDENTITY: Final = Kept("is the operator's: the engine's account may do nothing", "remove it: an engine needs no access to the cluster")
_PROBE: Final = Kept("is the launcher's, which knows whether vLLM lives and answers", "remove it")
_REPORT: Final = Kept("is how the operator learns why an engine ended", "remove it")

POD_FIELDS: Final[Mapping[str, Kept]] = MappingProxyType(
    {
        "terminationGracePeriodSeconds": Kept("follows from the drain timeout", "set spec.rollout.drainTimeout"),
        "activeDeadlineSeconds": Kept("would end a pod that serves", "remove it"),
        "serviceAccountName": _IDENTITY,
        "serviceAccount": _IDENTITY,
        "automountServiceAccountToken": Kept(_IDENTITY.rule, _IDENTITY.remedy, allowed=False),
        "enableServiceLinks": Kept("must be off: the links of a Service called vllm set VLLM_PORT, and vLLM does not start", "remove it", allowed=False),
        "restartPolicy": Kept("is Always in a Deployment", "remove it", allowed="Always"),
        "hostNetwork": Kept("is not allowed by the restricted pod security profile", "remove it: the Service leads to the pod", allowed=False),
        "hostPID": Kept("is not allowed by the restricted pod security profile", "remove it", allowed=False),
        "hostIPC": Kept("is not allowed by the restricted pod security profile", "remove it: /dev/shm is a volume of the pod's own", allowed=False),
        "shareProcessNamespace": Kept("would show the engine's keys to other containers, and the launcher must be process 1", "remove it", allowed=False),
        "nodeName": Kept("would pass by the scheduler", "set nodeSelector or affinity"),
        "ephemeralContainers": Kept("cannot be part of a template", "use kubectl debug"),
    }
)
"""Fields of the pod's spec that may not be overridden."""

ENGINE_FIELDS: Final[Mapping[str, Kept]] = MappingProxyType(
    {
        "command": Kept("is the launcher, which starts `vllm serve`", "remove it; arguments go into spec.engine.extraArgs"),
        "args": Kept("follow from the specification", "put arguments of vLLM into spec.engine.extraArgs"),
        "image": Kept("follows from the accelerator profile", "set spec.engine.image"),
        "env": Kept("has a field of its own", "set spec.engine.env"),
        "envFrom": Kept("has a field of its own", "set spec.engine.envFrom"),
        "livenessProbe": _PROBE,
        "readinessProbe": _PROBE,
        "startupProbe": _PROBE,
        "lifecycle": Kept("is the launcher's, which drains before it ends", "set spec.rollout.drainTimeout"),
        "terminationMessagePath": _REPORT,
        "terminationMessagePolicy": _REPORT,
        "restartPolicy": Kept("is the pod's", "remove it"),
        "restartPolicyRules": Kept("is the pod's", "remove it"),
    }
)
"""Fields of the engine's container that may not be overridden."""

KEPT_PARTS: Final = ("containers", "initContainers", "volumes", "securityContext")
KEPT_ENGINE_PARTS: Final = ("ports", "resources", "volumeMounts", "securityContext")
"""Parts of the pod and of the engine's container that hold something of the operator's, so that a null may not take them away."""

UNRESTRICTED_VOLUMES: Final = (
    *("hostPath", "nfs", "iscsi", "fc", "rbd", "cephfs", "cinder", "glusterfs", "flexVolume", "flocker", "gitRepo", "quobyte", "scaleIO", "storageos"),
    *("awsElasticBlockStore", "azureDisk", "azureFile", "gcePersistentDisk", "photonPersistentDisk", "portworxVolume", "vsphereVolume"),
)
"""Kinds of volume that the restricted pod security profile leaves out: they reach into the node or beyond the cluster, and who may write an LLMService
need not be one who may write such pods."""

IDENTITY_SOURCES: Final = ("serviceAccountToken", "podCertificate")
"""Sources of a projected volume that make a credential of the pod's service account."""

ADAPTER_UPDATES: Final = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
"""Variable that has vLLM load and unload adapters while it runs."""

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HOME": "the operator sets it to a writable directory",
        "USER": "the operator sets it: vLLM asks for it",
        "PYTHONPATH": "the launcher would import from it",
        "VLLM_PORT": "vLLM's inner ports would collide with its server's; Kubernetes' service links set it by mistake",
        "PROMETHEUS_MULTIPROC_DIR": "vLLM sets it itself",
        "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "a dead engine would keep its pod",
        "VLLM_USE_MODELSCOPE": "it follows from modelscope:// in spec.model.source",
        "VLLM_API_KEY": "keys belong to spec.access.apiKeys, and vLLM ignores the variable beside them",
        "VLLM_DP_SIZE": "it follows from spec.parallelism.data",
        "VLLM_DP_RANK": "it follows from spec.parallelism.data",
        ADAPTER_UPDATES: "the operator sets it with spec.adapters, and whoever loads an adapter into one pod by hand loses it when that restarts",
    }
)
"""Variables that may not be set, with the reason."""

ENVIRONMENT_PREFIX: Final = "LLMFLEET_"
"""The launcher's own variables."""

CPU_KV_CACHE: Final = "VLLM_CPU_KVCACHE_SPACE"
"""Variable that is the size of the KV cache on the CPU, in GiB; vLLM lets it override every flag."""

HUB_TOKEN: Final = "HF_TOKEN"  # noqa: S105 (the variable's name)
"""Variable that model.credentials becomes for Hugging Face's hub."""

MODELSCOPE_TOKEN: Final = "MODELSCOPE_API_TOKEN"  # noqa: S105 (the variable's name)
"""The same for ModelScope."""

KEY_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
"""Variable that holds the path of the key file that model.credentials becomes for Google Cloud Storage."""

HUB_OFFLINE: Final = "HF_HUB_OFFLINE"
"""Variable that keeps an engine from asking a hub. Never handed to what fetches: it would fetch nothing."""

_HUB_VARIABLE: Final = re.compile(
    r"HF_TOKEN|HF_ENDPOINT|HF_HUB_\w+|HTTPS?_PROXY|NO_PROXY|ALL_PROXY|https?_proxy|no_proxy|all_proxy|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE"
    r"|CURL_CA_BUNDLE|AWS_\w+|GOOGLE_\w+|STORAGE_EMULATOR_HOST|MODELSCOPE_\w+"
)


def refusal(variable: str, value: str | None) -> tuple[str, str] | None:
    """Why nobody may set a variable to a value, and the remedy; None where it may be set."""
    if reason := ENVIRONMENT.get(variable):
        return f"is reserved: {reason}", "remove it"
    if variable.startswith(ENVIRONMENT_PREFIX):
        return "is reserved: the prefix is the launcher's", "choose another name"
    if variable.startswith("VLLM_") and value == "":
        return "is empty: vLLM fails on empty values of its own variables", "remove it or give it a value"
    return None


def reaches_source(variable: str) -> bool:
    """Whether a variable of engine.env says how sources are reached: endpoints, proxies, authorities, keys. What fetches gets those too, and no others."""
    return variable != HUB_OFFLINE and _HUB_VARIABLE.fullmatch(variable) is not None


def collision(mount_path: str) -> str | None:
    """The mount of ours that a path equals, covers or, where that is closed, lies in; None where it is free."""
    path = posixpath.normpath("/" + mount_path.lstrip("/"))
    for ours in MOUNT_PATHS:
        covers = path in (ours, "/") or ours.startswith(path + "/")
        inside = ours not in OPEN_PATHS and path.startswith(ours + "/")
        if covers or inside:
            return ours
    return None
