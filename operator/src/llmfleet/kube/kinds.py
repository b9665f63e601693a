"""The kinds that the operator reads or writes, and where each lives in the API server's URLs.

A closed table instead of discovery: the operator knows what it touches, its RBAC names the same kinds, and a URL costs no request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmfleet import names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, as the API server names it; hashable, so that it keys the store."""

    group: str
    """API group; empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` as in a manifest: `group/version`, or the bare version in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of one object, or without a name of the collection; a namespaced kind without a namespace means all namespaces."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)


LLMSERVICE: Final = Kind(names.GROUP, names.VERSION, names.LLMSERVICES, names.LLMSERVICE)
ACCELERATOR_PROFILE: Final = Kind(names.GROUP, names.VERSION, names.ACCELERATOR_PROFILES, names.ACCELERATOR_PROFILE, namespaced=False)
DEPLOYMENT: Final = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET: Final = Kind("apps", "v1", "replicasets", "ReplicaSet")
SERVICE: Final = Kind("", "v1", "services", "Service")
SERVICE_ACCOUNT: Final = Kind("", "v1", "serviceaccounts", "ServiceAccount")
HORIZONTAL_POD_AUTOSCALER: Final = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
POD_DISRUPTION_BUDGET: Final = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
JOB: Final = Kind("batch", "v1", "jobs", "Job")
PERSISTENT_VOLUME_CLAIM: Final = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
POD: Final = Kind("", "v1", "pods", "Pod")
CONFIG_MAP: Final = Kind("", "v1", "configmaps", "ConfigMap")
SECRET: Final = Kind("", "v1", "secrets", "Secret")
LEASE: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease")
NAMESPACE: Final = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
API_SERVICE: Final = Kind("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
VALIDATING_WEBHOOK_CONFIGURATION: Final = Kind(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False
)
SUBJECT_ACCESS_REVIEW: Final = Kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)

_KINDS: Final = {
    (kind.api_version, kind.kind): kind
    for kind in (
        LLMSERVICE, ACCELERATOR_PROFILE, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET,
        JOB, PERSISTENT_VOLUME_CLAIM, POD, CONFIG_MAP, SECRET, LEASE, NAMESPACE, API_SERVICE, VALIDATING_WEBHOOK_CONFIGURATION, SUBJECT_ACCESS_REVIEW,
    )
}  # fmt: skip


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """Kind of a manifest by its apiVersion and kind; KeyError names one that is not in the table."""
    return _KINDS[manifest["apiVersion"], manifest["kind"]]
