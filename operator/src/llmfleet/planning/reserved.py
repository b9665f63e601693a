"""Names in the engine's pod that the operator gives away itself, so that spec.template and spec.engine.env may not."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from llmfleet import names

VOLUMES: Final = (names.VOLUME_RUNTIME, names.VOLUME_HOME, names.VOLUME_TMP, names.VOLUME_SHM, names.VOLUME_MODEL)
"""Volumes of the pod."""

MOUNT_PATHS: Final = (names.RUNTIME_DIR, names.SHM_DIR, names.TMP_DIR, names.HOME_DIR, names.MODEL_DIR)
"""Where they are mounted. A path below /tmp or /home/vllm is free: a volume for the compile cache belongs there."""

CLOSED_PATHS: Final = (names.RUNTIME_DIR, names.SHM_DIR, names.MODEL_DIR)
"""Those whose inside is reserved too: what lies there is read-only or counted."""

UNRESTRICTED_VOLUMES: Final = (
    *("hostPath", "nfs", "iscsi", "fc", "rbd", "cephfs", "cinder", "glusterfs", "flexVolume", "flocker", "gitRepo", "quobyte", "scaleIO", "storageos"),
    *("awsElasticBlockStore", "azureDisk", "azureFile", "gcePersistentDisk", "photonPersistentDisk", "portworxVolume", "vsphereVolume"),
)
"""Kinds of volume that the restricted pod security profile leaves out: they reach into the node or beyond the cluster, and who may write an LLMService
need not be one who may write such pods. What is no kind at all is left to the API server, which says so."""

IDENTITY_SOURCES: Final = ("serviceAccountToken", "podCertificate")
"""Sources of a projected volume that make a credential of the pod's service account."""

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HOME": "the operator sets it to a writable directory",
        "USER": "the operator sets it: vLLM asks for it",
        "PYTHONPATH": "the launcher would import from it",
        "VLLM_PORT": "vLLM's inner ports would collide with its server's; Kubernetes' service links set it by mistake",
        "PROMETHEUS_MULTIPROC_DIR": "vLLM sets it itself",
        "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "a dead engine would keep its pod",
    }
)
"""Variables that may not be set, with the reason."""

ENVIRONMENT_PREFIX: Final = "LLMFLEET_"
"""The launcher's own variables."""

CPU_KV_CACHE: Final = "VLLM_CPU_KVCACHE_SPACE"
"""Variable that is the size of the KV cache on the CPU, in GiB; vLLM lets it override every flag."""

HUB_TOKEN: Final = "HF_TOKEN"  # noqa: S105 (the variable's name)
"""Variable that model.credentials becomes."""


def collision(mount_path: str) -> str | None:
    """The mount of ours that a path equals, covers or, where that is closed, lies in; None where it is free."""
    path = "/" + "/".join(part for part in mount_path.split("/") if part not in ("", "."))
    for ours in MOUNT_PATHS:
        covers = path in (ours, "/") or ours.startswith(path + "/")
        inside = ours in CLOSED_PATHS and path.startswith(ours + "/")
        if covers or inside:
            return ours
    return None
