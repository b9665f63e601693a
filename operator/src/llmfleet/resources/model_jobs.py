"""What comes before an engine: the Job that looks at a model, the Job that fills a claim with it, and the claim.

A Job's template cannot be changed, so a name ends in a digest of what it stands for: one of another content has another name. They are made where they
are not there, and never applied again.
"""

import hashlib
import json
from typing import Final

from llmfleet import names
from llmfleet.api import source
from llmfleet.api.pod_shape import pod_template
from llmfleet.api.source import Bucket, Claim, Image, Repository
from llmfleet.api.v1alpha1 import Credentials
from llmfleet.resources import credentials
from llmfleet.resources.blueprint import Blueprint, Manifest
from llmfleet.resources.location import CLAIM_SUFFIX, cache_claim, cache_directory
from llmfleet.resources.restricted import container_security, pod_security
from llmfleet.resources.template_merge import merged

DOWNLOAD_RETRIES: Final = 10
"""Attempts of one Job after the first, each after twice the delay of the last (10 s to 6 min, the Job controller's): about an hour of a source that
cannot be reached. Every one goes on where the last ended."""

KEPT_SECONDS: Final = 3600
"""How long a finished Job stays to be looked at; what it found is in the service's status long before."""

PERMANENT_EXIT_CODES: Final = (1, 2)
"""Of `fetch`: trying again does not help (docs/model-inspection.md). 75, and a kill, do not end the Job."""

TEMPLATE_FIELDS: Final = ("imagePullSecrets", "tolerations", "securityContext")
"""What a Job takes of spec.template: an image may need a secret, every node may have a taint, and a claim may be writable for one user alone, who must be
the engine's."""

INSPECT_RESOURCES: Final[Manifest] = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
"""It reads configuration and the headers of weights, some MB; the clients of object storage are what takes memory."""

FETCH_RESOURCES: Final[Manifest] = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
"""It streams by parts of a mebibyte and syncs what it has written (docs/model-inspection.md); the rest of the limit is page cache, which the kernel takes
back."""

DIGEST_DIGITS: Final = 10
"""Hexadecimal digits of a digest in a name: 40 bits, within one namespace."""


def inspection(blueprint: Blueprint) -> Manifest:
    """Return the Job that reads what is known of the model without its weights; it belongs to the service and goes with it."""
    spec = blueprint.spec
    origin = source.parse(spec.model.source)
    argument, volumes, mounts = spec.model.source, [], []
    if isinstance(origin, Claim):
        argument = f"{names.MODEL_DIR}/{origin.path}".rstrip("/")
        volumes.append({"name": names.VOLUME_MODEL, "persistentVolumeClaim": {"claimName": origin.claim, "readOnly": True}})
    elif isinstance(origin, Image):
        argument = names.MODEL_DIR
        volumes.append({"name": names.VOLUME_MODEL, "image": {"reference": origin.reference}})
    if volumes:
        mounts.append({"name": names.VOLUME_MODEL, "mountPath": names.MODEL_DIR, "readOnly": True})
    container = _container(blueprint, names.INSPECT_CONTAINER, ["inspect", argument], INSPECT_RESOURCES, mounts)
    labels = {**blueprint.owner.labels, names.LABEL_ROLE: names.ROLE_INSPECT}
    job = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": _template(blueprint, labels, container, volumes),
    }
    metadata = blueprint.owner.metadata(f"llmfleet-inspect-{_digest(job)}")
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**metadata, "labels": labels}, "spec": job}


def download(blueprint: Blueprint) -> Manifest | None:
    """Return the Job that fills the claim of model.cache with the model; None without a cache, or where there is nothing to fetch.

    It belongs to no service and says nothing of one: two services with the same source, claim, credentials and way to the source have the same Job.
    """
    claim_name = cache_claim(blueprint)
    if claim_name is None:
        return None
    directory = f"{names.MODEL_DIR}/{cache_directory(blueprint.spec.model.source)}"
    command = ["fetch", blueprint.spec.model.source, directory, "--progress-port", str(names.LAUNCHER_PORT)]
    mounts = [{"name": names.VOLUME_MODEL, "mountPath": names.MODEL_DIR}]
    container = _container(blueprint, names.DOWNLOAD_CONTAINER, command, FETCH_RESOURCES, mounts)
    container["ports"] = [{"name": names.PORT_PROGRESS, "containerPort": names.LAUNCHER_PORT, "protocol": "TCP"}]
    volumes = [{"name": names.VOLUME_MODEL, "persistentVolumeClaim": {"claimName": claim_name}}]
    # Without the image: one that is at work when the operator is upgraded is finished by the old one, not raced by the new one.
    identity = {"claim": claim_name, "command": command, "env": container["env"], "envFrom": container.get("envFrom")}
    labels = {names.LABEL_NAME: "llmfleet", names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_ROLE: names.ROLE_DOWNLOAD}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"llmfleet-download-{_digest(identity)}", "namespace": blueprint.owner.namespace, "labels": labels},
        "spec": {
            "backoffLimit": DOWNLOAD_RETRIES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            # A pod that is evicted or preempted has not failed, and what waiting does not mend ends the Job at once.
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": names.DOWNLOAD_CONTAINER, "operator": "In", "values": list(PERMANENT_EXIT_CODES)},
                    },
                ]
            },
            "template": _template(blueprint, labels, container, volumes),
        },
    }


def claim(blueprint: Blueprint) -> Manifest | None:
    """Return the claim `<name>-models` of model.cache.storage; None where an existing one is named.

    Without an owner: the download is worth more than the service, which may come back under its name. Mounted by the download and by every replica, on
    whatever nodes they are: ReadWriteMany. For a class that cannot, make the claim yourself and name it (claimName).
    """
    cache = blueprint.spec.model.cache
    if cache is None or cache.storage is None or cache_claim(blueprint) is None:
        return None
    spec: Manifest = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": cache.storage}}}
    if cache.storage_class_name is not None:
        spec["storageClassName"] = cache.storage_class_name
    owner = blueprint.owner
    metadata = {"name": owner.name + CLAIM_SUFFIX, "namespace": owner.namespace, "labels": owner.labels}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _access(blueprint: Blueprint) -> tuple[Credentials | None, credentials.Access]:
    """The credentials of the source, and the parts of a pod that carry them; none for what is mounted."""
    model = blueprint.spec.model
    origin = source.parse(model.source)
    if not isinstance(origin, Repository | Bucket):
        return None, credentials.Access()
    return model.credentials, credentials.access(model.credentials, origin.scheme)


def _container(blueprint: Blueprint, name: str, arguments: list[str], resources: Manifest, mounts: list[Manifest]) -> Manifest:
    shown, given = _access(blueprint)
    container: Manifest = {
        "name": name,
        "image": blueprint.platform.runtime_image,
        "command": ["python3", "-m", "llmfleet_runtime", *arguments],
        "env": credentials.fetching_environment(shown, given, blueprint.spec.engine.env),
        "resources": resources,
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": names.VOLUME_TMP, "mountPath": names.TMP_DIR}, *given.mounts, *credentials.named_files(blueprint.spec).mounts, *mounts],
    }
    if given.environment_from:
        container["envFrom"] = list(given.environment_from)
    return container


def _template(blueprint: Blueprint, labels: Manifest, container: Manifest, volumes: list[Manifest]) -> Manifest:
    """The pod. It needs no accelerator, so it runs anywhere, and of the service's template only what lets it run at all is taken."""
    _, given = _access(blueprint)
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [{"name": names.VOLUME_TMP, "emptyDir": {}}, *given.volumes, *credentials.named_files(blueprint.spec).volumes, *volumes],
    }
    overrides = blueprint.spec.template.spec
    taken = {field: overrides[field] for field in TEMPLATE_FIELDS if field in overrides}
    return {"metadata": {"labels": labels}, "spec": merged(pod, taken, pod_template().fields["spec"])}


def _digest(content: Manifest) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGEST_DIGITS]
