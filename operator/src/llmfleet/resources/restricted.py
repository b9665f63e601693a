"""The restricted pod security profile, as every pod of ours has it."""

from typing import Final

from llmfleet.resources.blueprint import Manifest

ENGINE_UID: Final = 2000
"""The user `vllm` of the stock image (group 0, so that an arbitrary claim of that group is readable). What fills a claim runs as the same user."""


def pod_security() -> Manifest:
    """Return the security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": ENGINE_UID,
        "runAsGroup": 0,
        "fsGroup": 0,
        # A claim with a model and its compiled graphs is not walked through at every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Return the security context of a container of ours."""
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def without_privileges() -> Manifest:
    """Return what the profile asks of every container, for those of other people: their root file system is theirs."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
